/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The memory-mapped transport of a virtio device (virtio 1.2, 4.2), modern (version 2) only: its
 * registers, the initialization by the driver (3.1), interrupts and reset.
 *
 * A device of this library, or of an embedder, is a struct with a transport in it and a kind, as
 * struct stasis_virtio_rng is. What the driver must not do is reported as an error of the guest and
 * ignored, or, where the device could not go on, answered by DEVICE_NEEDS_RESET (2.1.2).
 *
 * The caller owns the struct and serializes all calls; operations must not call back.
 */
#ifndef STASIS_VIRTIO_MMIO_H
#define STASIS_VIRTIO_MMIO_H

#include "stasis/guest_error.h"
#include "stasis/virtio_queue.h"

STASIS_BEGIN_DECLS

#define STASIS_VIRTIO_MMIO_SIZE       0x1000u /* of its range of addresses */
#define STASIS_VIRTIO_MMIO_CONFIG     0x100u  /* offset of the configuration space */
#define STASIS_VIRTIO_MMIO_QUEUES_MAX 8u
#define STASIS_VIRTIO_VENDOR          0x53544153u /* "STAS" */

/* What a device needs of what is around it. */
struct stasis_virtio_host {
    struct stasis_virtio_memory memory;
    /* The interrupt line: up while InterruptStatus is not 0. Never called twice with the same
     * level, but for stasis_virtio_mmio_apply_outputs(). */
    void (*irq)(void *ctx, bool level);
    /* The guest made an invalid access: UNKNOWN_REGISTER, BAD_WIDTH, READ_ONLY, WRITE_ONLY,
     * BAD_COMMAND (a step out of order) or BAD_QUEUE. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
    void *ctx; /* of these two */
};

/* A kind of device. */
struct stasis_virtio_kind {
    uint32_t device_id;    /* section 5 */
    uint64_t features;     /* of its own; those of the queues come with the transport */
    uint16_t queue_count;  /* at most STASIS_VIRTIO_MMIO_QUEUES_MAX */
    uint16_t queue_size;   /* of each, at most: a power of two up to STASIS_VIRTQUEUE_SIZE_MAX */
    const uint8_t *config; /* what the driver reads there; or NULL */
    uint32_t config_len;
    /* The driver writes 32 bits to the configuration space, in what config has. False: there is no
     * field there that it may write (2.5.2). NULL: there is none. */
    bool (*write_config)(void *device, uint64_t at, uint32_t value);
    /* The driver has put buffers into a queue that is ready, of a device that is live. */
    void (*notify)(void *device, unsigned queue);
    /* The driver has reset the device: requests are forgotten. May be NULL. */
    void (*reset)(void *device);
    /* The driver has taken back this queue: its requests are forgotten. May be NULL. */
    void (*stopped)(void *device, unsigned queue);
    /* Whether features that were offered go together, as the driver accepts them: FEATURES_OK stays
     * clear if not. NULL: they do. */
    bool (*accepts)(uint64_t features);
};

/* Private but for its size. */
struct stasis_virtio_mmio {
    const struct stasis_virtio_kind *kind;
    void *device;
    struct stasis_virtio_host host;
    struct stasis_virtio_mmio_state regs; /* its queues are unused: */
    struct stasis_virtqueue queues[STASIS_VIRTIO_MMIO_QUEUES_MAX];
    bool irq_level;
};

/* ---- for who has the device on a bus ---- */

/* A device after reset. kind must outlive it. Calls no operation. */
STASIS_EXPORT void stasis_virtio_mmio_init(struct stasis_virtio_mmio *mmio,
                                           const struct stasis_virtio_kind *kind, void *device,
                                           const struct stasis_virtio_host *host);

/* One access by the guest of `size` bytes. Registers are 32 bits wide and accessed whole (4.2.2.2);
 * any aligned width of 1, 2 or 4 bytes is allowed in the configuration space. What is invalid reads
 * 0 or is ignored. */
STASIS_EXPORT uint32_t stasis_virtio_mmio_read(struct stasis_virtio_mmio *mmio, uint64_t offset,
                                               unsigned size);
STASIS_EXPORT void stasis_virtio_mmio_write(struct stasis_virtio_mmio *mmio, uint64_t offset,
                                            unsigned size, uint32_t value);

/* ---- for the device itself ---- */

/* Whether the queue may be worked on: it is ready, and the device is live. */
STASIS_EXPORT bool stasis_virtio_mmio_is_active(const struct stasis_virtio_mmio *mmio,
                                                unsigned queue);
/* Buffers were put: raises the interrupt if the driver wants it. */
STASIS_EXPORT void stasis_virtio_mmio_used(struct stasis_virtio_mmio *mmio, unsigned queue);
/* What the driver reads in the configuration space has changed: tells it (4.2.2). */
STASIS_EXPORT void stasis_virtio_mmio_config_changed(struct stasis_virtio_mmio *mmio);
/* The driver broke a rule of the queues, or the device cannot go on: it works on nothing more until
 * the driver resets it, and tells the driver so if that can know (2.1.2). */
STASIS_EXPORT void stasis_virtio_mmio_fail(struct stasis_virtio_mmio *mmio,
                                           enum stasis_guest_error error);

/* ---- the state ---- */

/* *ret_state becomes all there is to know. A queue whose rings in RAM the driver has made untrue is
 * saved with DEVICE_NEEDS_RESET, so that what is saved can be restored. Changes nothing. */
STASIS_EXPORT void stasis_virtio_mmio_save(const struct stasis_virtio_mmio *mmio,
                                           struct stasis_virtio_mmio_state *ret_state);

/* Takes over a state that has passed its check, on an initialized device. Touches no RAM and calls
 * no operation: call stasis_virtio_mmio_apply_outputs() when the machine is in place.
 * STASIS_ERR_VERSION: it has features that this device does not offer, or other queues; the device
 * is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_mmio_restore(struct stasis_virtio_mmio *mmio,
                           const struct stasis_virtio_mmio_state *state, struct stasis_error *err);

/* After a restore, once RAM is in place: stasis_virtio_check_rings() of what was restored. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_mmio_check_memory(const struct stasis_virtio_mmio *mmio, struct stasis_error *err);

/* Drives the line with what is true now. */
STASIS_EXPORT void stasis_virtio_mmio_apply_outputs(struct stasis_virtio_mmio *mmio);

STASIS_END_DECLS

#endif
