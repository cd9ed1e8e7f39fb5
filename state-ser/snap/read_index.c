/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index out of a file. That of version 2 is kept as it is. That of version 1 can be megabytes,
 * most of it the same 24 bytes for memory that is zero, and a guest waits for it: it is read in
 * pieces that stay in a core's cache, and blocks of entries that are all zero are kept once. Until
 * the CRC of all of it is known to be right, bytes are compared and moved, and none is believed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "le.h"
#include "object.h"
#include "stasis/bytes.h"

/* Read at a time. Memory that is touched for the first time costs more than system calls do. */
#define PIECE_LEN (4 * STASIS_INDEX_BLOCK_LEN)

struct reading {
    struct stasis_index *index;
    size_t used;   /* bytes of index->bytes that are taken */
    size_t blocks; /* that are known */
};

/* Where the entries begin if the index is a good one: by its count of regions, which is looked at
 * before the CRC. It says where blocks are cut and nothing else. */
static size_t head_len(const uint8_t bytes[4], size_t len)
{
    uint32_t regions = stasis_le32_get(bytes);
    size_t head = regions > STASIS_INDEX1_REGION_MAX ? len : stasis_index_head_len(regions);

    return head < len ? head : len;
}

/* Bytes of the section from `at` on. No entry, extent or digest is all zero: where a page is, there
 * may be a hole in the file, and memory is not filled for that. */
static int read_piece(const struct stasis_input *input, const struct stasis_section *section,
                      uint64_t at, uint8_t *piece, size_t len, struct stasis_error *err)
{
    int rc = stasis_snap_read_exactly(input, piece, len, section->offset + at, err);

    for (size_t page = 0; !rc && page + STASIS_PAGE_SIZE <= len; page += STASIS_PAGE_SIZE)
        if (stasis_is_zero(piece + page, STASIS_PAGE_SIZE))
            rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                             "the index section is damaged (zeros from %" PRIu64 " on)", at + page);
    return rc;
}

static bool is_zero_block(const struct stasis_index *index, const uint8_t *block)
{
    static const uint8_t entry[STASIS_INDEX_CHUNK_LEN] = {STASIS_CHUNK_ZERO};

    if (index->zero)
        return !memcmp(block, index->zero, STASIS_INDEX_BLOCK_LEN);
    return !memcmp(block, entry, sizeof(entry)) &&
           !memcmp(block, block + sizeof(entry), STASIS_INDEX_BLOCK_LEN - sizeof(entry));
}

/* Takes a block that lies at or behind what is taken already. */
static void keep_block(struct reading *reading, uint8_t *block, size_t len)
{
    struct stasis_index *index = reading->index;
    bool zero = len == STASIS_INDEX_BLOCK_LEN && is_zero_block(index, block);
    uint8_t *at = index->bytes + reading->used;

    if (zero && index->zero) {
        index->blocks[reading->blocks++] = index->zero;
        return;
    }
    if (at != block)
        memmove(at, block, len);
    if (zero)
        index->zero = at;
    index->blocks[reading->blocks++] = at;
    reading->used += len;
}

static size_t piece_len(const struct stasis_index *index, size_t from)
{
    return index->len - from < PIECE_LEN ? index->len - from : PIECE_LEN;
}

static int read_entries(struct reading *reading, const struct stasis_input *input,
                        const struct stasis_section *section, uint32_t *crc,
                        struct stasis_error *err)
{
    size_t len;

    for (size_t from = reading->used; from < reading->index->len; from += len) {
        uint8_t *piece = reading->index->bytes + reading->used;
        int rc;

        len = piece_len(reading->index, from);
        rc = read_piece(input, section, from, piece, len, err);
        if (rc)
            return rc;
        *crc = stasis_crc32_more(*crc, piece, len);
        for (size_t at = 0; at < len; at += STASIS_INDEX_BLOCK_LEN)
            keep_block(reading, piece + at,
                       len - at < STASIS_INDEX_BLOCK_LEN ? len - at : STASIS_INDEX_BLOCK_LEN);
    }
    return 0;
}

static int read_blocks(struct stasis_index *index, const struct stasis_input *input,
                       const struct stasis_section *section, struct stasis_error *err)
{
    struct reading reading = {.index = index};
    uint32_t crc;
    size_t head;
    int rc = stasis_snap_read_exactly(input, index->bytes, STASIS_INDEX_PREFIX_LEN, section->offset,
                                      err);

    if (rc)
        return rc;
    head = head_len(index->bytes, index->len);
    /* Not again what was read: the count must be the same one when it is parsed. */
    rc = stasis_snap_read_exactly(input, index->bytes + STASIS_INDEX_PREFIX_LEN,
                                  head - STASIS_INDEX_PREFIX_LEN,
                                  section->offset + STASIS_INDEX_PREFIX_LEN, err);
    if (rc)
        return rc;
    crc = stasis_crc32(index->bytes, head);
    reading.used = head;
    rc = read_entries(&reading, input, section, &crc, err);
    if (!rc && crc != section->crc)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the index section is damaged (CRC)");
    return rc;
}

static int read_runs(struct stasis_index *index, const struct stasis_input *input,
                     const struct stasis_section *section, struct stasis_error *err)
{
    uint32_t crc = stasis_crc32(NULL, 0);
    size_t len;
    int rc = 0;

    for (size_t from = 0; from < index->len && !rc; from += len) {
        len = piece_len(index, from);
        rc = read_piece(input, section, from, index->bytes + from, len, err);
        crc = stasis_crc32_more(crc, index->bytes + from, len);
    }
    if (!rc && crc != section->crc)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the index section is damaged (CRC)");
    return rc;
}

static bool alloc_runs(struct stasis_index *index, uint64_t len)
{
    index->bytes = malloc(len);
    index->len = len;
    return index->bytes;
}

int stasis_index_read(const struct stasis_input *input, const struct stasis_header *header,
                      struct stasis_index *ret_index, struct stasis_error *err)
{
    const struct stasis_section *section = stasis_header_section(header, STASIS_SECTION_INDEX);
    uint32_t version = header->info.format_version;
    uint64_t most =
        stasis_index_size_max(header->info.ram_bytes, stasis_index_form_of(&header->info));
    struct stasis_index index = {0};
    int rc = stasis_snap_check_section(section, "index", most, err);

    if (!rc && section->length < (version == 1 ? STASIS_INDEX_PREFIX_LEN : STASIS_RUNS_PREFIX_LEN))
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the index is too short");
    if (!rc && !(version == 1 ? stasis_index_alloc : alloc_runs)(&index, section->length))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the index section");
    if (!rc)
        rc = (version == 1 ? read_blocks : read_runs)(&index, input, section, err);
    if (!rc)
        rc = stasis_index_parse(&index, header, err);
    if (rc)
        stasis_index_fini(&index);
    else
        *ret_index = index;
    return rc;
}
