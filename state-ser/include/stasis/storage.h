/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots that are not files: in memory, behind a connection, in storage of your own. You provide
 * functions that read and write bytes; the engine checks what it reads in the same way as a file.
 * docs/embedding.md, "Storage of your own"; examples/memory_slots.c.
 */
#ifndef STASIS_STORAGE_H
#define STASIS_STORAGE_H

#include <sys/types.h>

#include "stasis/snap.h"

STASIS_BEGIN_DECLS

/* `read` is needed to open, `write` to save. Neither may use the snapshot that it serves, or touch
 * RAM that is being loaded from it. */
struct stasis_storage {
    size_t size;      /* sizeof(struct stasis_storage): lets the struct grow */
    const char *name; /* for messages; must not be NULL */

    /* As pread(2): reads up to `len` bytes at `offset` into `buf` and returns their number, which
     * may be less than `len`; 0: there is nothing at `offset` or behind it. -1: failed; errno says
     * why (EINTR and EAGAIN are failures, too). Never asked for bytes behind `length`. May be
     * called by several threads at once. */
    ssize_t (*read)(void *ctx, void *buf, size_t len, uint64_t offset);
    uint64_t length; /* of the snapshot that is read */

    /* `read` delivers bytes in their order only, as a socket does: `offset` is the number of bytes
     * that it has delivered, `length` is ignored, and 0 is the end of the snapshot. Called by the
     * thread that opens, which spools the bytes to a temporary file first. */
    bool sequential;

    /* As write(2): appends up to `len` bytes and returns their number, which may be less than
     * `len`, but not 0. -1: failed; errno says why. Is not called again after a failure. Called by
     * one thread at a time, which may be one of the engine's. */
    ssize_t (*write)(void *ctx, const void *bytes, size_t len);

    void *ctx; /* of both */
};

/* stasis_snap_open() of storage. *storage is copied; what `ctx` leads to must work until
 * stasis_snap_free() and the last stasis_ram_free(). Such a snapshot cannot be mapped: in
 * stasis_ram_attach(), MAP becomes LAZY. STASIS_ERR_READ with the errno of `read`; else the errors
 * of stasis_snap_open_fd(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_open_storage(const struct stasis_storage *storage,
                                                             const struct stasis_parse_opts *opts,
                                                             struct stasis_snap **ret_snap,
                                                             struct stasis_error *err);

/* Saves to storage, in the streamed layout, as stasis_snap_save_stream(). The snapshot is whole
 * when this returns 0, and not before: keep an older one until then. STASIS_ERR_WRITE with the
 * errno of `write`. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_snap_save_storage(struct stasis_snap *snap,
                                                             const struct stasis_storage *storage,
                                                             const struct stasis_save_opts *opts,
                                                             struct stasis_save_stats *ret_stats,
                                                             struct stasis_error *err);

STASIS_END_DECLS

#endif
