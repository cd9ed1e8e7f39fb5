/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One save on its way, between write_sections.c (raw chunks, sections), write_layout.c,
 * write_scan.c (the search for RAM that is zero), write_compressed.c (compressed chunks) and
 * write_opened.c (what an opened snapshot keeps).
 */
#ifndef STASIS_SNAP_WRITER_H
#define STASIS_SNAP_WRITER_H

#include <pthread.h>

#include "object.h"

/* Chunks are compressed out of order and placed in order: who has packed a range waits until `next`
 * is its number. */
struct stasis_compression {
    uint64_t pos;         /* first byte of the file without an owner; of whose turn it is */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    uint64_t next; /* number of the first range without a place */
    bool failed;
};

/* A section of an opened snapshot that this release does not know. */
struct stasis_kept_section {
    const struct stasis_section *from; /* in the file that was opened */
    struct stasis_section section;
};

/* A chunk of a layer that may differ from the parent's. */
struct stasis_layer_chunk {
    uint64_t offset; /* of the stored pages in the file */
    uint32_t number;
    uint32_t stored_len;
    uint32_t crc;
    uint16_t dirty;   /* pages that may differ */
    uint16_t stored;  /* of these, those that are not zero */
    uint16_t zero;    /* pages that an extent has to call zero */
    uint8_t kind;     /* of its run */
    uint8_t encoding; /* of the stored pages */
};

struct stasis_layer {
    struct stasis_layer_chunk *chunks; /* in ascending order */
    size_t count;
    size_t room;
    uint64_t zeros;            /* chunks that became zero as a whole, and are not listed; */
    uint64_t zero_bytes;       /* their bytes */
    uint8_t *digests;          /* of stored pages, by chunk of the list; NULL: there are none */
    struct stasis_index index; /* the section that is written */
    bool whole;                /* it does without the parent's */
    bool compares;             /* dirty pages with the parent's */
};

struct stasis_writer {
    const struct stasis_snap *snap;
    struct stasis_snap_target *target;
    struct stasis_save_opts opts;
    struct stasis_index index; /* of this save */
    uint8_t *state;
    size_t state_len;
    uint8_t *schema;
    size_t schema_len;
    uint8_t *notes; /* NULL: there are none, and no section */
    size_t notes_len;
    struct stasis_header header;
    struct stasis_section parts[5];                       /* state, index, data, schema, notes */
    struct stasis_kept_section kept[STASIS_SECTIONS_MAX]; /* only of an opened snapshot */
    uint32_t kept_count;
    struct stasis_compression pack;    /* only if opts.zlib_level */
    struct stasis_populated populated; /* while it is scanned */
    uint8_t *digests;                  /* of stored bytes, by chunk; NULL: there are none */
    struct stasis_layer layer;         /* only if the snapshot is saved as one */
    uint8_t state_digest[STASIS_DIGEST_SIZE];

    pthread_t saver; /* on which the progress is told */
    _Atomic bool cancelled;
    uint64_t shares_done; /* of the progress */
    uint64_t told;        /* the most of it */
};

/* Parts of the file, and whether the snapshot was opened, or lies on another one. */
#define STASIS_WRITER_PARTS                                                                        \
    (sizeof(((struct stasis_writer *)0)->parts) / sizeof(struct stasis_section))

static inline bool stasis_writer_is_opened(const struct stasis_writer *w)
{
    return stasis_input_is_open(&w->snap->input);
}

static inline bool stasis_writer_is_layer(const struct stasis_writer *w)
{
    return w->snap->lies_on;
}

static inline uint64_t stasis_round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

/* ---- work on a pool of threads (write_run.c) ---- */

/* What is looked at and what is written share the progress as they share the time, about. */
#define STASIS_SHARES      8u
#define STASIS_SHARE_SCAN  1u
#define STASIS_SHARE_WRITE (STASIS_SHARES - STASIS_SHARE_SCAN)

/* Chunks first..end-1, STASIS_BATCH_CHUNKS or fewer; ranges are numbered from 0. */
struct stasis_range {
    uint64_t number;
    uint64_t first;
    uint64_t end;
};

/* Runs `work` over all chunks that are not known to be zero, and tells the progress meanwhile.
 * STASIS_ERR_CANCELLED if it was answered by false, STASIS_ERR_NOMEM, or what `work` failed by. */
int stasis_writer_run(struct stasis_writer *w, unsigned threads, unsigned share,
                      int (*work)(struct stasis_writer *w, const struct stasis_range *range,
                                  struct stasis_error *err),
                      struct stasis_error *err);

/* The same over all blocks of the index, whatever is in them; this has no share. */
int stasis_writer_run_blocks(struct stasis_writer *w, uint64_t batch,
                             int (*work)(void *w, uint64_t first, uint64_t end,
                                         struct stasis_error *err),
                             struct stasis_error *err);

/* The same over a list. */
struct stasis_list {
    uint64_t count;
    uint64_t batch; /* what a thread takes at a time */
};
int stasis_writer_run_list(struct stasis_writer *w, const struct stasis_list *list,
                           unsigned threads, unsigned share,
                           int (*work)(struct stasis_writer *w, const struct stasis_range *range,
                                       struct stasis_error *err),
                           struct stasis_error *err);

/* On the thread that saves, between two steps of its own: asks the progress. */
int stasis_writer_tell(struct stasis_writer *w, struct stasis_error *err);

/* On any thread, while it waits: false once the save is given up. Asks the progress on the thread
 * that saves. */
bool stasis_writer_keeps_on(void *w);

/* On any thread, before each chunk or run: STASIS_ERR_CANCELLED once the save is given up. */
int stasis_writer_check(const struct stasis_writer *w, struct stasis_error *err);

/* A chunk's digest, of its stored bytes, if there are digests. Threads may do so at once for
 * different chunks. */
void stasis_writer_digest(struct stasis_writer *w, uint64_t i, const void *bytes, size_t len);

/* write_index.c: length of the section, once it is known which chunks are stored; and writes it,
 * which gives its CRC and the root. */
uint64_t stasis_writer_index_len(const struct stasis_writer *w);
int stasis_writer_put_index(struct stasis_writer *w, struct stasis_error *err);

/* write_scan.c: every chunk becomes RAW or ZERO. */
int stasis_writer_scan(struct stasis_writer *w, struct stasis_error *err);

/* Its first half. Between begin (STASIS_ERR_CANCELLED) and end: calls `found` for the pages that
 * may hold something of chunks first..end-1, which are of one region, in ascending order and for a
 * chunk as often as it takes. */
typedef void stasis_writer_found(void *ctx, uint64_t chunk, uint16_t pages);
int stasis_writer_find_begin(struct stasis_writer *w, struct stasis_error *err);
void stasis_writer_find_touched(struct stasis_writer *w, uint64_t first, uint64_t end,
                                stasis_writer_found *found, void *ctx);
void stasis_writer_find_end(struct stasis_writer *w);

/* Guest RAM of chunk i. */
const uint8_t *stasis_writer_chunk(const struct stasis_writer *w, uint64_t i);

/* `offset` is where the bytes belong; a stream is filled with zeros up to it. */
int stasis_writer_put(struct stasis_snap_target *target, const void *bytes, size_t len,
                      uint64_t offset, struct stasis_error *err);

/* Bytes start..end-1 of the file have been written: they go to the disk at once, so that what the
 * last fsync(2) has to wait for does not grow with the guest. Nothing, if nobody waits for it. */
int stasis_writer_push(struct stasis_writer *w, uint64_t start, uint64_t end,
                       struct stasis_error *err);

/* write_identity.c: producer, UUID and time. STASIS_ERR_ARG for options that no header can hold;
 * STASIS_ERR_IO. */
int stasis_identity_check(const struct stasis_save_opts *opts, struct stasis_error *err);
int stasis_identity_set(const struct stasis_save_opts *opts, struct stasis_snap_info *info,
                        struct stasis_error *err);

/* write_prepare.c: all that comes before the first byte; the layout of the front is known then. */
int stasis_writer_prepare(struct stasis_writer *w, struct stasis_error *err);

/* ---- write_layout.c ---- */

/* Places everything that can be placed before RAM is written, and then the rest, which in a stream
 * is what comes behind the data. */
void stasis_writer_lay_out_front(struct stasis_writer *w);
void stasis_writer_lay_out_back(struct stasis_writer *w, uint64_t data_end);

/* Gives every chunk its offset, whose length is known, and returns the end of the data. */
uint64_t stasis_writer_lay_out_chunks(struct stasis_writer *w, uint64_t pos);

/* The first chunk from i on that is not zero. */
uint64_t stasis_writer_stored(const struct stasis_index *index, uint64_t i);

/* ---- write_opened.c: a snapshot that was opened ---- */

/* STASIS_ERR_ARG, STASIS_ERR_VERSION: it cannot be saved, or not with these options. */
int stasis_writer_check_opened(const struct stasis_writer *w, struct stasis_error *err);

/* Instead of stasis_writer_scan(): every chunk becomes what it is in the file that was opened, and
 * of a layer RAW or ZERO. */
void stasis_writer_take_chunks(struct stasis_writer *w);

/* Of a layer, whose chunks are stored anew: reads chunk i into `host` (its size), verified. */
int stasis_writer_read_flat(const struct stasis_writer *w, uint64_t i, uint8_t *host,
                            struct stasis_error *err);

/* To be run over all chunks, which have their new offsets: copies them, verified. */
int stasis_writer_copy_chunks(struct stasis_writer *w, const struct stasis_range *range,
                              struct stasis_error *err);

/* Lists the sections to be kept, `room` at most (STASIS_ERR_FULL); gives them their places from
 * `pos` on, and returns where the last one ends; copies them, verified. */
int stasis_writer_keep_sections(struct stasis_writer *w, uint32_t room, struct stasis_error *err);
uint64_t stasis_writer_place_kept(struct stasis_writer *w, uint64_t pos);
int stasis_writer_copy_kept(struct stasis_writer *w, struct stasis_error *err);

/* write_compressed.c: to be run over all chunks; w->pack.pos is then the end of the data. */
void stasis_compression_init(struct stasis_writer *w);
void stasis_compression_fini(struct stasis_writer *w);

/* Takes the turn of a range and gives it on, whatever happened: others wait for it. If `*rc` is 0
 * and nobody failed, calls `place`, and for a stream `write` within the turn, since it has but one
 * order. True: the range has its places. */
struct stasis_turn {
    uint64_t number;
    void (*place)(void *ctx);
    int (*write)(void *ctx, struct stasis_error *err);
    void *ctx;
};
bool stasis_compression_take_turn(struct stasis_writer *w, const struct stasis_turn *turn, int *rc,
                                  struct stasis_error *err);
int stasis_compression_work(struct stasis_writer *w, const struct stasis_range *range,
                            struct stasis_error *err);

#endif
