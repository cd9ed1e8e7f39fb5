/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Requests of a block device, carried out by its thread (io_thread.h): one after the other, in the
 * order in which the driver made them. The lock is held but while the host is asked.
 *
 * Of a frozen guest the requests that are not answered are written down, and asked for again. What
 * the host still does for one then changes no RAM and reaches no driver; a write is the same as the
 * one that is made again, of the same bytes, and the driver has been told of neither. Nobody else
 * can have written there meanwhile: the file is locked until the host has done it (host/disk.h).
 */
#include "vmm/machine/blk_requests.h"

#include "vmm/base/clock.h"

#define RANGE_PIECE (UINT32_C(1) << 20) /* of a range without data */

/* The driver hears of so many answers at once, unless the host takes its time for them. */
#define ANSWERS 16u
#define SLOW_NS UINT64_C(100000)

static void submit(void *ctx, const struct stasis_virtio_blk_request *request)
{
    struct stasis_blk *blk = ctx;

    blk->pending[request->id % STASIS_VIRTIO_BLK_REQUESTS] =
        (struct stasis_blk_pending){.request = *request, .is_used = true};
    blk->has_new = true;
}

static void wake(void *ctx)
{
    stasis_io_thread_ring(stasis_blk_thread(ctx));
}

const struct stasis_virtio_blk_ops stasis_blk_ops = {submit, wake};

/* ---- the host's part of a request, without the lock ---- */

struct piece {
    struct stasis_virtio_blk_request request;
    uint64_t done, len; /* of the request's data */
};

static struct piece next_piece(const struct stasis_blk_pending *pending)
{
    const struct stasis_virtio_blk_request *request = &pending->request;
    uint64_t left = request->len - pending->done;
    uint64_t most = request->op == STASIS_VIRTIO_BLK_READ || request->op == STASIS_VIRTIO_BLK_WRITE
                        ? STASIS_BLK_PIECE
                        : RANGE_PIECE;

    return (struct piece){*request, pending->done, left < most ? left : most};
}

static bool ask_for_data(const struct stasis_device_disk *disk, const struct piece *piece,
                         uint8_t *bytes)
{
    const struct stasis_virtio_blk_request *request = &piece->request;
    uint64_t offset = request->offset + piece->done;

    switch (request->op) {
    case STASIS_VIRTIO_BLK_READ:
        return disk->read(disk->ctx, offset, bytes, (size_t)piece->len);
    case STASIS_VIRTIO_BLK_WRITE:
        return disk->write(disk->ctx, offset, bytes, (size_t)piece->len);
    case STASIS_VIRTIO_BLK_FLUSH:
        return disk->flush(disk->ctx);
    case STASIS_VIRTIO_BLK_DISCARD:
        return disk->discard(disk->ctx, offset, piece->len);
    case STASIS_VIRTIO_BLK_WRITE_ZEROES:
        return disk->zero(disk->ctx, offset, piece->len, request->may_unmap);
    }
    return false;
}

static bool is_synced(const struct piece *piece)
{
    return piece->request.must_sync && piece->request.op != STASIS_VIRTIO_BLK_READ &&
           piece->done + piece->len == piece->request.len;
}

static bool ask_host(const struct stasis_device_disk *disk, const struct piece *piece,
                     uint8_t *bytes)
{
    return ask_for_data(disk, piece, bytes) && (!is_synced(piece) || disk->flush(disk->ctx));
}

/* ---- requests, on the thread ---- */

/* Ids grow. */
static struct stasis_blk_pending *first_of(struct stasis_blk *blk)
{
    struct stasis_blk_pending *first = NULL;

    for (unsigned i = 0; i < STASIS_VIRTIO_BLK_REQUESTS; i++) {
        struct stasis_blk_pending *pending = &blk->pending[i];

        if (pending->is_used && (!first || pending->request.id < first->request.id))
            first = pending;
    }
    return first;
}

static void announce(struct stasis_blk *blk)
{
    blk->answers = 0;
    stasis_virtio_blk_announce(&blk->dev);
}

static void answer(struct stasis_blk *blk, struct stasis_blk_pending *pending, bool ok)
{
    pending->is_used = false;
    stasis_counter_add(&stasis_adapter_counters(blk)->requests, 1);
    stasis_virtio_blk_answer(&blk->dev, pending->request.id,
                             ok ? STASIS_VIRTIO_BLK_OK : STASIS_VIRTIO_BLK_IO_ERROR);
    blk->answers++;
}

/* A request that the driver has taken back by a reset is continued no more. */
static bool is_alive(struct stasis_blk *blk, const struct piece *piece)
{
    return stasis_virtio_blk_fetch(&blk->dev, piece->request.id, 0, blk->piece, 0);
}

static bool fetch(struct stasis_blk *blk, const struct piece *piece)
{
    if (piece->request.op != STASIS_VIRTIO_BLK_WRITE)
        return is_alive(blk, piece);
    return stasis_virtio_blk_fetch(&blk->dev, piece->request.id, piece->done, blk->piece,
                                   (size_t)piece->len);
}

static void count(const struct stasis_blk *blk, const struct piece *piece)
{
    struct stasis_device_counters *counters = stasis_adapter_counters(blk);

    if (piece->request.op == STASIS_VIRTIO_BLK_READ)
        stasis_counter_add(&counters->in_bytes, piece->len);
    if (piece->request.op == STASIS_VIRTIO_BLK_WRITE)
        stasis_counter_add(&counters->out_bytes, piece->len);
}

/* The driver may have taken the request back meanwhile, and made another in its place. */
static void conclude(struct stasis_blk *blk, const struct piece *piece, bool ok)
{
    struct stasis_blk_pending *pending =
        &blk->pending[piece->request.id % STASIS_VIRTIO_BLK_REQUESTS];

    if (!pending->is_used || pending->request.id != piece->request.id)
        return;
    if (!is_alive(blk, piece)) {
        pending->is_used = false;
        return;
    }
    if (ok)
        count(blk, piece);
    if (ok && piece->request.op == STASIS_VIRTIO_BLK_READ)
        ok = stasis_virtio_blk_store(&blk->dev, piece->request.id, piece->done, blk->piece,
                                     (size_t)piece->len);
    pending->done += piece->len;
    if (!ok || pending->done == piece->request.len)
        answer(blk, pending, ok);
}

/* The host is about to take its time: the driver hears of what it has before. */
static bool is_slow(const struct piece *piece)
{
    return is_synced(piece) || (piece->request.op != STASIS_VIRTIO_BLK_READ &&
                                piece->request.op != STASIS_VIRTIO_BLK_WRITE);
}

/* What the host limits: a flush and a discard move no data. */
static uint64_t bytes_of(const struct piece *piece)
{
    return piece->request.op == STASIS_VIRTIO_BLK_FLUSH ||
                   piece->request.op == STASIS_VIRTIO_BLK_DISCARD
               ? 0
               : piece->len;
}

/* Whether it is too early for the host: the device's timer rings when it is not. */
static bool is_early(struct stasis_blk *blk, const struct piece *piece)
{
    const struct stasis_device_disk *disk = blk->disk;
    const struct stasis_device_host *host = stasis_adapter_env(blk)->host;
    uint64_t now_ns = stasis_monotonic_ns();
    uint64_t wait_ns = disk->admit ? disk->admit(disk->ctx, now_ns, bytes_of(piece)) : 0;

    if (!wait_ns)
        return false;
    announce(blk);
    host->timer_arm(host->ctx, blk->adapter.device, now_ns + wait_ns);
    return true;
}

/* False: the thread is to end, or to wait for a ring. */
static bool step(struct stasis_blk *blk, struct stasis_blk_pending *pending)
{
    const struct piece piece = next_piece(pending);
    const struct stasis_device_disk *disk = blk->disk;
    uint64_t start_ns = stasis_monotonic_ns();
    bool ok, goes_on;

    if (!fetch(blk, &piece)) {
        pending->is_used = false;
        return true;
    }
    if (is_early(blk, &piece))
        return false;
    if (is_slow(&piece))
        announce(blk);
    blk->is_writing = piece.request.op != STASIS_VIRTIO_BLK_READ;
    stasis_io_thread_leave(stasis_blk_thread(blk));
    ok = ask_host(disk, &piece, blk->piece);
    goes_on = stasis_io_thread_enter(stasis_blk_thread(blk));
    if (goes_on)
        conclude(blk, &piece, ok);
    if (goes_on && (blk->answers >= ANSWERS || stasis_monotonic_ns() - start_ns > SLOW_NS))
        announce(blk);
    return goes_on;
}

void stasis_blk_work(void *instance)
{
    struct stasis_blk *blk = instance;
    struct stasis_blk_pending *pending;

    stasis_counter_add(&stasis_adapter_counters(blk)->wakes, 1);
    stasis_virtio_blk_resume(&blk->dev);
    blk->has_new = false;
    do
        pending = blk->disk ? first_of(blk) : NULL;
    while (pending && step(blk, pending));
    if (!pending)
        announce(blk);
}
