/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Copy-on-write disks: what is written to a disk goes to a file of its own, the overlay, and what
 * lies below it stays as it is. docs/snapshot-format.md, "Disks", is the specification.
 *
 * Every page of an overlay has a checksum, which is verified when it is read. A flush makes what
 * was written before survive a power cut. What a failed write left is what was there before it,
 * page by page: an overlay is whole at any time.
 *
 * Threads: calls for one overlay are serialized by the caller. They wait for the host's disk.
 * Memory: 10 bytes for each page that is written, in steps of 5 KiB for 2 MiB of the disk.
 */
#ifndef STASIS_OVERLAY_H
#define STASIS_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/output.h"

STASIS_BEGIN_DECLS

#define STASIS_OVERLAY_SECTOR       512u
#define STASIS_OVERLAY_SAMPLES_SIZE 32u
#define STASIS_OVERLAY_ROOT_SIZE    32u

/* What an overlay lies on. Nobody writes to it, as long as there is an overlay on it. */
struct stasis_overlay_base {
    size_t size;    /* sizeof(struct stasis_overlay_base): lets the struct grow */
    uint64_t bytes; /* of the disk: whole sectors, at most STASIS_RAM_MAX */
    /* Reads bytes within the disk. False: failed; errno says why. */
    bool (*read)(void *ctx, uint64_t offset, void *bytes, size_t len);
    void *ctx;
    /* By which a raw image is known: inode of its file, when that was last written to (0: unknown),
     * and a digest of samples of its content, or none. An overlay keeps what it was made with. */
    uint64_t inode, mtime_ns;
    bool has_samples;
    uint8_t samples[STASIS_OVERLAY_SAMPLES_SIZE];
    /* The root (32 bytes) of the sealed overlay that the overlay lies on; a new one is made on it.
     * It is sought in the overlay's folder. NULL: a new one lies on the image. */
    const uint8_t *root;
    bool may_differ; /* an overlay that was made on another image, or before a change, is opened */
};

struct stasis_overlay;

/* Opens the overlay at `path`, as it was after its last flush, or makes it, if there is no file or
 * an empty one. The file is locked until it is freed (fcntl(2), F_OFD_SETLK). *base is copied; what
 * its ctx leads to must work until then. `outputs` (may be NULL) knows the files of this process.
 *
 * STASIS_ERR_ARG: the file is no overlay, is sealed, lies on another base, or is in use;
 * STASIS_ERR_CORRUPT: it is damaged; STASIS_ERR_VERSION: a later release wrote it; STASIS_ERR_READ,
 * STASIS_ERR_WRITE: its disk fails, or is full; STASIS_ERR_NOMEM; and, if sealing it was cut off,
 * the errors of stasis_overlay_seal(), which is done then. Messages do not begin with the path. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_open(const char *path,
                                                        struct stasis_outputs *outputs,
                                                        const struct stasis_overlay_base *base,
                                                        struct stasis_overlay **ret_overlay,
                                                        struct stasis_error *err);

/* Closes it. What was not flushed is lost. NULL is fine. */
STASIS_EXPORT void stasis_overlay_free(struct stasis_overlay *overlay);

/* Bytes within the disk. STASIS_ERR_CORRUPT: a page is not what was written; STASIS_ERR_READ. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_read(struct stasis_overlay *overlay,
                                                        uint64_t offset, void *bytes, size_t len,
                                                        struct stasis_error *err);

/* STASIS_ERR_WRITE: the file's disk is full, or fails; STASIS_ERR_NOMEM; of parts of pages also as
 * reading. Then any of the pages may hold what they held before. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_write(struct stasis_overlay *overlay,
                                                         uint64_t offset, const void *bytes,
                                                         size_t len, struct stasis_error *err);

/* The range reads as zero. Its pages' places are used again after the next flush. The errors of
 * writing. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_zero(struct stasis_overlay *overlay,
                                                        uint64_t offset, uint64_t len,
                                                        struct stasis_error *err);

/* The content of the range may become anything: pages of it that the overlay has become zero, and
 * others stay as they are. Takes no memory and cannot fail. */
STASIS_EXPORT void stasis_overlay_discard(struct stasis_overlay *overlay, uint64_t offset,
                                          uint64_t len);

/* What was written before survives a power cut. STASIS_ERR_WRITE, STASIS_ERR_READ,
 * STASIS_ERR_CORRUPT, STASIS_ERR_NOMEM: it may not, and nothing that was flushed earlier is lost;
 * the next flush tries again, with all of it. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_flush(struct stasis_overlay *overlay,
                                                         struct stasis_error *err);

/* A flush after which damage to the file is told from a power cut. To be called at the end. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_finish(struct stasis_overlay *overlay,
                                                          struct stasis_error *err);

/* Seals the overlay: its file gets the name FILE.<first 16 hexadecimal digits of its root> and
 * never changes again, and a new overlay on it takes the name FILE, and goes on. *ret_root is the
 * content of the disk as of now. An overlay that nothing was written to is not sealed: its root is
 * that of what it lies on, or, on an image, *ret_has_root is false.
 *
 * STASIS_ERR_WRITE, and the errors of flushing; STASIS_ERR_EXISTS: there is a file of that name;
 * STASIS_ERR_FULL: it lies on as many as can be. The overlay is in use as before, or a new one is.
 */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_seal(struct stasis_overlay *overlay,
                                                        uint8_t ret_root[STASIS_OVERLAY_ROOT_SIZE],
                                                        bool *ret_has_root,
                                                        struct stasis_error *err);

struct stasis_overlay_stats {
    uint64_t mapped_bytes; /* of the disk that the overlay has itself */
    uint64_t file_bytes;   /* length of the file */
    uint64_t free_bytes;   /* of it, that the next writes use */
    uint64_t commits;      /* since the overlay was made: the content changes with them */
    uint8_t uuid[16];      /* of the overlay */
    bool has_root;         /* it lies on a sealed one, of this root */
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
};

STASIS_EXPORT struct stasis_overlay_stats
stasis_overlay_stats(const struct stasis_overlay *overlay);

STASIS_END_DECLS

#endif
