/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Stored RAM one chunk at a time, for those who look into a snapshot and do not run it.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "object.h"

static int damaged(const struct stasis_snap *snap, const char *file, uint64_t i, uint64_t offset,
                   const char *what, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "%s: chunk %" PRIu64 ", guest address 0x%" PRIx64 ", file offset %" PRIu64
                       ": %s",
                       file, i, stasis_index_get(&snap->index, i).gpa, offset, what);
}

int stasis_snap_chunk_damaged_at(const struct stasis_snap *snap, uint64_t i, uint64_t offset,
                                 const char *what, struct stasis_error *err)
{
    return damaged(snap, snap->name, i, offset, what, err);
}

int stasis_snap_chunk_damaged(const struct stasis_snap *snap, uint64_t i, const char *what,
                              struct stasis_error *err)
{
    return stasis_snap_chunk_damaged_at(snap, i, stasis_index_get(&snap->index, i).offset, what,
                                        err);
}

int stasis_snap_chunk_unreadable(const struct stasis_snap *snap, uint64_t i,
                                 struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_READ, "%s: reading RAM at 0x%" PRIx64 " (%s)",
                             snap->name, stasis_index_get(&snap->index, i).gpa,
                             stasis_input_remedy(&snap->input));
}

int stasis_snap_extent_damaged(const struct stasis_snap *snap, uint64_t i,
                               const struct stasis_snap_extent *extent, const char *what,
                               struct stasis_error *err)
{
    return damaged(snap, snap->files[extent->file]->name, i, extent->offset, what, err);
}

int stasis_snap_check_ram(const struct stasis_snap *snap, struct stasis_error *err)
{
    if (!stasis_input_is_open(&snap->input))
        return stasis_fail(err, STASIS_ERR_ARG, "RAM comes out of a snapshot that was opened");
    if (snap->has_no_parents)
        return stasis_fail(err, STASIS_ERR_NOT_FOUND,
                           "%s: its RAM cannot be read without what it lies on", snap->name);
    return 0;
}

int stasis_snap_read_chunk(const struct stasis_snap *snap, uint64_t index, void *host,
                           struct stasis_error *err)
{
    struct stasis_snap_chunk chunk;
    int rc;

    if (!stasis_input_is_open(&snap->input) || index >= snap->index.chunk_count)
        return stasis_fail(err, STASIS_ERR_ARG, "no chunk %" PRIu64 " in an opened snapshot",
                           index);
    rc = stasis_snap_check_ram(snap, err);
    if (rc)
        return rc;
    chunk = stasis_index_get(&snap->index, index);
    if (chunk.kind != STASIS_CHUNK_ZERO)
        return stasis_snap_read_chunks(snap, index, index + 1, host, err);
    memset(host, 0, chunk.size);
    return 0;
}

uint32_t stasis_snap_extent_count(const struct stasis_snap *snap, uint64_t chunk)
{
    struct stasis_index_extents extents;

    assert(chunk < stasis_snap_chunk_count(snap));
    stasis_index_get_extents(&snap->index, chunk, &extents);
    return extents.count;
}

struct stasis_snap_extent stasis_snap_extent_at(const struct stasis_snap *snap, uint64_t chunk,
                                                uint32_t index)
{
    struct stasis_index_extents extents;

    assert(chunk < stasis_snap_chunk_count(snap));
    stasis_index_get_extents(&snap->index, chunk, &extents);
    assert(index < extents.count);
    return extents.list[index];
}
