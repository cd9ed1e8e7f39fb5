/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the sinks of serial_sink.h share. serial_sink.c opens, limits the rate and counts; each kind
 * of sink brings an open and a write.
 */
#ifndef STASIS_VMM_SERIAL_SINK_INTERNAL_H
#define STASIS_VMM_SERIAL_SINK_INTERNAL_H

#include "vmm/host/bucket.h"
#include "vmm/host/nowait.h"
#include "vmm/host/serial_sink.h"

struct stasis_serial_sink {
    stasis_serial_sink_write_fn *write; /* of its kind; counts bytes as written or dropped */
    int (*start)(struct stasis_serial_sink *out,
                 struct stasis_error *err); /* NULL: nothing to do */
    struct stasis_nowait nowait;            /* stdio */
    int fd;                                 /* -1: none */
    int watch_fd;                           /* fd when the sink can be busy, else -1 */
    struct stasis_bucket bucket;            /* one token is one byte */
    struct stasis_serial_sink_stats stats;
    bool (*busy)(void *ctx); /* of the options */
    void *busy_ctx;
    bool append;                  /* file, ring */
    bool gone;                    /* stdio: the reader has gone */
    struct stasis_output *output; /* whose fd is, or NULL */
    struct stasis_cursor *cursor; /* of the options */
    uint64_t size;                /* file: limit, ring: bytes of data */
    uint64_t total;               /* file: bytes in it, ring: bytes ever written */
};

/* Counts len dropped bytes and returns len. */
size_t stasis_serial_sink_dropped(struct stasis_serial_sink *out, enum stasis_serial_sink_drop why,
                                  size_t len);

/* The same for a write that failed with errno. */
size_t stasis_serial_sink_failed(struct stasis_serial_sink *out, size_t len);

/* Opens options->path through the gate for outputs. */
int stasis_serial_sink_open_output(struct stasis_serial_sink *out,
                                   const struct stasis_serial_sink_options *options,
                                   enum stasis_output_kind kind, struct stasis_error *err);

/* One per kind; they set write, start, fd, watch_fd and what is theirs. */
void stasis_serial_sink_open_stdio(struct stasis_serial_sink *out);
int stasis_serial_sink_open_pipe(struct stasis_serial_sink *out,
                                 const struct stasis_serial_sink_options *options,
                                 struct stasis_error *err);
int stasis_serial_sink_open_file(struct stasis_serial_sink *out,
                                 const struct stasis_serial_sink_options *options,
                                 struct stasis_error *err);
int stasis_serial_sink_open_ring(struct stasis_serial_sink *out,
                                 const struct stasis_serial_sink_options *options,
                                 struct stasis_error *err);

#endif
