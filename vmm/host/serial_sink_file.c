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

/* ---- ring: the format is described in serial_sink.h ---- */

#define RING_FORMAT   "STASIS-RING 1\nsize %020" PRIu64 "\ntotal %020" PRIu64 "\n"
#define RING_TOTAL_AT 46 /* where the digits of total begin */

static void ring_header(const struct stasis_serial_sink *out,
                        uint8_t header[STASIS_SERIAL_SINK_RING_HEADER])
{
    int used = snprintf((char *)header, STASIS_SERIAL_SINK_RING_HEADER, RING_FORMAT, out->size,
                        out->total);

    memset(header + used, ' ', STASIS_SERIAL_SINK_RING_HEADER - 1 - (size_t)used);
    header[STASIS_SERIAL_SINK_RING_HEADER - 1] = '\n';
}

static bool write_ring_header(const struct stasis_serial_sink *out)
{
    uint8_t header[STASIS_SERIAL_SINK_RING_HEADER];
    size_t done;

    ring_header(out, header);
    return write_at(out->fd, header, sizeof(header), 0, &done);
}

static size_t write_ring(void *sink, const uint8_t *bytes, size_t len)
{
    struct stasis_serial_sink *out = sink;
    size_t taken = 0;

    while (taken < len) {
        uint64_t at = out->total % out->size;
        uint64_t room = out->size - at;
        size_t part = len - taken < room ? len - taken : (size_t)room;
        size_t done;

        if (!write_at(out->fd, bytes + taken, part, STASIS_SERIAL_SINK_RING_HEADER + at, &done))
            stasis_serial_sink_failed(out, part - done);
        out->total += done;
        out->stats.written += done;
        taken += part;
    }
    if (!write_ring_header(out))
        out->stats.last_errno = errno;
    return taken;
}

/* Takes over the count of a ring file of this size. Only the count is read; the header is made anew
 * from it and compared, so that nothing else passes for a ring. */
static bool ring_continue(struct stasis_serial_sink *out, uint64_t len)
{
    uint8_t found[STASIS_SERIAL_SINK_RING_HEADER + 1] = {0};
    uint8_t expected[STASIS_SERIAL_SINK_RING_HEADER];

    if (len != STASIS_SERIAL_SINK_RING_HEADER + out->size ||
        pread(out->fd, found, STASIS_SERIAL_SINK_RING_HEADER, 0) != STASIS_SERIAL_SINK_RING_HEADER)
        return false;
    out->total = strtoull((char *)found + RING_TOTAL_AT, NULL, 10);
    ring_header(out, expected);
    if (!memcmp(found, expected, sizeof(expected)))
        return true;
    out->total = 0;
    return false;
}

static int ring_begin(struct stasis_serial_sink *out, struct stasis_error *err)
{
    int rc = empty(out, err);

    if (rc)
        return rc;
    if (ftruncate(out->fd, (off_t)(STASIS_SERIAL_SINK_RING_HEADER + out->size)) ||
        !write_ring_header(out))
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
