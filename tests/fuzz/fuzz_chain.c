/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Two files, a layer and one that it may lie on: four bytes with the length of the first, which is
 * below. Their CRCs are made right, and the layer names the file below, as what it says of itself.
 * Opened, loaded, verified, and saved as one file, which then lies on nothing.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/index.h"
#include "state-ser/snap/le.h"

#define RAM_MAX (UINT64_C(4) << 20)

static char folder[] = "/dev/shm/stasis-fuzz-XXXXXX";

static void leave(void)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/below", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* One that holds nothing but the file below. */
static void enter(void)
{
    static bool there;

    if (there)
        return;
    if (!mkdtemp(folder)) {
        memcpy(folder, "/tmp/stasis-fuzz-XXXXXX", sizeof("/tmp/stasis-fuzz-XXXXXX"));
        FUZZ_ASSERT(mkdtemp(folder));
    }
    there = true;
    atexit(leave);
}

/* The header that has the section table. */
static uint8_t *header_of(uint8_t *bytes, size_t len)
{
    return bytes[STASIS_HDR_INCOMPATIBLE] & STASIS_FEATURE_TRAILER ? bytes + len - STASIS_HEADER_LEN
                                                                   : bytes;
}

/* The section of this type, if all of it is there; NULL. */
static uint8_t *section_of(uint8_t *bytes, size_t len, uint32_t type, uint8_t **ret_entry)
{
    for (unsigned i = 0; i < STASIS_SECTIONS_MAX; i++) {
        uint8_t *entry = header_of(bytes, len) + STASIS_HDR_SECTIONS + (size_t)32 * i;
        uint64_t offset = stasis_le64_get(entry + 8), length = stasis_le64_get(entry + 16);

        *ret_entry = entry;
        if (stasis_le32_get(entry) == type && offset <= len && length <= len - offset)
            return bytes + offset;
    }
    return NULL;
}

static void seal_header(uint8_t *header)
{
    memset(header + STASIS_HDR_CRC, 0, 4);
    stasis_le32_put(header + STASIS_HDR_CRC, stasis_crc32(header, STASIS_HEADER_LEN));
}

static void seal(uint8_t *bytes, size_t len)
{
    static const uint32_t types[] = {STASIS_SECTION_STATE, STASIS_SECTION_INDEX};
    uint8_t *entry;

    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *section = section_of(bytes, len, types[i], &entry);

        if (section)
            stasis_le32_put(entry + 24, stasis_crc32(section, stasis_le64_get(entry + 16)));
    }
    seal_header(header_of(bytes, len));
    seal_header(bytes);
}

/* In header and index. */
static void lay_on(uint8_t *bytes, size_t len, const uint8_t *below)
{
    uint8_t *header = header_of(bytes, len);
    uint8_t *headers[] = {bytes, header};
    uint8_t *entry;
    uint8_t *index = section_of(bytes, len, STASIS_SECTION_INDEX, &entry);
    uint64_t at, index_len;

    for (unsigned i = 0; i < 2; i++) {
        memcpy(headers[i] + STASIS_HDR_PARENT, below + STASIS_HDR_UUID, STASIS_UUID_SIZE);
        memcpy(headers[i] + STASIS_HDR_PARENT_ROOT, below + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE);
    }
    if (!index)
        return;
    index_len = stasis_le64_get(entry + 16);
    at = index_len < 16 ? index_len : 16 + UINT64_C(16) * stasis_le32_get(index);
    if (at > index_len || index_len - at < STASIS_RUNS_NAME_LEN)
        return;
    memcpy(index + at, below + STASIS_HDR_UUID, STASIS_UUID_SIZE);
    memcpy(index + at + STASIS_UUID_SIZE, below + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE);
}

static void put_below(const uint8_t *bytes, size_t len)
{
    char path[64];
    int fd;

    enter();
    snprintf(path, sizeof(path), "%s/below", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_ASSERT(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

static int load(struct stasis_snap *snap)
{
    int rc = 0;

    for (uint32_t i = 0; i < stasis_snap_region_count(snap) && !rc; i++) {
        uint8_t *host = calloc(1, stasis_snap_region_at(snap, i).size);

        FUZZ_ASSERT(host);
        rc = stasis_snap_load_ram(snap, i, host, 1, NULL, NULL, NULL);
        free(host);
    }
    return rc;
}

/* What is whole can be saved, and the file lies on nothing. */
static void flatten(struct stasis_snap *snap)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .threads = 1, .no_sync = true};
    struct stasis_snap *flat = NULL;
    char path[64];

    snprintf(path, sizeof(path), "%s/flat", folder);
    if (stasis_snap_save(snap, path, &opts, NULL, NULL))
        return; /* it has a section too many */
    FUZZ_ASSERT(!stasis_snap_open(path, NULL, &flat, NULL));
    FUZZ_ASSERT(!stasis_snap_info(flat)->layer && stasis_snap_file_count(flat) == 1);
    FUZZ_ASSERT(!stasis_snap_verify(flat, 1, NULL, NULL, NULL));
    stasis_snap_free(flat);
    FUZZ_ASSERT(!unlink(path));
}

static void open_layer(int fd)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .layers = folder};
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    int rc = stasis_snap_open_fd(fd, "layer", &opts, &snap, &err);

    if (rc) {
        FUZZ_ASSERT(err.code == rc && err.msg[0] && !strchr(err.msg, '\n'));
        return;
    }
    if (stasis_snap_info(snap)->ram_bytes <= RAM_MAX) {
        int loaded = load(snap);

        rc = stasis_snap_verify(snap, 1, NULL, NULL, NULL);
        FUZZ_ASSERT(!loaded || rc);
        if (!rc)
            flatten(snap);
    }
    stasis_snap_free(snap);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint32_t below = len < 4 ? 0 : stasis_le32_get(bytes);
    uint8_t *copy, *layer;
    int fd;

    if (below < STASIS_HEADER_LEN || below > len - 4 || len - 4 - below < STASIS_HEADER_LEN)
        return 0;
    copy = fuzz_copy(bytes + 4, len - 4);
    layer = copy + below;
    len -= 4 + (size_t)below;
    seal(copy, below);
    lay_on(layer, len, header_of(copy, below));
    seal(layer, len);
    put_below(copy, below);
    fd = fuzz_file(layer, len);
    open_layer(fd);
    close(fd);
    free(copy);
    return 0;
}
