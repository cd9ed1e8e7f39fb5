/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio entropy device (virtio 1.2, 5.4), with a bound on its rate, of which a request takes 64
 * bytes at least: one beyond it waits in its queue.
 *
 * The caller owns the struct and serializes all calls; operations must not call back.
 */
#ifndef STASIS_VIRTIO_RNG_H
#define STASIS_VIRTIO_RNG_H

#include "stasis/virtio_mmio.h"

STASIS_BEGIN_DECLS

/* Most bytes that one request gets: a device may give fewer than asked for (5.4.6). */
#define STASIS_VIRTIO_RNG_REQUEST_MAX 4096u

struct stasis_virtio_rng_ops {
    /* Fills with random bytes of cryptographic quality, without waiting. False: there are none now;
     * the device asks again 100 ms later. */
    bool (*random)(void *ctx, uint8_t *bytes, size_t len);
    /* A clock in ns that never goes back. */
    uint64_t (*now_ns)(void *ctx);
    /* Call stasis_virtio_rng_timer() when the clock of now_ns has reached deadline_ns, or any time
     * later; replaces any earlier deadline. */
    void (*arm)(void *ctx, uint64_t deadline_ns);
};

/* Private but for its size, and for the transport: accesses go to stasis_virtio_mmio_read() and
 * stasis_virtio_mmio_write(). */
struct stasis_virtio_rng {
    struct stasis_virtio_mmio mmio;
    const struct stasis_virtio_rng_ops *ops;
    void *ctx;
    uint64_t rate;    /* bytes a second */
    uint64_t tokens;  /* bytes that may be given now, at most those of a second */
    uint64_t last_ns; /* up to when they have been counted */
};

/* bytes_per_s is from STASIS_VIRTIO_RNG_REQUEST_MAX to 2^30. Of the operations calls now_ns alone.
 * `ops` must outlive the device. */
STASIS_EXPORT void stasis_virtio_rng_init(struct stasis_virtio_rng *rng,
                                          const struct stasis_virtio_host *host,
                                          const struct stasis_virtio_rng_ops *ops, void *ctx,
                                          uint32_t bytes_per_s);

/* The timer of ops->arm expired. Harmless when early or late. */
STASIS_EXPORT void stasis_virtio_rng_timer(struct stasis_virtio_rng *rng);

STASIS_EXPORT void stasis_virtio_rng_save(const struct stasis_virtio_rng *rng,
                                          struct stasis_virtio_rng_state *ret_state);

/* As stasis_virtio_mmio_restore(), and STASIS_ERR_RANGE if the state contradicts itself. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_rng_restore(struct stasis_virtio_rng *rng,
                          const struct stasis_virtio_rng_state *state, struct stasis_error *err);

/* Drives the line, and arms the timer if the queue is to be looked at: a notification that was on
 * its way during the freeze is nowhere else. */
STASIS_EXPORT void stasis_virtio_rng_apply_outputs(struct stasis_virtio_rng *rng);

STASIS_END_DECLS

#endif
