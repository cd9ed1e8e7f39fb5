/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "read_extents.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "compress.h"
#include "index_runs.h"
#include "sha256.h"

static int check(const struct stasis_snap *snap, uint64_t i,
                 const struct stasis_index_extents *extents, unsigned k, const uint8_t *bytes,
                 struct stasis_error *err)
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

        if (pages & 1 && !stasis_chunk_is_zero(at, STASIS_PAGE_SIZE))
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
        rc = check(snap, i, &extents, 0, host, err);
        if (!rc)
            clear_pages(host, stasis_pages_of(size) & ~(unsigned)extents.list[0].taken_pages);
        host += size;
    }
    return rc;
}

/* ---- chunks out of pieces ---- */

/* Room for what is stored, and for what it unpacks to. */
struct room {
    uint8_t stored[STASIS_CHUNK_SIZE];
    uint8_t unpacked[STASIS_CHUNK_SIZE];
};

static int unpack(const struct stasis_snap *snap, uint64_t i,
                  const struct stasis_snap_extent *extent, struct room *room,
                  struct stasis_error *err)
{
    size_t len = (size_t)__builtin_popcount(extent->stored_pages) * STASIS_PAGE_SIZE;
    bool nomem = false;

    if (stasis_decompress(room->stored, extent->stored_len, room->unpacked, len, &nomem))
        return 0;
    if (nomem)
        return stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to unpack RAM", snap->name);
    return stasis_snap_extent_damaged(snap, i, extent, "does not unpack to its pages", err);
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

static int read_piece(const struct stasis_snap *snap, uint64_t i,
                      const struct stasis_index_extents *extents, unsigned k, struct room *room,
                      uint8_t *host, struct stasis_error *err)
{
    const struct stasis_snap_extent *extent = &extents->list[k];
    bool packed = extent->encoding == STASIS_CHUNK_ZLIB;
    int rc = read_bytes(snap, i, extent, room->stored, extent->stored_len, err);

    if (!rc)
        rc = check(snap, i, extents, k, room->stored, err);
    if (!rc && packed)
        rc = unpack(snap, i, extent, room, err);
    if (!rc)
        place(extent, packed ? room->unpacked : room->stored, host);
    return rc;
}

static int read_pieces(const struct stasis_snap *snap, uint64_t i, uint32_t size,
                       const struct stasis_index_extents *extents, uint8_t *host,
                       struct stasis_error *err)
{
    struct room *room = malloc(sizeof(*room));
    unsigned left = stasis_pages_of(size);
    int rc = room ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to read RAM", snap->name);

    for (unsigned k = 0; k < extents->count && !rc; k++) {
        rc = read_piece(snap, i, extents, k, room, host, err);
        left &= ~(unsigned)extents->list[k].taken_pages;
    }
    if (!rc)
        clear_pages(host, left);
    free(room);
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
