/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sinks that keep bytes in a regular file: `file` up to a limit, `ring` the newest ones.
 */
#include "vmm/host/serial_sink_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes all of it at an offset; false with errno, and *ret_done bytes written before. */
static bool write_at(int fd, const uint8_t *bytes, size_t len, uint64_t offset, size_t *ret_done)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(fd, bytes + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    *ret_done = done;
    return done == len;
}

static int cannot(const struct stasis_serial_sink *out, const char *what, struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "serial output: cannot %s %s", what,
                             stasis_output_path(out->output));
}

static int empty(const struct stasis_serial_sink *out, struct stasis_error *err)
{
    return ftruncate(out->fd, 0) ? cannot(out, "empty", err) : 0;
}

/* How long the file is. */
static int length(const struct stasis_serial_sink *out, uint64_t *ret_len, struct stasis_error *err)
{
    struct stat st;

    if (fstat(out->fd, &st))
        return cannot(out, "examine", err);
    *ret_len = (uint64_t)st.st_size;
    return 0;
}

static size_t write_file(void *sink, const uint8_t *bytes, size_t len)
{
    struct stasis_serial_sink *out = sink;
    uint64_t room = out->total < out->size ? out->size - out->total : 0;
    size_t part = len < room ? len : (size_t)room;
    size_t done = 0;

    if (part && !write_at(out->fd, bytes, part, out->total, &done))
        stasis_serial_sink_failed(out, part - done);
    out->total += done;
    out->stats.written += done;
    return part + stasis_serial_sink_dropped(out, STASIS_SERIAL_SINK_DROP_LIMIT, len - part);
}

static int start_file(struct stasis_serial_sink *out, struct stasis_error *err)
{
    return out->append ? length(out, &out->total, err) : empty(out, err);
}

int stasis_serial_sink_open_file(struct stasis_serial_sink *out,
                                 const struct stasis_serial_sink_options *options,
                                 struct stasis_error *err)
{
    out->start = start_file;
    out->write = write_file;
    out->size = options->limit ? options->limit : STASIS_SERIAL_SINK_LIMIT_DEFAULT;
    return stasis_serial_sink_open_output(out, options, STASIS_OUTPUT_IN_PLACE, err);
}

/* ---- ring ---- */

static struct stasis_ring ring_of(const struct stasis_serial_sink *out)
{
    return (struct stasis_ring){.size = out->size, .total = out->total};
}

static bool write_ring_header(const struct stasis_serial_sink *out)
{
    const struct stasis_ring ring = ring_of(out);
    uint8_t header[STASIS_RING_HEADER_LEN];
    size_t done;

    stasis_ring_header_write(&ring, header);
    return write_at(out->fd, header, sizeof(header), 0, &done);
}

static size_t write_ring(void *sink, const uint8_t *bytes, size_t len)
{
    struct stasis_serial_sink *out = sink;
    size_t taken = 0;

    while (taken < len) {
        const struct stasis_ring ring = ring_of(out);
        uint64_t room;
        uint64_t offset = stasis_ring_offset(&ring, ring.total, &room);
        size_t part = len - taken < room ? len - taken : (size_t)room;
        size_t done;

        if (!write_at(out->fd, bytes + taken, part, offset, &done))
            stasis_serial_sink_failed(out, part - done);
        out->total += done;
        out->stats.written += done;
        taken += part;
    }
    if (!write_ring_header(out))
        out->stats.last_errno = errno;
    return taken;
}

/* Takes over the count of a ring file of this size. */
static bool ring_continue(struct stasis_serial_sink *out, uint64_t len)
{
    uint8_t header[STASIS_RING_HEADER_LEN];
    struct stasis_ring found;

    if (len != sizeof(header) + out->size ||
        pread(out->fd, header, sizeof(header), 0) != sizeof(header) ||
        !stasis_ring_header_read(header, &found) || found.size != out->size)
        return false;
    out->total = found.total;
    return true;
}

static int ring_begin(struct stasis_serial_sink *out, struct stasis_error *err)
{
    int rc = empty(out, err);

    if (rc)
        return rc;
    if (ftruncate(out->fd, (off_t)(STASIS_RING_HEADER_LEN + out->size)) || !write_ring_header(out))
        return cannot(out, "write to", err);
    return 0;
}

static int start_ring(struct stasis_serial_sink *out, struct stasis_error *err)
{
    uint64_t len = 0;
    int rc = length(out, &len, err);

    if (rc || (out->append && ring_continue(out, len)))
        return rc;
    return ring_begin(out, err);
}

int stasis_serial_sink_open_ring(struct stasis_serial_sink *out,
                                 const struct stasis_serial_sink_options *options,
                                 struct stasis_error *err)
{
    out->start = start_ring;
    out->write = write_ring;
    out->size = options->size ? options->size : STASIS_SERIAL_SINK_SIZE_DEFAULT;
    return stasis_serial_sink_open_output(out, options, STASIS_OUTPUT_IN_PLACE, err);
}
