/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The overlay of a disk: u16 bytes of its last place that it lacks, and pieces {u16 place, u16
 * offset in it, u16 length, bytes} of a file that is zero elsewhere. CRCs and root are made right.
 * It is looked at and verified, and then opened to be written to, with the same verdict and
 * content.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/le.h"
#include "state-ser/snap/overlay.h"
#include "stasis/bytes.h"

#define PAGE   STASIS_OVERLAY_PAGE
#define PLACES 320u
#define PIECE  6u
#define PAGES  16u /* of the largest disk that is read */

static bool read_zeros(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx;
    (void)offset;
    memset(bytes, 0, len);
    return true;
}

/* Returns how many bytes the file has. */
static size_t lay_out(uint8_t *file, const uint8_t *bytes, size_t len)
{
    size_t end = 0;

    for (size_t at = 2; at + PIECE <= len;) {
        size_t place = stasis_le16_get(bytes + at) % PLACES;
        size_t offset = stasis_le16_get(bytes + at + 2) % PAGE;
        size_t part = stasis_le16_get(bytes + at + 4);
        size_t left = len - at - PIECE, room = PAGE - offset;

        part = part > left ? left : part;
        part = part > room ? room : part;
        memcpy(file + place * PAGE + offset, bytes + at + PIECE, part);
        end = (place + 1) * PAGE > end ? (place + 1) * PAGE : end;
        at += PIECE + part;
    }
    return end && len >= 2 ? end - stasis_le16_get(bytes) % PAGE : 0;
}

static void fix_header(uint8_t *header)
{
    stasis_le32_put(header + STASIS_HDR_CRC,
                    stasis_overlay_crc(header, STASIS_HEADER_LEN, STASIS_HDR_CRC));
}

static void fix_commit(uint8_t *commit, size_t left)
{
    uint64_t len = stasis_commit_len(stasis_le32_get(commit + STASIS_COMMIT_ENTRIES),
                                     stasis_le32_get(commit + STASIS_COMMIT_STATE_LEN));

    if (len <= left)
        stasis_le32_put(commit + STASIS_COMMIT_CRC,
                        stasis_overlay_crc(commit, (size_t)len, STASIS_COMMIT_CRC));
}

static bool is_in(const struct stasis_section *section, size_t len)
{
    return section && section->offset <= len && section->length <= len - section->offset;
}

/* Of a sealed one, as far as there is anything to be right. */
static void fix_trailer(uint8_t *file, size_t len)
{
    uint8_t *trailer = file + len - STASIS_HEADER_LEN;
    struct stasis_section *index, *state;
    struct stasis_header header;

    fix_header(trailer);
    if (stasis_header_decode_disk(trailer, &header, NULL))
        return;
    index = (void *)(uintptr_t)stasis_header_section(&header, STASIS_SECTION_INDEX);
    state = (void *)(uintptr_t)stasis_header_section(&header, STASIS_SECTION_STATE);
    if (!is_in(index, len) || !is_in(state, len))
        return;
    index->crc = stasis_crc32(file + index->offset, index->length);
    state->crc = stasis_crc32(file + state->offset, state->length);
    if (!stasis_overlay_index_check(&header.info, file + index->offset, index->length, NULL))
        stasis_overlay_index_root(file + index->offset, &header.info, file + state->offset,
                                  state->length, header.info.root);
    stasis_header_encode(&header, trailer);
}

static void fix(uint8_t *file, size_t len)
{
    fix_header(file);
    if (stasis_header_has_magic(file + len - STASIS_HEADER_LEN, STASIS_HEADER_LEN))
        fix_trailer(file, len);
    for (unsigned slot = 1; slot < 3; slot++)
        stasis_le32_put(file + slot * PAGE + STASIS_SLOT_CRC,
                        stasis_overlay_crc(file + slot * PAGE, STASIS_SLOT_LEN, STASIS_SLOT_CRC));
    for (size_t at = 3 * PAGE; at + PAGE <= len; at += PAGE)
        if (!memcmp(file + at, STASIS_COMMIT_MAGIC, sizeof(STASIS_COMMIT_MAGIC)))
            fix_commit(file + at, len - at);
}

/* ---- both ways to its content ---- */

static int sum(struct stasis_overlay *overlay, uint64_t disk, uint32_t *ret_crc)
{
    uint8_t bytes[PAGES * PAGE];
    int rc = stasis_overlay_read(overlay, 0, bytes, disk, NULL);

    *ret_crc = rc ? 0 : stasis_crc32(bytes, disk);
    return rc;
}

static int look(const char *path, const struct stasis_overlay_base *base, uint32_t *ret_crc)
{
    const struct stasis_overlay_look opts = {.size = sizeof(opts), .base = base};
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err = {0};
    uint64_t stray;
    int rc = stasis_overlay_open_to_read(path, NULL, &opts, &overlay, &err);

    FUZZ_ASSERT(!rc == !err.code);
    if (!rc) {
        rc = sum(overlay, base->bytes, ret_crc);
        FUZZ_ASSERT(rc || !stasis_overlay_verify(overlay, NULL, NULL, &stray, NULL));
    }
    stasis_overlay_free(overlay);
    return rc;
}

/* Without a base, and of any size. */
static void look_alone(const char *path)
{
    const struct stasis_overlay_look opts = {.size = sizeof(opts), .alone = true};
    struct stasis_overlay *overlay = NULL;
    struct stasis_overlay_file file;
    uint64_t stray;

    if (stasis_overlay_open_to_read(path, NULL, &opts, &overlay, NULL))
        return;
    file = stasis_overlay_file_at(overlay, 0);
    FUZZ_ASSERT(file.pages <= PLACES);
    FUZZ_ASSERT(stasis_overlay_next(overlay, 0) <= stasis_overlay_about(overlay).disk_bytes);
    (void)!stasis_overlay_verify(overlay, NULL, NULL, &stray, NULL);
    stasis_overlay_free(overlay);
}

static void compare(const char *path, const uint8_t *file, size_t len)
{
    uint64_t ram_bytes = len < PAGE ? 0 : stasis_le64_get(file + STASIS_HDR_RAM_BYTES);
    const struct stasis_overlay_base base = {
        .size = sizeof(base), .bytes = ram_bytes, .read = read_zeros, .may_differ = true};
    struct stasis_overlay *overlay = NULL;
    uint32_t looked_crc = 0, crc = 0;
    int looked, rc;

    if (!ram_bytes || ram_bytes > PAGES * PAGE || ram_bytes % STASIS_OVERLAY_SECTOR)
        return;
    looked = look(path, &base, &looked_crc);
    rc = stasis_overlay_open(path, NULL, &base, &overlay, NULL);
    if (!rc)
        rc = sum(overlay, ram_bytes, &crc);
    stasis_overlay_free(overlay);
    FUZZ_ASSERT(rc || (!looked && crc == looked_crc));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t file[(PLACES + 1) * PAGE];
    char path[32];
    size_t end;
    int fd;

    memset(file, 0, sizeof(file));
    end = lay_out(file, bytes, len);
    if (end < 4 * PAGE || stasis_is_zero(file, PAGE))
        return 0;
    fix(file, end);
    fd = fuzz_file(file, end);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    look_alone(path);
    compare(path, file, end);
    close(fd);
    return 0;
}
