/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The snapshot object, as the parts of the engine share it.
 */
#ifndef STASIS_SNAP_OBJECT_H
#define STASIS_SNAP_OBJECT_H

#include "populated.h"
#include "source.h"

/* Chunks that a thread takes at a time: 1 MiB, large enough for a transfer to run at full speed
 * and small enough to stay in a core's cache between checksum and transfer. */
#define STASIS_BATCH_CHUNKS 16u

struct stasis_snap {
    struct stasis_header header;    /* of the file opened or saved last */
    struct stasis_snap_info opened; /* of the file opened, whatever was saved since */
    struct stasis_index index; /* bytes: only of a file that was opened; of a layer, of all RAM */
    struct stasis_index own;   /* of an opened layer, what its file says; else empty */
    const uint8_t *host[STASIS_RAM_REGION_MAX]; /* only of a snapshot being built */
    struct stasis_snap *lies_on;                /* what it is saved on as a layer, or NULL */
    const uint64_t **dirty;        /* bitmaps of pages, by region; NULL: there is none */
    struct stasis_ram *ram_source; /* what loads the RAM of a snapshot being built, or NULL */
    enum stasis_populated_by populated_by; /* at best; tests and benchmarks ask for less */
    struct stasis_records *records;
    struct stasis_schema_set *schemas; /* that came with the file, if somebody asked */
    struct stasis_notes *notes;        /* those of the file once somebody asked */
    bool notes_read;
    char *name;                   /* of the file opened, for messages */
    struct stasis_input input;    /* of the file opened; that of files[0] */
    struct stasis_source **files; /* of the file opened: itself, then what it lies on */
    uint32_t file_count;
    uint32_t walked_count;    /* of the first ones an index was read to know where RAM is */
    uint32_t chain_len;       /* these, and the files that the last index names */
    bool has_no_parents;      /* a layer that was opened without: RAM cannot be read */
    _Atomic unsigned sharers; /* owners besides the first */
};

/* Where a save goes: a file, or a stream that can only be appended to. */
struct stasis_snap_target {
    int fd;
    const struct stasis_storage *storage; /* instead of the descriptor, or NULL; streamed */
    bool streamed;
    uint64_t pos; /* streamed: bytes written */
};

struct stasis_snap_written {
    struct stasis_header header;
    struct stasis_save_stats stats;
};

/* Writes the whole snapshot into the target, which is empty. STASIS_ERR_WRITE, STASIS_ERR_NOMEM,
 * STASIS_ERR_CANCELLED, and of a snapshot that was opened STASIS_ERR_CORRUPT, STASIS_ERR_READ,
 * STASIS_ERR_VERSION. */
int stasis_snap_write(struct stasis_snap *snap, struct stasis_snap_target *target,
                      const struct stasis_save_opts *opts, struct stasis_snap_written *ret_written,
                      struct stasis_error *err);

/* The last step of a save, when nothing can fail any more: tells the snapshot and the caller what
 * was written. ret_stats may be NULL. */
void stasis_snap_saved(struct stasis_snap *snap, const struct stasis_snap_written *written,
                       struct stasis_save_stats *ret_stats);

/* Checks *opts (may be NULL) and copies it, or the defaults. STASIS_ERR_ARG. */
int stasis_save_opts_get(const struct stasis_save_opts *opts, struct stasis_save_opts *ret_opts,
                         struct stasis_error *err);

/* Opens a snapshot, or another file of the user's, to be read. The caller closes *ret_fd.
 * STASIS_ERR_NOT_FOUND, STASIS_ERR_READ. */
int stasis_snap_open_file(const char *path, int *ret_fd, struct stasis_error *err);

/* Copies what comes out of `in`, which is sequential, into an unlinked temporary file, no more than
 * the snapshot's own header allows. The caller closes *ret_fd. Of opts (may be NULL) the progress
 * counts: STASIS_ERR_CANCELLED. */
int stasis_snap_spool(const struct stasis_input *in, const struct stasis_parse_opts *opts,
                      int *ret_fd, struct stasis_error *err);

/* Reads bytes that must be there, and judges a section's length by the most that it may be.
 * STASIS_ERR_CORRUPT, STASIS_ERR_READ. */
int stasis_snap_read_exactly(const struct stasis_input *input, void *buf, size_t len,
                             uint64_t offset, struct stasis_error *err);
int stasis_snap_check_section(const struct stasis_section *section, const char *name, uint64_t max,
                              struct stasis_error *err);

/* Reads state and, if that is expected, the root. The index is the file's own. STASIS_ERR_CORRUPT,
 * STASIS_ERR_VERSION, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_snap_read_state(struct stasis_snap *snap, const struct stasis_parse_opts *opts,
                           struct stasis_error *err);

/* The index that the file itself has. */
static inline const struct stasis_index *stasis_snap_own_index(const struct stasis_snap *snap)
{
    return snap->own.bytes ? &snap->own : &snap->index;
}

/* Of an opened layer: opens what it lies on, and makes the index of all RAM. `folder` (may be
 * NULL) is where that is sought. The errors of stasis_snap_open(). */
int stasis_layers_open(struct stasis_snap *snap, const struct stasis_parse_opts *opts,
                       const char *folder, struct stasis_error *err);

/* STASIS_ERR_ARG: the snapshot is not one that was opened; STASIS_ERR_NOT_FOUND: it was opened
 * without what it lies on. */
int stasis_snap_check_ram(const struct stasis_snap *snap, struct stasis_error *err);

/* The notes of an opened file that has some, checked. STASIS_ERR_CORRUPT, STASIS_ERR_READ,
 * STASIS_ERR_NOMEM. */
int stasis_snap_parse_notes(const struct stasis_snap *snap, struct stasis_notes **ret_notes,
                            struct stasis_error *err);

/* Compares the root of an opened file of format version 2 with the header's, and those of the files
 * below that say where its RAM is. STASIS_ERR_CORRUPT, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_snap_check_roots(const struct stasis_snap *snap, struct stasis_error *err);

/* The ways in which stored RAM is no good, in one wording. STASIS_ERR_CORRUPT: `what` is wrong with
 * chunk i, at its place in the file or at `offset`. STASIS_ERR_READ, from errno: the disk fails. */
int stasis_snap_chunk_damaged(const struct stasis_snap *snap, uint64_t i, const char *what,
                              struct stasis_error *err);
int stasis_snap_chunk_damaged_at(const struct stasis_snap *snap, uint64_t i, uint64_t offset,
                                 const char *what, struct stasis_error *err);
/* The same of one of several places, which may be in another file. */
int stasis_snap_extent_damaged(const struct stasis_snap *snap, uint64_t i,
                               const struct stasis_snap_extent *extent, const char *what,
                               struct stasis_error *err);
int stasis_snap_chunk_unreadable(const struct stasis_snap *snap, uint64_t i,
                                 struct stasis_error *err);

/* Reads the run of raw chunks first..end-1 into `host`, and checks each one's CRC and digest. */
int stasis_snap_read_run(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                         uint8_t *host, struct stasis_error *err);

/* Reads the stored bytes of a chunk, and checks their CRC and digest. */
int stasis_snap_read_stored(const struct stasis_snap *snap, uint64_t index, uint8_t *ret_bytes,
                            struct stasis_error *err);

/* Unpacks the stored bytes of a compressed chunk into `host` (its size). */
int stasis_snap_unpack(const struct stasis_snap *snap, uint64_t index, const uint8_t *stored,
                       uint8_t *host, struct stasis_error *err);

/* Checks the page mask of a chunk, whose RAM is `bytes`: that a chunk is not all zero, too. */
int stasis_snap_check_page_mask(const struct stasis_snap *snap, uint64_t index,
                                const uint8_t *bytes, struct stasis_error *err);

/* Reads a section in pieces, calls `visit` (may be NULL) for each with its place in the section,
 * and then checks the CRC of all of them. */
int stasis_snap_walk_section(const struct stasis_snap *snap, const struct stasis_section *section,
                             int (*visit)(void *ctx, const uint8_t *bytes, size_t len, uint64_t at,
                                          struct stasis_error *err),
                             void *ctx, struct stasis_error *err);

/* Reads a compressed chunk into `host` (its size): checks its CRC, then what it unpacks to. */
int stasis_snap_read_compressed(const struct stasis_snap *snap, uint64_t index, uint8_t *host,
                                struct stasis_error *err);

/* Reads chunks first..end-1 of one region into `host`, each verified; zero chunks are skipped. */
int stasis_snap_read_chunks(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                            uint8_t *host, struct stasis_error *err);

/* Reads a region into `host`, each chunk verified. `fresh`: host is known to read as zero, and zero
 * chunks are not touched; otherwise they are cleared where they are not zero. */
struct stasis_snap_load {
    bool fresh;
    unsigned threads;
    /* As stasis_snap_load_ram() has it; `before` of `total` bytes were loaded earlier. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    uint64_t before;
    uint64_t total;
};
int stasis_snap_load_region(const struct stasis_snap *snap, uint32_t region, void *host,
                            const struct stasis_snap_load *how, struct stasis_error *err);

/* One more owner, who frees it too. What opening has read does not change any more, so many threads
 * may read the RAM of one object. */
struct stasis_snap *stasis_snap_share(struct stasis_snap *snap);

#endif
