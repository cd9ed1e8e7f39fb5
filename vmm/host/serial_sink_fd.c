/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sinks that somebody reads while the guest runs: standard output and named FIFOs.
 */
#include "vmm/host/serial_sink_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- standard output: one system call where the kernel can be told not to wait ---- */

/* Our own descriptor, which is O_NONBLOCK, and regular files, which do not wait for anybody. */
static ssize_t put_at_once(const struct stasis_serial_sink *out, const uint8_t *bytes, size_t len)
{
    return write(out->fd, bytes, len);
}

static ssize_t put_socket(const struct stasis_serial_sink *out, const uint8_t *bytes, size_t len)
{
    return send(out->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Asks first, and writes no more than what a sink that polls as ready takes. POLLERR: nobody can
 * read a pipe any more; POLLHUP: a terminal was hung up. */
static ssize_t put_polled(const struct stasis_serial_sink *out, const uint8_t *bytes, size_t len)
{
    struct pollfd ready = {.fd = out->fd, .events = POLLOUT};

    if (poll(&ready, 1, 0) < 1) {
        errno = EAGAIN;
        return -1;
    }
    if (ready.revents & (POLLERR | POLLHUP | POLLNVAL)) {
        errno = EPIPE;
        return -1;
    }
    return write(out->fd, bytes, len < out->piece ? len : out->piece);
}

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
        ssize_t n = out->put(out, bytes + taken, len - taken);

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

/* A descriptor of its own open file description, or -1. */
static int own_descriptor(int fd)
{
    char name[40];

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    return open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Standard output's flags are shared with the shell and everybody else who has it open, so they
 * cannot be made O_NONBLOCK. For pipes and terminals /proc gives a descriptor of our own, and
 * sockets take a flag with each write; another user's terminal is polled, and takes one byte.
 * Regular files keep the shared descriptor for its offset. */
void stasis_serial_sink_open_stdio(struct stasis_serial_sink *out)
{
    struct stat st = {0};
    int own = -1;

    if (out->cursor)
        stasis_cursor_init(out->cursor);
    (void)fstat(STDOUT_FILENO, &st);
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        own = own_descriptor(STDOUT_FILENO);
    out->write = write_stdio;
    out->fd = own >= 0 ? own : STDOUT_FILENO;
    out->close_fd = own >= 0;
    out->watch_fd = out->fd;
    out->piece = isatty(STDOUT_FILENO) ? 1 : PIPE_BUF;
    if (own >= 0 || S_ISREG(st.st_mode))
        out->put = put_at_once;
    else
        out->put = S_ISSOCK(st.st_mode) ? put_socket : put_polled;
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
