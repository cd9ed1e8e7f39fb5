/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "read_extents.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "compress.h"
#include "index_runs.h"
#include "sha256.h"
#include "stasis/bytes.h"

int stasis_extents_check(const struct stasis_snap *snap, uint64_t i,
                         const struct stasis_index_extents *extents, unsigned k,
                         const uint8_t *bytes, struct stasis_error *err)
{
    const struct stasis_snap_extent *extent = &extents->list[k];
    uint8_t digest[STASIS_DIGEST_SIZE];

    if (stasis_crc32(bytes, extent->stored_len) != extent->crc)
        return stasis_snap_extent_damaged(snap, i, extent, "damaged (CRC)", err);
    if (!extents->digests)
        return 0;
    stasis_sha256(bytes, extent->stored_len, digest);
    if (memcmp(digest, extents->digests + (size_t)k * STASIS_DIGEST_SIZE, sizeof(digest)) != 0)
        return stasis_snap_extent_damaged(snap, i, extent, "damaged (SHA-256)", err);
    return 0;
}

static int read_bytes(const struct stasis_snap *snap, uint64_t i,
                      const struct stasis_snap_extent *extent, uint8_t *bytes, size_t len,
                      struct stasis_error *err)
{
    const struct stasis_source *source = snap->files[extent->file];
    ssize_t n = stasis_input_read(&source->input, bytes, len, extent->offset);

    if (n < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "%s: reading RAM at 0x%" PRIx64 " (%s)",
                                 source->name, stasis_index_get(&snap->index, i).gpa,
                                 stasis_input_remedy(&source->input));
    if ((size_t)n < len)
        return stasis_snap_extent_damaged(snap, i, extent, "the file has become shorter", err);
    return 0;
}

/* Pages of a chunk that nothing takes; looks before it writes, so that fresh ones stay so. */
static void clear_pages(uint8_t *host, unsigned pages)
{
    for (unsigned page = 0; pages; page++, pages >>= 1) {
        uint8_t *at = host + (size_t)page * STASIS_PAGE_SIZE;

        if (pages & 1 && !stasis_is_zero(at, STASIS_PAGE_SIZE))
            memset(at, 0, STASIS_PAGE_SIZE);
    }
}

/* ---- chunks that are stored in full ---- */

static bool is_plain(const struct stasis_index_extents *extents, uint32_t size)
{
    return extents->count == 1 && extents->list[0].encoding == STASIS_CHUNK_RAW &&
           extents->list[0].stored_len == size;
}

struct run {
    uint64_t end;
    uint64_t len;
};

/* As far as one read goes. */
static struct run run_from(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                           const struct stasis_index_extents *start, uint32_t size)
{
    struct stasis_index_extents extents;
    struct run run = {first + 1, size};

    while (run.end < end) {
        size = stasis_index_get(&snap->index, run.end).size;
        stasis_index_get_extents(&snap->index, run.end, &extents);
        if (!is_plain(&extents, size) || extents.list[0].file != start->list[0].file ||
            extents.list[0].offset != start->list[0].offset + run.len)
            break;
        run.len += size;
        run.end++;
    }
    return run;
}

static int read_run(const struct stasis_snap *snap, uint64_t first, const struct run *run,
                    const struct stasis_index_extents *start, uint8_t *host,
                    struct stasis_error *err)
{
    int rc = read_bytes(snap, first, &start->list[0], host, run->len, err);

    for (uint64_t i = first; i < run->end && !rc; i++) {
        uint32_t size = stasis_index_get(&snap->index, i).size;
        struct stasis_index_extents extents;

        stasis_index_get_extents(&snap->index, i, &extents);
        rc = stasis_extents_check(snap, i, &extents, 0, host, err);
        if (!rc)
            clear_pages(host, stasis_pages_of(size) & ~(unsigned)extents.list[0].taken_pages);
        host += size;
    }
    return rc;
}

/* ---- chunks out of pieces ---- */

struct pieces {
    const struct stasis_snap *snap;
    uint64_t i; /* the chunk */
    const struct stasis_index_extents *extents;
    uint8_t *host;
    uint8_t *stored;   /* room for a chunk, as soon as it is needed */
    uint8_t *unpacked; /* the same */
};

static int make_room(const struct pieces *pieces, uint8_t **room, struct stasis_error *err)
{
    if (!*room)
        *room = malloc(STASIS_CHUNK_SIZE);
    return *room ? 0
                 : stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to read RAM",
                               pieces->snap->name);
}

static int unpack(struct pieces *pieces, const struct stasis_snap_extent *extent,
                  struct stasis_error *err)
{
    size_t len = (size_t)__builtin_popcount(extent->stored_pages) * STASIS_PAGE_SIZE;
    bool nomem = false;
    int rc = make_room(pieces, &pieces->unpacked, err);

    if (rc)
        return rc;
    if (stasis_decompress(pieces->stored, extent->stored_len, pieces->unpacked, len, &nomem))
        return 0;
    if (nomem)
        return stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to unpack RAM",
                           pieces->snap->name);
    return stasis_snap_extent_damaged(pieces->snap, pieces->i, extent,
                                      "does not unpack to its pages", err);
}

/* Stored pages follow one another. */
static void place(const struct stasis_snap_extent *extent, const uint8_t *from, uint8_t *host)
{
    for (unsigned page = 0; page < STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE; page++) {
        if (!(extent->stored_pages >> page & 1))
            continue;
        if (extent->taken_pages >> page & 1)
            memcpy(host + (size_t)page * STASIS_PAGE_SIZE, from, STASIS_PAGE_SIZE);
        from += STASIS_PAGE_SIZE;
    }
}

static int read_piece(struct pieces *pieces, unsigned k, struct stasis_error *err)
{
    const struct stasis_snap_extent *extent = &pieces->extents->list[k];
    bool packed = extent->encoding == STASIS_CHUNK_ZLIB;
    int rc = make_room(pieces, &pieces->stored, err);

    if (!rc)
        rc = read_bytes(pieces->snap, pieces->i, extent, pieces->stored, extent->stored_len, err);
    if (!rc)
        rc = stasis_extents_check(pieces->snap, pieces->i, pieces->extents, k, pieces->stored, err);
    if (!rc && packed)
        rc = unpack(pieces, extent, err);
    if (!rc)
        place(extent, packed ? pieces->unpacked : pieces->stored, pieces->host);
    return rc;
}

/* The piece that stores all of the chunk as it is, and may be read where it belongs, before others
 * are put over it; `count` if there is none. */
static unsigned full_piece(const struct stasis_index_extents *extents, uint32_t size)
{
    unsigned k = 0;

    while (k < extents->count &&
           (extents->list[k].encoding != STASIS_CHUNK_RAW || extents->list[k].stored_len != size))
        k++;
    return k;
}

static int read_pieces(const struct stasis_snap *snap, uint64_t i, uint32_t size,
                       const struct stasis_index_extents *extents, uint8_t *host,
                       struct stasis_error *err)
{
    struct pieces pieces = {.snap = snap, .i = i, .extents = extents, .host = host};
    unsigned full = full_piece(extents, size);
    unsigned left = stasis_pages_of(size);
    int rc = 0;

    if (full < extents->count) {
        rc = read_bytes(snap, i, &extents->list[full], host, size, err);
        if (!rc)
            rc = stasis_extents_check(snap, i, extents, full, host, err);
    }
    for (unsigned k = 0; k < extents->count && !rc; k++) {
        if (k != full)
            rc = read_piece(&pieces, k, err);
        left &= ~(unsigned)extents->list[k].taken_pages;
    }
    if (!rc)
        clear_pages(host, left);
    free(pieces.stored);
    free(pieces.unpacked);
    return rc;
}

int stasis_extents_read(const struct stasis_snap *snap, uint64_t first, uint64_t end, uint8_t *host,
                        uint64_t *ret_next, struct stasis_error *err)
{
    uint32_t size = stasis_index_get(&snap->index, first).size;
    struct stasis_index_extents extents;
    struct run run;

    stasis_index_get_extents(&snap->index, first, &extents);
    *ret_next = first + 1;
    if (!is_plain(&extents, size))
        return read_pieces(snap, first, size, &extents, host, err);
    run = run_from(snap, first, end, &extents, size);
    *ret_next = run.end;
    return read_run(snap, first, &run, &extents, host, err);
}
