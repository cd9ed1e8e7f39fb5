/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A whole file, its CRCs made right: opened as a file and as storage of the caller's, with one
 * verdict; verified, its RAM loaded; and saved again, which makes a whole file of a whole one only.
 */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/header.h"
#include "state-ser/snap/le.h"
#include "stasis/storage.h"

#define RAM_MAX (UINT64_C(4) << 20)

static void reseal(uint8_t *header, const uint8_t *bytes, size_t len)
{
    uint32_t count = stasis_le32_get(header + STASIS_HDR_SECTION_COUNT);

    for (uint32_t i = 0; i < count && i < STASIS_SECTIONS_MAX; i++) {
        uint8_t *entry = header + STASIS_HDR_SECTIONS + (size_t)i * STASIS_SECTION_ENTRY_LEN;
        uint64_t offset = stasis_le64_get(entry + 8), length = stasis_le64_get(entry + 16);

        if (stasis_le32_get(entry) != STASIS_SECTION_DATA && offset <= len &&
            length <= len - offset)
            stasis_le32_put(entry + 24, stasis_crc32(bytes + offset, length));
    }
    memset(header + STASIS_HDR_CRC, 0, 4);
    stasis_le32_put(header + STASIS_HDR_CRC, stasis_crc32(header, STASIS_HEADER_LEN));
}

static void load(struct stasis_snap *snap)
{
    if (stasis_snap_info(snap)->ram_bytes > RAM_MAX)
        return;
    for (uint32_t i = 0; i < stasis_snap_region_count(snap); i++) {
        uint8_t *host = calloc(1, stasis_snap_region_at(snap, i).size);

        FUZZ_ASSERT(host);
        (void)!stasis_snap_load_ram(snap, i, host, 1, NULL, NULL, NULL);
        free(host);
    }
}

struct input {
    const uint8_t *bytes;
    size_t len;
};

static ssize_t read_input(void *ctx, void *buf, size_t len, uint64_t offset)
{
    const struct input *input = ctx;

    FUZZ_ASSERT(offset <= input->len && len <= input->len - offset);
    memcpy(buf, input->bytes + offset, len);
    return (ssize_t)len;
}

/* The same words too. */
static void expect_verdict(const uint8_t *bytes, size_t len, const struct stasis_parse_opts *opts,
                           int rc, const struct stasis_error *expected)
{
    struct input input = {bytes, len};
    const struct stasis_storage storage = {
        .size = sizeof(storage), .name = "input", .read = read_input, .length = len, .ctx = &input};
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};

    FUZZ_ASSERT(stasis_snap_open_storage(&storage, opts, &snap, &err) == rc);
    FUZZ_ASSERT(!strcmp(err.msg, expected->msg));
    stasis_snap_free(snap);
}

struct saved {
    uint8_t *bytes;
    size_t len;
    size_t room;
};

static ssize_t write_saved(void *ctx, const void *bytes, size_t len)
{
    struct saved *saved = ctx;

    if (len > saved->room - saved->len) {
        saved->room = 2 * saved->room + len;
        saved->bytes = realloc(saved->bytes, saved->room);
        FUZZ_ASSERT(saved->bytes);
    }
    memcpy(saved->bytes + saved->len, bytes, len);
    saved->len += len;
    return (ssize_t)len;
}

static int verify_saved(struct saved *saved, const struct stasis_parse_opts *opts)
{
    struct input input = {saved->bytes, saved->len};
    const struct stasis_storage storage = {.size = sizeof(storage),
                                           .name = "saved",
                                           .read = read_input,
                                           .length = saved->len,
                                           .ctx = &input};
    struct stasis_snap *snap = NULL;
    int rc = stasis_snap_open_storage(&storage, opts, &snap, NULL);

    if (!rc)
        rc = stasis_snap_verify(snap, 1, NULL, NULL, NULL);
    stasis_snap_free(snap);
    return rc;
}

/* Padding that is not zero is not copied, so some that is not whole can be saved; what is saved is
 * whole. */
static void save(struct stasis_snap *snap, int verdict, const struct stasis_parse_opts *opts)
{
    const struct stasis_save_opts save_opts = {.size = sizeof(save_opts), .threads = 1};
    bool has_features = stasis_snap_info(snap)->compatible;
    struct saved saved = {0};
    const struct stasis_storage storage = {
        .size = sizeof(storage), .name = "saved", .write = write_saved, .ctx = &saved};
    struct stasis_error err = {0};
    int rc;

    if (stasis_snap_info(snap)->ram_bytes > RAM_MAX)
        return;
    rc = stasis_snap_save_storage(snap, &storage, &save_opts, NULL, &err);
    if (has_features)
        FUZZ_ASSERT(verdict ? rc : rc == STASIS_ERR_VERSION);
    else if (!verdict)
        FUZZ_ASSERT(!rc || rc == STASIS_ERR_FULL || rc == STASIS_ERR_RANGE);
    FUZZ_ASSERT(rc || !verify_saved(&saved, opts));
    free(saved.bytes);
}

static void open_and_load(const uint8_t *bytes, size_t len)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .tolerant = len & 1};
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    int fd = fuzz_file(bytes, len);
    int rc = stasis_snap_open_fd(fd, "input", &opts, &snap, &err);

    expect_verdict(bytes, len, &opts, rc, &err);
    if (rc) {
        FUZZ_ASSERT(!snap && err.code && !strncmp(err.msg, "input: ", 7));
    } else {
        rc = stasis_snap_verify(snap, 1, NULL, NULL, NULL);
        load(snap);
        save(snap, rc, &opts);
    }
    stasis_snap_free(snap);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = fuzz_copy(bytes, len);

    open_and_load(copy, len); /* as it is */
    if (len >= 2 * STASIS_HEADER_LEN)
        reseal(copy + len - STASIS_HEADER_LEN, copy, len);
    if (len >= STASIS_HEADER_LEN)
        reseal(copy, copy, len);
    open_and_load(copy, len);
    open_and_load(copy, len / 2);
    free(copy);
    return 0;
}
