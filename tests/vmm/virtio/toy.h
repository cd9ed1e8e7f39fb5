/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio device of two queues that copies what it reads to where it may write: what an embedder's
 * own device is like.
 */
#ifndef STASIS_TESTS_TOY_H
#define STASIS_TESTS_TOY_H

#include "driver_rig.h"

#define TOY_FEATURE (UINT64_C(1) << 3 | UINT64_C(1) << 40)

struct toy {
    struct stasis_virtio_mmio mmio;
    unsigned notified[2];
    unsigned resets;
};

static inline void toy_answer(struct toy *toy, unsigned number)
{
    const struct stasis_virtio_memory *memory = &toy->mmio.host.memory;
    struct stasis_virtqueue *queue = &toy->mmio.queues[number];
    struct stasis_virtio_chain chain;
    enum stasis_virtqueue_result result;
    uint8_t bytes[64];
    unsigned puts = 0;

    while ((result = stasis_virtqueue_take(queue, memory, &chain)) == STASIS_VIRTQUEUE_TAKEN) {
        size_t len = stasis_virtio_chain_read(&chain, memory, 0, bytes, sizeof(bytes));

        len = stasis_virtio_chain_write(&chain, memory, 0, bytes, len);
        if (!stasis_virtqueue_put(queue, memory, chain.head, (uint32_t)len)) {
            result = STASIS_VIRTQUEUE_BROKEN;
            break;
        }
        puts++;
    }
    if (puts)
        stasis_virtio_mmio_used(&toy->mmio, number);
    if (result == STASIS_VIRTQUEUE_BROKEN)
        stasis_virtio_mmio_fail(&toy->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    else
        (void)!stasis_virtqueue_await(queue, memory);
}

static inline void toy_notify(void *device, unsigned queue)
{
    struct toy *toy = device;

    toy->notified[queue]++;
    toy_answer(toy, queue);
}

static inline void toy_reset(void *device)
{
    ((struct toy *)device)->resets++;
}

static const uint8_t toy_config[6] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66};
static const struct stasis_virtio_kind toy_kind = {
    .device_id = 42,
    .features = TOY_FEATURE,
    .queue_count = 2,
    .queue_size = SIZE,
    .config = toy_config,
    .config_len = sizeof(toy_config),
    .notify = toy_notify,
    .reset = toy_reset,
};

static inline void toy_init(struct toy *toy, struct driver *driver)
{
    struct stasis_virtio_host host;

    driver_init(driver, &host);
    memset(toy, 0, sizeof(*toy));
    stasis_virtio_mmio_init(&toy->mmio, &toy_kind, toy, &host);
}

/* A request of 5 bytes in descriptors 0 and 1. */
static inline void toy_request(struct driver *driver)
{
    memcpy(bytes_at(driver, BUFFER), "hello", 5);
    put_desc(driver, DESC, 0, BUFFER, 5, NEXT, 1);
    put_desc(driver, DESC, 1, BUFFER + 16, 16, WRITE, 0);
    offer(driver, 0);
}

#endif
