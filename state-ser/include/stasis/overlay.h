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
#include "stasis/snap.h"

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
     * NULL: a new one lies on the image. */
    const uint8_t *root;
    /* What an overlay lies on is sought in its own folder, and what is not there in this one, until
     * it is open. NULL: there is no other. */
    const char *layers;
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

/* For a dry run: what stasis_overlay_open() would do. Nothing is made or changed, or stays locked.
 * Of the functions below only stasis_overlay_stats() and freeing are for *ret_overlay, which is as
 * it would be: if sealing was cut off, it is the new one on the sealed one, and has no UUID (0).
 * NULL: one would be made. The errors of stasis_overlay_open(), as far as they can be foreseen. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_try(const char *path,
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

/* Before sealing, in which nobody is asked any more: whether it lies on as many as can be
 * (STASIS_ERR_FULL); and brings what was written to the disk, so that little is left to wait for.
 * keep_on is asked meanwhile; false: STASIS_ERR_CANCELLED. STASIS_ERR_WRITE. What was not flushed
 * is as before, and written once more by the next flush. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_check_seal(const struct stasis_overlay *overlay,
                                                              struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_write_back(struct stasis_overlay *overlay,
                                                              bool (*keep_on)(void *ctx), void *ctx,
                                                              struct stasis_error *err);

/* Seals the overlay: its file gets the name FILE.<first 16 hexadecimal digits of its root> and
 * never changes again, and a new overlay on it takes the name FILE, and goes on. *ret_root is the
 * content of the disk as of now. An overlay that nothing was written to is not sealed: its root is
 * that of what it lies on, or, on an image, *ret_has_root is false.
 *
 * `how` is 0, or of these:
 * - STASIS_OVERLAY_DIGESTS: with a SHA-256 of each page, so that the root stands for the content
 *   also against somebody who makes a file on purpose, down to the first sealed overlay that has
 *   none. The pages are read for that, and verified. Releases before 0.3.0 do not read such a file.
 * - STASIS_OVERLAY_PARTIAL: its index says of its own pages only. Else it says, now and then, of
 *   those of all files below, so that opening a long chain reads the indexes of a few, and releases
 *   before 0.3.0 do not read such a file.
 *
 * STASIS_ERR_ARG: other bits of `how`; STASIS_ERR_WRITE, and the errors of flushing, with digests
 * of reading; STASIS_ERR_EXISTS: there is a file of that name; STASIS_ERR_FULL: it lies on as many
 * as can be. The overlay is in use as before, or a new one is.
 */
enum { STASIS_OVERLAY_DIGESTS = 1, STASIS_OVERLAY_PARTIAL = 2 };
STASIS_EXPORT STASIS_MUST_CHECK int stasis_overlay_seal(struct stasis_overlay *overlay,
                                                        unsigned how,
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
    bool needs_newer; /* releases before 0.3.0 do not read one that it lies on */
};

STASIS_EXPORT struct stasis_overlay_stats
stasis_overlay_stats(const struct stasis_overlay *overlay);

/* ---- looking at what is there ---- */

/* All 0: with all files that it lies on, as far as they are sealed, and without the image. */
struct stasis_overlay_look {
    size_t size; /* sizeof(struct stasis_overlay_look): lets the struct grow */
    /* A folder where sealed files are sought that are not in its own; or NULL. */
    const char *layers;
    /* The image: without it, its pages cannot be read. Its root and layers do not count. */
    const struct stasis_overlay_base *base;
    bool alone; /* without the files that it lies on: theirs are pages of an image then */
};

/* Opens an overlay that is sealed, or that nobody uses, for reading: of the functions above, only
 * reading and freeing are for it. Nothing is written. While it is open, nobody can use it, unless
 * it is sealed. What it lies on is noted in `outputs` (may be NULL), too.
 *
 * STASIS_ERR_NOT_FOUND: a file is not there; STASIS_ERR_ARG: it is no disk, in use, or lies on
 * another image; STASIS_ERR_CORRUPT; STASIS_ERR_VERSION; STASIS_ERR_READ; STASIS_ERR_NOMEM.
 * Messages begin with the path of the file that they are about. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_overlay_open_to_read(const char *path, struct stasis_outputs *outputs,
                            const struct stasis_overlay_look *look,
                            struct stasis_overlay **ret_overlay, struct stasis_error *err);

/* Whether the file at `path` is a regular one, and begins as an overlay does. */
STASIS_EXPORT bool stasis_overlay_is_at(const char *path);

/* What one that was opened to be read is. */
struct stasis_overlay_about {
    uint64_t disk_bytes;
    bool is_sealed;
    bool has_ended;           /* in order: whoever used it last has not been killed */
    bool was_cut_off;         /* while it was being sealed */
    bool lies_on_image;       /* the lowest of its files, which says what is known of the image: */
    uint64_t inode, mtime_ns; /* 0: unknown */
    bool has_samples;
    uint8_t samples[STASIS_OVERLAY_SAMPLES_SIZE];
    uint32_t files; /* itself, and what it lies on */
};
STASIS_EXPORT struct stasis_overlay_about
stasis_overlay_about(const struct stasis_overlay *overlay);

/* One of its files; 0 is itself, then downward. */
struct stasis_overlay_file {
    const char *name;                    /* its path; lives as long as the overlay */
    const struct stasis_snap_info *info; /* root, file_len, stored_bytes: 0 of one in use */
    uint64_t file_len;
    uint64_t pages; /* of the disk that are taken from it, */
    uint64_t zeros; /* and those that it says are zero */
};
STASIS_EXPORT struct stasis_overlay_file
stasis_overlay_file_at(const struct stasis_overlay *overlay, uint32_t index);

/* The first byte from `offset` on, at the start of a page, that is stored in one of its files; the
 * end of the disk: there is none. What is between is zero, or the image's. */
STASIS_EXPORT uint64_t stasis_overlay_next(const struct stasis_overlay *overlay, uint64_t offset);

/* Verifies every page that is stored in one of its files. *ret_stray is an offset in the file
 * itself, if it is sealed, from which on it has bytes that it does not use, and that are not zero,
 * as sealing leaves them that was cut off at its end; 0: there are none. `progress` (may be NULL)
 * gets bytes done and in all; false: it is to be given up. STASIS_ERR_CORRUPT, STASIS_ERR_READ,
 * STASIS_ERR_CANCELLED, STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_overlay_verify(struct stasis_overlay *overlay,
                      bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                      uint64_t *ret_stray, struct stasis_error *err);

STASIS_END_DECLS

#endif
