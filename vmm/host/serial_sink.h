/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where the bytes go that the guest writes to its serial port. A guest may flood: what a sink
 * stores is bounded, what it drops is counted, and nothing here blocks. Only `stdio` holds the
 * guest back while its reader is slow; every other sink drops instead.
 *
 *   stdio  standard output. A reader that has gone away (EPIPE, hang-up) turns the sink into a
 *          discarder for good. The descriptor's flags, which the shell shares, are not touched.
 *   none   discards.
 *   file   at most `limit` bytes in a regular file. A full disk or an I/O error drops bytes and
 *          leaves the guest alone; writing is tried again with the next byte.
 *   ring   a file of fixed size with the last `size` bytes (common/ring.h).
 *   pipe   a named FIFO, made with mode 0600 when missing, that needs no reader: what it cannot
 *          hold is dropped. The reader sees no end of file while the VM lives.
 *
 * Files are made with mode 0600 and start empty, or go on where they end when `append` is set.
 *
 * Threads: calls on one sink are serialised by the caller (the serial port's lock).
 */
#ifndef STASIS_VMM_SERIAL_SINK_H
#define STASIS_VMM_SERIAL_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring.h"
#include "stasis/output.h"
#include "vmm/host/cursor.h"

#define STASIS_SERIAL_SINK_LIMIT_DEFAULT (UINT64_C(64) << 20)
#define STASIS_SERIAL_SINK_SIZE_DEFAULT  (UINT64_C(1) << 20)
#define STASIS_SERIAL_SINK_BYTES_MAX     STASIS_RING_SIZE_MAX /* of limit and size */
#define STASIS_SERIAL_SINK_RATE_MAX      (UINT64_C(1) << 30)

enum stasis_serial_sink_kind {
    STASIS_SERIAL_SINK_STDIO = 0,
    STASIS_SERIAL_SINK_NONE,
    STASIS_SERIAL_SINK_FILE,
    STASIS_SERIAL_SINK_RING,
    STASIS_SERIAL_SINK_PIPE,
};

struct stasis_serial_sink_options {
    enum stasis_serial_sink_kind kind;
    const char *path; /* file, ring, pipe */
    uint64_t limit;   /* file: bytes it may hold, what it held before counted in; 0: the default */
    uint64_t size;    /* ring: bytes of data; 0: the default */
    uint64_t rate;    /* bytes per second, bursts of up to a second's worth; 0: no limit */
    bool append;      /* file, ring: keep what is there (a thawed guest continues) */
    struct stasis_outputs *outputs; /* the files in use, or NULL; outlives the sink */
    struct stasis_cursor *cursor;   /* stdio: told what is printed, or NULL; outlives the sink */
    /* Called when a write takes fewer bytes than there are: whether somebody watches for EPOLLOUT
     * and tries again. False: the rest is dropped. NULL: somebody does. */
    bool (*busy)(void *ctx);
    void *busy_ctx;
};

enum stasis_serial_sink_drop {
    STASIS_SERIAL_SINK_DROP_RATE,  /* faster than the rate */
    STASIS_SERIAL_SINK_DROP_LIMIT, /* the file is at its limit */
    STASIS_SERIAL_SINK_DROP_BUSY,  /* the pipe is full, and nobody tries again */
    STASIS_SERIAL_SINK_DROP_GONE,  /* the reader of standard output has gone */
    STASIS_SERIAL_SINK_DROP_ERROR, /* a write failed, e.g. the disk is full */
    STASIS_SERIAL_SINK_DROP_COUNT
};

struct stasis_serial_sink_stats {
    uint64_t written;
    uint64_t dropped[STASIS_SERIAL_SINK_DROP_COUNT];
    int last_errno; /* of the last write that failed, or 0 */
};

struct stasis_serial_sink;

/* Opens the sink, and changes nothing of a file that is there: all that can be wrong with the path
 * is known before. Ignores SIGPIPE and SIGXFSZ in the whole process, where their action is the
 * default, so that a reader that has gone and a file size limit are errors of a write and not our
 * death. `options` is not kept.
 * Messages do not name the path.
 * STASIS_ERR_ARG: the path is not of the kind asked for, is in use otherwise, or a snapshot;
 * STASIS_ERR_WRITE: cannot be made or opened; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_serial_sink_open(const struct stasis_serial_sink_options *options,
                                              struct stasis_serial_sink **ret_out,
                                              struct stasis_error *err);

/* For a dry run: whether it could open what it writes to (only_looks of struct stasis_output_opts).
 * *ret_output stays for a sink without a path. */
STASIS_MUST_CHECK int stasis_serial_sink_look(const struct stasis_serial_sink_options *options,
                                              struct stasis_output **ret_output,
                                              struct stasis_error *err);

/* Empties the file, or finds where it goes on: from here on the sink takes bytes. A file or a pipe
 * that was made for a sink that is never started is removed. STASIS_ERR_WRITE; the message names
 * the path. */
STASIS_MUST_CHECK int stasis_serial_sink_start(struct stasis_serial_sink *out,
                                               struct stasis_error *err);

/* Takes bytes: returns how many, written or dropped. Fewer than len means that the sink is busy:
 * keep the rest, watch stasis_serial_sink_fd() for EPOLLOUT and try again. Never blocks. */
STASIS_MUST_CHECK size_t stasis_serial_sink_write(struct stasis_serial_sink *out, const void *bytes,
                                                  size_t len);

/* The function behind it, to be called with the sink: saves the way of each byte a step. */
typedef size_t stasis_serial_sink_write_fn(void *sink, const uint8_t *bytes, size_t len);
stasis_serial_sink_write_fn *stasis_serial_sink_writer(const struct stasis_serial_sink *out);

/* The descriptor to watch after a short write; -1 for a sink that is never busy. */
int stasis_serial_sink_fd(const struct stasis_serial_sink *out);

/* For the end of the VM, when no guest waits: writes, waiting for a slow reader up to timeout_ms
 * (0 or more) in all. Returns bytes taken. */
size_t stasis_serial_sink_drain(struct stasis_serial_sink *out, const void *bytes, size_t len,
                                int timeout_ms);

/* Whether the reader of standard output has gone: no byte will be written any more. */
bool stasis_serial_sink_is_gone(const struct stasis_serial_sink *out);

void stasis_serial_sink_stats(const struct stasis_serial_sink *out,
                              struct stasis_serial_sink_stats *ret_stats);

/* Puts one line (no newline) about dropped bytes into buf, cut to fit; false when none were. */
bool stasis_serial_sink_summary(const struct stasis_serial_sink *out, char *buf, size_t size);

/* Nothing is held back in memory, so all that was taken is where it belongs. NULL is fine. */
void stasis_serial_sink_close(struct stasis_serial_sink *out);

#endif
