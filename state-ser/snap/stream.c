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
#include "stasis/bytes.h"

static int save(struct stasis_snap *snap, struct stasis_snap_target *target, const char *name,
                const struct stasis_save_opts *opts, struct stasis_save_stats *ret_stats,
                struct stasis_error *err)
{
    struct stasis_save_opts chosen;
    struct stasis_snap_written written;
    int rc = stasis_save_opts_get(opts, &chosen, err);

    if (!rc && chosen.saved)
        rc = stasis_fail(err, STASIS_ERR_ARG,
                         "what was written is not read back; open it where it arrives");
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
    uint64_t most = stasis_file_len_max(info->ram_bytes, stasis_index_form_of(info));

    return info->streamed || info->file_len > most ? most : info->file_len;
}

/* A stream on its way to a temporary file. */
struct spool {
    const struct stasis_input *in;
    int out;
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    uint64_t pos;   /* bytes that have come */
    uint64_t total; /* 0: only the end tells */
    uint64_t most;  /* that there can be */
};

static int report(const struct spool *spool, struct stasis_error *err)
{
    if (!spool->progress || spool->progress(spool->ctx, spool->pos, spool->total))
        return 0;
    return stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
}

/* Fills `buf`, unless the stream ends before; asks the progress before each wait. */
static int take(struct spool *spool, uint8_t *buf, size_t len, size_t *ret_len,
                struct stasis_error *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n;
        int rc = report(spool, err);

        if (rc)
            return rc;
        if (!stasis_input_wait(spool->in))
            continue;
        n = stasis_input_read_some(spool->in, buf + done, len - done, spool->pos);
        if (n < 0)
            return stasis_fail_errno(err, STASIS_ERR_READ,
                                     "reading the stream (check where it comes from)");
        if (n == 0)
            break;
        done += (size_t)n;
        spool->pos += (uint64_t)n;
    }
    *ret_len = done;
    return 0;
}

static int put(const struct spool *spool, const uint8_t *bytes, size_t len, uint64_t at,
               struct stasis_error *err)
{
    /* Zeros stay holes. */
    if (stasis_is_zero(bytes, len) || !stasis_io_pwrite(spool->out, bytes, len, at))
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "spooling the stream");
}

static int spool_header(struct spool *spool, struct stasis_error *err)
{
    uint8_t bytes[STASIS_HEADER_LEN];
    struct stasis_header header;
    size_t len = 0;
    int rc = take(spool, bytes, sizeof(bytes), &len, err);

    if (rc)
        return rc;
    if (len < sizeof(bytes))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "truncated: %zu bytes, a header has %u", len,
                           STASIS_HEADER_LEN);
    rc = stasis_header_decode(bytes, &header, err);
    if (rc)
        return rc;
    spool->most = longest(&header.info);
    spool->total = header.info.streamed ? 0 : spool->most;
    if (spool->most < STASIS_HEADER_LEN)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the header says the file is shorter than it");
    return put(spool, bytes, sizeof(bytes), 0, err);
}

static int spool_rest(struct spool *spool, struct stasis_error *err)
{
    uint8_t *buf = malloc(STASIS_CHUNK_SIZE);
    size_t len = STASIS_CHUNK_SIZE;
    int rc = 0;

    if (!buf)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to read the stream");
    while (!rc && len == STASIS_CHUNK_SIZE) {
        uint64_t at = spool->pos;

        rc = take(spool, buf, STASIS_CHUNK_SIZE, &len, err);
        if (!rc && spool->pos > spool->most)
            rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                             "longer than its header allows: more than %" PRIu64 " bytes",
                             spool->most);
        if (!rc)
            rc = put(spool, buf, len, at, err);
    }
    if (!rc && stasis_io_truncate(spool->out, spool->pos))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "spooling the stream");
    free(buf);
    return rc;
}

int stasis_snap_spool(const struct stasis_input *in, const struct stasis_parse_opts *opts,
                      int *ret_fd, struct stasis_error *err)
{
    struct spool spool = {.in = in, .out = -1};
    int rc = stasis_output_make_temporary(&spool.out, err);

    if (rc)
        return rc;
    if (opts) {
        spool.progress = opts->progress;
        spool.ctx = opts->ctx;
    }
    rc = spool_header(&spool, err);
    if (!rc)
        rc = spool_rest(&spool, err);
    if (!rc)
        rc = report(&spool, err);
    if (rc)
        stasis_io_close(spool.out);
    else
        *ret_fd = spool.out;
    return rc;
}
