/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The device's side of a split virtqueue (virtio 1.2, 2.7), with EVENT_IDX and indirect
 * descriptors.
 *
 * All of it is in RAM that a hostile driver may change at any moment. Each descriptor is read once,
 * into a chain of the caller's; each address is looked up in the guest's memory at each use, and no
 * pointer is kept. What the driver must not do makes the queue BROKEN; then the device needs a
 * reset (2.1.2). No call does more than a queue's size of steps.
 *
 * Threads: one at a time for a queue; the driver runs meanwhile.
 */
#ifndef STASIS_VIRTIO_QUEUE_H
#define STASIS_VIRTIO_QUEUE_H

#include <stddef.h>

#include "stasis/virtio_state.h"
#include "stasis/virtio_version.h"

STASIS_BEGIN_DECLS

/* The guest's memory. Addresses on the host have the guest's alignment, up to 16 bytes, and are
 * used until the call that asked for them returns. */
struct stasis_virtio_memory {
    /* Where [gpa, gpa + len) is, for reading; NULL unless all of it is RAM. len is never 0. */
    const void *(*at)(void *ctx, uint64_t gpa, uint64_t len);
    /* The same for writing. */
    void *(*writable)(void *ctx, uint64_t gpa, uint64_t len);
    void *ctx;
};

/* Most entries that a queue of this library's devices has. */
#define STASIS_VIRTQUEUE_SIZE_MAX 256u

struct stasis_virtqueue {
    struct stasis_virtio_queue_state state; /* its part of a saved device */
    uint16_t max_size;                      /* at most STASIS_VIRTQUEUE_SIZE_MAX */
    bool has_event_idx;                     /* negotiated */
    bool has_indirect;                      /* negotiated */
    bool is_signalled;                      /* signalled_used is known */
    uint16_t signalled_used;                /* next_used when the driver was last asked */
};

/* A buffer that the driver has made available: pieces that the device reads, then pieces that it
 * writes (2.7.4.2). */
struct stasis_virtio_chain {
    uint16_t head;  /* what stasis_virtqueue_put() wants */
    uint16_t reads; /* of the pieces below, so many are read */
    uint16_t count;
    uint64_t read_len;
    uint64_t write_len;
    struct {
        uint64_t gpa;
        uint32_t len;
    } pieces[STASIS_VIRTQUEUE_SIZE_MAX];
};

enum stasis_virtqueue_result {
    STASIS_VIRTQUEUE_EMPTY,
    STASIS_VIRTQUEUE_TAKEN,
    STASIS_VIRTQUEUE_BROKEN,
};

/* Whether the queue can be made ready: its size is a power of two up to max_size, and all three
 * parts are aligned RAM. */
STASIS_EXPORT bool stasis_virtqueue_is_usable(const struct stasis_virtqueue *queue,
                                              const struct stasis_virtio_memory *memory);

/* Takes the next buffer. The chain is valid if one was TAKEN. */
STASIS_EXPORT enum stasis_virtqueue_result
stasis_virtqueue_take(struct stasis_virtqueue *queue, const struct stasis_virtio_memory *memory,
                      struct stasis_virtio_chain *ret_chain);

/* Takes back the last take, of a buffer that has not been put: it comes again. */
STASIS_EXPORT void stasis_virtqueue_untake(struct stasis_virtqueue *queue);

/* Gives a buffer back to the driver, with the number of bytes written to its pieces. False: the
 * queue is broken. */
STASIS_EXPORT STASIS_MUST_CHECK bool stasis_virtqueue_put(struct stasis_virtqueue *queue,
                                                          const struct stasis_virtio_memory *memory,
                                                          uint16_t head, uint32_t written);

/* Gives several buffers back, at most as many as the queue has entries; the driver sees all of them
 * at once, or none. */
struct stasis_virtqueue_used {
    uint16_t head;
    uint32_t written;
};
STASIS_EXPORT STASIS_MUST_CHECK bool
stasis_virtqueue_put_all(struct stasis_virtqueue *queue, const struct stasis_virtio_memory *memory,
                         const struct stasis_virtqueue_used *used, unsigned count);

/* After one put or several: whether the driver wants an interrupt for them (2.7.7, 2.7.10). */
STASIS_EXPORT bool stasis_virtqueue_wants_interrupt(struct stasis_virtqueue *queue,
                                                    const struct stasis_virtio_memory *memory);

/* The queue was EMPTY: asks the driver to notify of the next buffer. True: one has arrived
 * meanwhile, so take again. */
STASIS_EXPORT STASIS_MUST_CHECK bool
stasis_virtqueue_await(const struct stasis_virtqueue *queue,
                       const struct stasis_virtio_memory *memory);

/* Asks the driver to notify of the next buffer behind those that it has made available, and returns
 * how many these are. */
STASIS_EXPORT uint16_t stasis_virtqueue_await_more(const struct stasis_virtqueue *queue,
                                                   const struct stasis_virtio_memory *memory);

/* Copies from the pieces that the device reads, or to those that it writes, beginning at `offset`
 * in them. Returns how many bytes there were; fewer than len only at the end of the pieces. */
STASIS_EXPORT size_t stasis_virtio_chain_read(const struct stasis_virtio_chain *chain,
                                              const struct stasis_virtio_memory *memory,
                                              uint64_t offset, void *bytes, size_t len);
STASIS_EXPORT size_t stasis_virtio_chain_write(const struct stasis_virtio_chain *chain,
                                               const struct stasis_virtio_memory *memory,
                                               uint64_t offset, const void *bytes, size_t len);

STASIS_END_DECLS

#endif
