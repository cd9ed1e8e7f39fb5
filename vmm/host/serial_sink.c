/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/serial_sink_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/clock.h"

#define ROLE "that of serial.out" /* for messages */

size_t stasis_serial_sink_dropped(struct stasis_serial_sink *out, enum stasis_serial_sink_drop why,
                                  size_t len)
{
    out->stats.dropped[why] += len;
    return len;
}

size_t stasis_serial_sink_failed(struct stasis_serial_sink *out, size_t len)
{
    out->stats.last_errno = errno;
    return stasis_serial_sink_dropped(out, STASIS_SERIAL_SINK_DROP_ERROR, len);
}

int stasis_serial_sink_open_output(struct stasis_serial_sink *out,
                                   const struct stasis_serial_sink_options *options,
                                   enum stasis_output_kind kind, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .kind = kind, .role = ROLE};
    int rc = stasis_output_open(options->outputs, options->path, &opts, &out->output, err);

    if (!rc)
        out->fd = stasis_output_fd(out->output);
    return rc;
}

int stasis_serial_sink_look(const struct stasis_serial_sink_options *options,
                            struct stasis_output **ret_output, struct stasis_error *err)
{
    bool is_pipe = options->kind == STASIS_SERIAL_SINK_PIPE;
    const struct stasis_output_opts opts = {
        .size = sizeof(opts),
        .kind = is_pipe ? STASIS_OUTPUT_PIPE : STASIS_OUTPUT_IN_PLACE,
        .role = ROLE,
        .only_looks = true,
    };

    return options->path
               ? stasis_output_open(options->outputs, options->path, &opts, ret_output, err)
               : 0;
}

static size_t write_none(void *sink, const uint8_t *bytes, size_t len)
{
    (void)sink;
    (void)bytes;
    return len;
}

static int open_kind(struct stasis_serial_sink *out,
                     const struct stasis_serial_sink_options *options, struct stasis_error *err)
{
    switch (options->kind) {
    case STASIS_SERIAL_SINK_STDIO:
        stasis_serial_sink_open_stdio(out);
        return 0;
    case STASIS_SERIAL_SINK_NONE:
        out->write = write_none;
        return 0;
    case STASIS_SERIAL_SINK_FILE:
        return stasis_serial_sink_open_file(out, options, err);
    case STASIS_SERIAL_SINK_RING:
        return stasis_serial_sink_open_ring(out, options, err);
    case STASIS_SERIAL_SINK_PIPE:
        return stasis_serial_sink_open_pipe(out, options, err);
    }
    return stasis_fail(err, STASIS_ERR_ARG, "no such kind of serial output: %d", options->kind);
}

/* So that it is an error of a write; with a handler of the program's it is one, too. */
static void ignore_unless_handled(int number)
{
    struct sigaction now;

    if (!sigaction(number, NULL, &now) && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
        (void)signal(number, SIG_IGN);
}

int stasis_serial_sink_open(const struct stasis_serial_sink_options *options,
                            struct stasis_serial_sink **ret_out, struct stasis_error *err)
{
    struct stasis_serial_sink *out;
    int rc;

    if (options->rate > STASIS_SERIAL_SINK_RATE_MAX ||
        options->limit > STASIS_SERIAL_SINK_BYTES_MAX ||
        options->size > STASIS_SERIAL_SINK_BYTES_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "serial output: rate, limit or size is too large");
    ignore_unless_handled(SIGPIPE);
    ignore_unless_handled(SIGXFSZ);
    out = calloc(1, sizeof(*out));
    if (!out)
        return stasis_fail(err, STASIS_ERR_NOMEM, "serial output: out of memory");
    out->fd = -1;
    out->watch_fd = -1;
    out->append = options->append;
    out->cursor = options->cursor;
    out->busy = options->busy;
    out->busy_ctx = options->busy_ctx;
    out->bucket = (struct stasis_bucket){
        .rate = options->rate, .tokens = options->rate, .last_ns = stasis_monotonic_ns()};
    rc = open_kind(out, options, err);
    if (rc)
        stasis_serial_sink_close(out);
    else
        *ret_out = out;
    return rc;
}

int stasis_serial_sink_start(struct stasis_serial_sink *out, struct stasis_error *err)
{
    int rc = out->start ? out->start(out, err) : 0;

    if (!rc && out->output)
        stasis_output_keep(out->output);
    return rc;
}

static size_t write_limited(void *sink, const uint8_t *bytes, size_t len)
{
    struct stasis_serial_sink *out = sink;
    size_t allowed = (size_t)stasis_bucket_fill(&out->bucket, stasis_monotonic_ns(), len);
    size_t taken = out->write(out, bytes, allowed);

    out->bucket.tokens -= taken;
    if (taken < allowed)
        return taken;
    return taken + stasis_serial_sink_dropped(out, STASIS_SERIAL_SINK_DROP_RATE, len - taken);
}

stasis_serial_sink_write_fn *stasis_serial_sink_writer(const struct stasis_serial_sink *out)
{
    return out->bucket.rate ? write_limited : out->write;
}

size_t stasis_serial_sink_write(struct stasis_serial_sink *out, const void *bytes, size_t len)
{
    return stasis_serial_sink_writer(out)(out, bytes, len);
}

int stasis_serial_sink_fd(const struct stasis_serial_sink *out)
{
    return out->watch_fd;
}

size_t stasis_serial_sink_drain(struct stasis_serial_sink *out, const void *bytes, size_t len,
                                int timeout_ms)
{
    uint64_t end = stasis_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    const uint8_t *from = bytes;
    size_t taken;

    out->busy = NULL; /* who waits is we */
    taken = stasis_serial_sink_write(out, from, len);
    for (uint64_t now = stasis_monotonic_ns(); taken < len && now < end;
         now = stasis_monotonic_ns()) {
        struct pollfd ready = {.fd = out->watch_fd, .events = POLLOUT};

        (void)poll(&ready, 1, (int)((end - now) / 1000000) + 1);
        taken += stasis_serial_sink_write(out, from + taken, len - taken);
    }
    return taken;
}

bool stasis_serial_sink_is_gone(const struct stasis_serial_sink *out)
{
    return out->gone;
}

void stasis_serial_sink_stats(const struct stasis_serial_sink *out,
                              struct stasis_serial_sink_stats *ret_stats)
{
    *ret_stats = out->stats;
}

bool stasis_serial_sink_summary(const struct stasis_serial_sink *out, char *buf, size_t size)
{
    static const char *const why[STASIS_SERIAL_SINK_DROP_COUNT] = {
        [STASIS_SERIAL_SINK_DROP_RATE] = "over the rate",
        [STASIS_SERIAL_SINK_DROP_LIMIT] = "over the file's limit",
        [STASIS_SERIAL_SINK_DROP_BUSY] = "while the pipe was full",
        [STASIS_SERIAL_SINK_DROP_GONE] = "after the reader had gone",
        [STASIS_SERIAL_SINK_DROP_ERROR] = "by failed writes",
    };
    const struct stasis_serial_sink_stats *stats = &out->stats;
    const char *comma = "";
    char list[400] = "";
    uint64_t sum = 0;

    for (size_t i = 0; i < STASIS_SERIAL_SINK_DROP_COUNT; i++) {
        size_t used = strlen(list);

        sum += stats->dropped[i];
        if (!stats->dropped[i])
            continue;
        snprintf(list + used, sizeof(list) - used, "%s%" PRIu64 " %s", comma, stats->dropped[i],
                 why[i]);
        comma = ", ";
    }
    if (!sum)
        return false;
    snprintf(buf, size, "serial output: %" PRIu64 " bytes written, %" PRIu64 " dropped (%s%s%s)",
             stats->written, sum, list, stats->last_errno ? ": " : "",
             stats->last_errno ? strerror(stats->last_errno) : "");
    return true;
}

void stasis_serial_sink_close(struct stasis_serial_sink *out)
{
    if (!out)
        return;
    stasis_nowait_close(&out->nowait);
    stasis_output_close(out->output);
    free(out);
}
