/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sinks that somebody reads while the guest runs: standard output and named FIFOs.
 */
#include "vmm/host/serial_sink_internal.h"

#include <errno.h>
#include <unistd.h>

/* ---- standard output ---- */

/* A failed write: nothing taken when the sink is busy after all, all when it never works again or
 * the disk behind a redirection has no room. */
static size_t not_written(struct stasis_serial_sink *out, size_t len)
{
    switch (errno) {
    case EAGAIN:
    case EINTR:
        return 0;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return stasis_serial_sink_failed(out, len);
    default:
        out->stats.last_errno = errno;
        out->gone = true;
        out->watch_fd = -1;
        if (out->busy) /* so that somebody hears of it, who may ask stasis_serial_sink_is_gone() */
            (void)out->busy(out->busy_ctx);
        return stasis_serial_sink_dropped(out, STASIS_SERIAL_SINK_DROP_GONE, len);
    }
}

/* With nobody to try again the sink would hold the guest's output for ever. */
static size_t keep_or_drop(struct stasis_serial_sink *out, size_t len)
{
    if (!len || !out->busy || out->busy(out->busy_ctx))
        return 0;
    return stasis_serial_sink_dropped(out, STASIS_SERIAL_SINK_DROP_BUSY, len);
}

static size_t write_stdio(void *sink, const uint8_t *bytes, size_t len)
{
    struct stasis_serial_sink *out = sink;
    size_t taken = 0;

    if (out->gone)
        return stasis_serial_sink_dropped(out, STASIS_SERIAL_SINK_DROP_GONE, len);
    while (taken < len) {
        /* Where write(2) does not wait it is called here: a byte passes five files, not six. */
        ssize_t n = out->nowait.put ? stasis_nowait_write(&out->nowait, bytes + taken, len - taken)
                                    : write(out->fd, bytes + taken, len - taken);

        if (n <= 0) {
            taken += n < 0 ? not_written(out, len - taken) : 0;
            break;
        }
        if (out->cursor)
            stasis_cursor_printed(out->cursor, bytes + taken, (size_t)n);
        out->stats.written += (uint64_t)n;
        taken += (size_t)n;
    }
    return taken + keep_or_drop(out, len - taken);
}

void stasis_serial_sink_open_stdio(struct stasis_serial_sink *out)
{
    if (out->cursor)
        stasis_cursor_init(out->cursor);
    stasis_nowait_open(&out->nowait, STDOUT_FILENO);
    out->write = write_stdio;
    out->fd = out->nowait.fd;
    out->watch_fd = out->fd;
}

/* ---- a named FIFO ---- */

static size_t write_pipe(void *sink, const uint8_t *bytes, size_t len)
{
    struct stasis_serial_sink *out = sink;
    size_t taken = 0;

    while (taken < len) {
        ssize_t n = write(out->fd, bytes + taken, len - taken);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return taken +
                   stasis_serial_sink_dropped(out, STASIS_SERIAL_SINK_DROP_BUSY, len - taken);
        if (n < 0)
            return taken + stasis_serial_sink_failed(out, len - taken);
        out->stats.written += (uint64_t)n;
        taken += (size_t)n;
    }
    return taken;
}

/* Being our own reader, we never see EPIPE, and a reader that comes late finds what the pipe
 * holds. */
int stasis_serial_sink_open_pipe(struct stasis_serial_sink *out,
                                 const struct stasis_serial_sink_options *options,
                                 struct stasis_error *err)
{
    out->write = write_pipe;
    return stasis_serial_sink_open_output(out, options, STASIS_OUTPUT_PIPE, err);
}
