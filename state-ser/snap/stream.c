/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots through pipes, sockets and the caller's own functions.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "chunk.h"
#include "io.h"
#include "object.h"
#include "output.h"

static int save(struct stasis_snap *snap, struct stasis_snap_target *target, const char *name,
                const struct stasis_save_opts *opts, struct stasis_save_stats *ret_stats,
                struct stasis_error *err)
{
    struct stasis_save_opts chosen;
    struct stasis_snap_written written;
    int rc = stasis_save_opts_get(opts, &chosen, err);

    if (!rc)
        rc = stasis_snap_write(snap, target, &chosen, &written, err);
    if (rc)
        return stasis_wrap(err, rc, "saving to %s", name);
    stasis_snap_saved(snap, &written, ret_stats);
    return 0;
}

int stasis_snap_save_stream(struct stasis_snap *snap, int fd, const struct stasis_save_opts *opts,
                            struct stasis_save_stats *ret_stats, struct stasis_error *err)
{
    struct stasis_snap_target target = {.fd = fd, .streamed = true};

    return save(snap, &target, "a stream", opts, ret_stats, err);
}

int stasis_snap_save_storage(struct stasis_snap *snap, const struct stasis_storage *storage,
                             const struct stasis_save_opts *opts,
                             struct stasis_save_stats *ret_stats, struct stasis_error *err)
{
    struct stasis_snap_target target = {.fd = -1, .storage = storage, .streamed = true};
    int rc = stasis_storage_check(storage, err);

    if (!rc && !storage->write)
        rc = stasis_fail(err, STASIS_ERR_ARG, "%s: saving needs the function write of its storage",
                         storage->name);
    return rc ? rc : save(snap, &target, storage->name, opts, ret_stats, err);
}

/* The most that a snapshot with this header can be long: a stream does not say. */
static uint64_t longest(const struct stasis_snap_info *info)
{
    uint64_t most = stasis_file_len_max(info->ram_bytes);

    return info->streamed || info->file_len > most ? most : info->file_len;
}

static int spool_header(const struct stasis_input *in, int out, uint64_t *ret_most,
                        struct stasis_error *err)
{
    uint8_t bytes[STASIS_HEADER_LEN];
    struct stasis_header header;
    ssize_t n = stasis_input_read(in, bytes, sizeof(bytes), 0);
    int rc;

    if (n < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ,
                                 "reading the stream (check where it comes from)");
    if ((size_t)n < sizeof(bytes))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "truncated: %zd bytes, a header has %u", n,
                           STASIS_HEADER_LEN);
    rc = stasis_header_decode(bytes, &header, err);
    if (rc)
        return rc;
    if (stasis_io_pwrite(out, bytes, sizeof(bytes), 0))
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "spooling the stream");
    *ret_most = longest(&header.info);
    return 0;
}

static int spool_rest(const struct stasis_input *in, int out, uint64_t most,
                      struct stasis_error *err)
{
    uint8_t *buf = malloc(STASIS_CHUNK_SIZE);
    uint64_t pos = STASIS_HEADER_LEN;
    ssize_t n;
    int rc = 0;

    if (!buf)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to read the stream");
    do {
        n = stasis_input_read(in, buf, STASIS_CHUNK_SIZE, pos);
        if (n < 0)
            rc = stasis_fail_errno(err, STASIS_ERR_READ,
                                   "reading the stream (check where it comes from)");
        else if ((uint64_t)n > most - pos)
            rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                             "longer than its header allows: more than %" PRIu64 " bytes", most);
        else if (!stasis_chunk_is_zero(buf, (size_t)n) &&
                 stasis_io_pwrite(out, buf, (size_t)n, pos)) /* zeros stay holes */
            rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "spooling the stream");
        if (!rc)
            pos += (uint64_t)n;
    } while (!rc && n == (ssize_t)STASIS_CHUNK_SIZE);
    if (!rc && stasis_io_truncate(out, pos))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "spooling the stream");
    free(buf);
    return rc;
}

int stasis_snap_spool(const struct stasis_input *in, int *ret_fd, struct stasis_error *err)
{
    uint64_t most = 0;
    int out = -1;
    int rc = stasis_output_make_temporary(&out, err);

    if (rc)
        return rc;
    rc = spool_header(in, out, &most, err);
    if (!rc && most < STASIS_HEADER_LEN)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the header says the file is shorter than it");
    if (!rc)
        rc = spool_rest(in, out, most, err);
    if (rc)
        stasis_io_close(out);
    else
        *ret_fd = out;
    return rc;
}
