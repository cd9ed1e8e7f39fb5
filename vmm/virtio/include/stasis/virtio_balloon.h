/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio balloon device (virtio 1.2, 5.5): the host asks the guest for memory, the guest gives
 * pages and takes them back, and reports free pages if that is offered. Not offered are statistics,
 * hints of free pages, and MUST_TELL_HOST: a page that the guest uses again is there.
 *
 * What the guest gives or reports is taken away by the caller of the device, whole pages of RAM
 * only; the device keeps no list of them. It does a bounded amount of work at a time.
 *
 * The caller owns the struct and serializes all calls; operations must not call back.
 */
#ifndef STASIS_VIRTIO_BALLOON_H
#define STASIS_VIRTIO_BALLOON_H

#include "stasis/virtio_mmio.h"

STASIS_BEGIN_DECLS

#define STASIS_VIRTIO_BALLOON_PAGE UINT64_C(4096)

struct stasis_virtio_balloon_ops {
    /* These whole pages of guest RAM are the host's, and read as zero from now on, until the guest
     * writes to them. At most 2 MiB, or a request's. */
    void (*discard)(void *ctx, uint64_t gpa, uint64_t len);
    /* Call stasis_virtio_balloon_resume() soon, once the guest runs. */
    void (*wake)(void *ctx);
};

struct stasis_virtio_balloon_counters {
    uint64_t inflated_bytes; /* given to discard(), of pages that were put into the balloon */
    uint64_t reported_bytes; /* and of those that were reported as free */
};

/* Private but for its size, for num_pages, actual and the counters, and for the transport: accesses
 * go to stasis_virtio_mmio_read() and stasis_virtio_mmio_write(). */
struct stasis_virtio_balloon {
    struct stasis_virtio_mmio mmio;
    struct stasis_virtio_kind kind;
    const struct stasis_virtio_balloon_ops *ops;
    void *ctx;
    struct stasis_virtio_balloon_counters counters;
    uint32_t num_pages;  /* that the host asks for */
    uint32_t actual;     /* that the balloon has, says the guest, which may say anything */
    uint32_t poison_val; /* with PAGE_POISON: what the guest's free pages hold */
    uint8_t config[16];
    uint64_t done[STASIS_VIRTIO_BALLOON_QUEUES]; /* bytes of the next request of each queue */
};

/* A device whose balloon is empty, and shall be. `reports`: free page reporting is offered, and
 * PAGE_POISON, without which guests that fill free pages do not report them. Calls no operation.
 * `ops` must outlive the device. */
STASIS_EXPORT void stasis_virtio_balloon_init(struct stasis_virtio_balloon *balloon,
                                              const struct stasis_virtio_host *host, bool reports,
                                              const struct stasis_virtio_balloon_ops *ops,
                                              void *ctx);

/* The host asks for so many pages in the balloon, from now on. */
STASIS_EXPORT void stasis_virtio_balloon_ask(struct stasis_virtio_balloon *balloon,
                                             uint32_t num_pages);

/* What ops->wake asks for. Harmless at any time. */
STASIS_EXPORT void stasis_virtio_balloon_resume(struct stasis_virtio_balloon *balloon);

STASIS_EXPORT void stasis_virtio_balloon_save(const struct stasis_virtio_balloon *balloon,
                                              struct stasis_virtio_balloon_state *ret_state);

/* As stasis_virtio_mmio_restore(), and STASIS_ERR_RANGE if the state contradicts itself. The device
 * reports if that one did. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_balloon_restore(struct stasis_virtio_balloon *balloon,
                              const struct stasis_virtio_balloon_state *state,
                              struct stasis_error *err);

/* Drives the line, and calls ops->wake if the driver uses the device: a notification that was on
 * its way during the freeze is nowhere else. */
STASIS_EXPORT void stasis_virtio_balloon_apply_outputs(struct stasis_virtio_balloon *balloon);

STASIS_END_DECLS

#endif
