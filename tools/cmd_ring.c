/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The bytes of a ring file (common/ring.h) in the order they were written.
 *
 * The guest chose these bytes. A terminal obeys some of them, so it is not sent those unless asked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ring.h"
#include "tools/inspect.h"
#include "tools/text.h"

#define BUF_LEN 65536u

struct ring {
    const char *name;
    int fd;
    struct stasis_ring has;
};

static int not_a_ring(const struct ring *ring, const char *why, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "%s: %s", ring->name, why);
}

/* Reads up to len bytes; at an offset, or what comes next for one that is negative. */
static int read_some(const struct ring *ring, void *buf, size_t len, int64_t offset,
                     size_t *ret_done, struct stasis_error *err)
{
    size_t done = 0;

    while (done < len) {
        char *to = (char *)buf + done;
        ssize_t n = offset < 0 ? read(ring->fd, to, len - done)
                               : pread(ring->fd, to, len - done, (off_t)offset + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return stasis_fail_errno(err, STASIS_ERR_READ, "%s: cannot be read (check the disk)",
                                     ring->name);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_done = done;
    return 0;
}

static int read_header(struct ring *ring, int64_t offset, struct stasis_error *err)
{
    uint8_t header[STASIS_RING_HEADER_LEN] = {0};
    size_t done;
    int rc = read_some(ring, header, sizeof(header), offset, &done, err);

    if (rc)
        return rc;
    if (!stasis_ring_header_read(header, &ring->has))
        return not_a_ring(ring, "not a ring file of vmm --serial out=ring:FILE", err);
    if (!ring->has.size || ring->has.size > STASIS_RING_SIZE_MAX)
        return not_a_ring(ring, "a ring of an impossible size", err);
    return 0;
}

/* Behind where the header would be. */
static int copy_to(const struct ring *ring, struct stasis_output *file, uint64_t len,
                   struct stasis_error *err)
{
    uint64_t at = STASIS_RING_HEADER_LEN;
    uint64_t end = at + len;
    char *buf = malloc(BUF_LEN);
    size_t n = 0;
    int rc;

    if (!buf)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    do {
        rc = read_some(ring, buf, end - at < BUF_LEN ? (size_t)(end - at) : BUF_LEN, -1, &n, err);
        if (!rc)
            rc = stasis_output_put(file, buf, n, at, err);
        at += n;
    } while (!rc && n && at < end);
    free(buf);
    return rc;
}

/* What cannot seek is copied to a file without a name: as much as its header allows, and a byte
 * that shows that there was more. */
static int spool(struct ring *ring, struct stasis_output **ret_file, struct stasis_error *err)
{
    struct stasis_output *file;
    int rc = read_header(ring, -1, err);

    if (rc)
        return rc;
    rc = stasis_output_open_temporary(&file, err);
    if (rc)
        return stasis_wrap(err, rc, "%s", ring->name);
    rc = copy_to(ring, file, ring->has.size + 1, err);
    if (rc) {
        stasis_output_close(file);
        return rc;
    }
    ring->fd = stasis_output_fd(file);
    *ret_file = file;
    return 0;
}

static int open_ring(struct ring *ring, struct stasis_output **ret_spool, struct stasis_error *err)
{
    struct stat st;
    int rc;

    if (fstat(ring->fd, &st))
        return stasis_fail_errno(err, STASIS_ERR_IO, "%s", ring->name);
    if (S_ISDIR(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "%s: it is a folder; name a ring file", ring->name);
    rc = S_ISREG(st.st_mode) ? read_header(ring, 0, err) : spool(ring, ret_spool, err);
    if (!rc && fstat(ring->fd, &st))
        rc = stasis_fail_errno(err, STASIS_ERR_IO, "%s", ring->name);
    if (!rc && (uint64_t)st.st_size != STASIS_RING_HEADER_LEN + ring->has.size)
        rc = not_a_ring(ring, "truncated, or longer than its header says", err);
    return rc;
}

/* Byte `from` of the output to byte `total`. A part of `held` bytes of an unfinished character is
 * carried from one buffer to the next. */
static int print_ring(const struct ring *ring, FILE *out, bool escape, struct stasis_error *err)
{
    uint64_t pos = stasis_ring_oldest(&ring->has);
    char *buf = malloc(BUF_LEN);
    size_t held = 0;
    int rc = 0;

    if (!buf)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    while (pos < ring->has.total && !rc) {
        uint64_t part;
        uint64_t offset = stasis_ring_offset(&ring->has, pos, &part);
        size_t n = 0;

        if (part > ring->has.total - pos)
            part = ring->has.total - pos;
        if (part > BUF_LEN - held)
            part = BUF_LEN - held;
        rc = read_some(ring, buf + held, (size_t)part, (int64_t)offset, &n, err);
        if (!rc && n < part)
            rc = not_a_ring(ring, "has become shorter", err);
        if (rc)
            break;
        pos += n;
        held += n;
        n = escape ? stasis_text_put_bytes(out, buf, held, "\n\r\t", pos < ring->has.total)
                   : fwrite(buf, 1, held, out);
        held = escape ? held - n : 0;
        memmove(buf, buf + n, held);
    }
    free(buf);
    return rc;
}

int stasis_inspect_ring(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    const char *file = args->operands[0];
    bool standard = !strcmp(file, "-");
    struct ring ring = {.name = standard ? "standard input" : file};
    struct stasis_output *spooled = NULL;
    int fd = -1;
    int rc = stasis_inspect_open_input(args->outputs, file, &fd, err);

    if (rc)
        return rc;
    ring.fd = fd;
    rc = open_ring(&ring, &spooled, err);
    if (!rc)
        rc = print_ring(&ring, out, !args->values[0] && isatty(STDOUT_FILENO), err);
    stasis_output_close(spooled);
    (void)close(fd);
    return rc;
}
