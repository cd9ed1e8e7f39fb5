/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One save on its way, between write.c (layout, raw chunks, sections) and pack.c (compressed
 * chunks).
 */
#ifndef STASIS_SNAP_WRITER_H
#define STASIS_SNAP_WRITER_H

#include <pthread.h>

#include "object.h"

/* Chunks are compressed out of order and placed in order: who has packed chunks first..end-1 waits
 * until `next` is first. */
struct stasis_packer {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    uint64_t next; /* first chunk without a place */
    uint64_t pos;  /* first byte of the file without an owner */
    bool failed;
};

struct stasis_writer {
    const struct stasis_snap *snap;
    struct stasis_snap_sink *sink;
    struct stasis_save_opts opts;
    struct stasis_index index; /* of this save */
    uint8_t *state;
    size_t state_len;
    uint8_t *schema;
    size_t schema_len;
    struct stasis_header header;
    struct stasis_section parts[4]; /* state, index, data, schema */
    struct stasis_packer pack;      /* only if opts.zlib_level */
};

static inline uint64_t stasis_round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

/* Guest RAM of chunk i. */
const uint8_t *stasis_writer_chunk(const struct stasis_writer *w, uint64_t i);

/* `offset` is where the bytes belong; a stream is filled with zeros up to it. */
int stasis_writer_put(struct stasis_snap_sink *sink, const void *bytes, size_t len, uint64_t offset,
                      struct stasis_error *err);

/* pack.c: to be run over all chunks by a pool; w->pack.pos is then the end of the data. */
void stasis_packer_init(struct stasis_writer *w);
void stasis_packer_fini(struct stasis_writer *w);
int stasis_packer_work(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err);

#endif
