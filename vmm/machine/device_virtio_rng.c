/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio entropy device (virtio/rng.c) on a board.
 */
#include "stasis/virtio_rng.h"
#include "vmm/base/clock.h"
#include "vmm/machine/adapter.h"

/* Far more than guests use, and little for a host: what a guest asks for beyond it waits. */
#define BYTES_PER_S (UINT32_C(1) << 20)

struct instance {
    struct stasis_adapter adapter;
    struct stasis_virtio_rng dev;
};

static bool random_bytes(void *ctx, uint8_t *bytes, size_t len)
{
    const struct stasis_device_host *host = stasis_adapter_env(ctx)->host;

    if (!host->random(host->ctx, bytes, len))
        return false;
    stasis_counter_add(&stasis_adapter_counters(ctx)->in_bytes, len);
    return true;
}

static uint64_t now_ns(void *ctx)
{
    (void)ctx;
    return stasis_monotonic_ns();
}

static void arm(void *ctx, uint64_t deadline_ns)
{
    const struct instance *rng = ctx;
    const struct stasis_device_host *host = stasis_adapter_env(ctx)->host;

    host->timer_arm(host->ctx, rng->adapter.device, deadline_ns);
}

static const struct stasis_virtio_rng_ops rng_ops = {random_bytes, now_ns, arm};

static void rng_init(void *instance, const struct stasis_device *device)
{
    struct instance *rng = instance;
    const struct stasis_virtio_host host = {
        .memory = stasis_adapter_memory(instance),
        .irq = stasis_adapter_raise_irq,
        .guest_error = stasis_adapter_guest_error,
        .ctx = instance,
    };

    rng->adapter.device = device;
    stasis_virtio_rng_init(&rng->dev, &host, &rng_ops, rng, BYTES_PER_S);
}

static uint64_t rng_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_virtio_mmio_read(&((struct instance *)ctx)->dev.mmio, offset, len);
}

static void rng_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    stasis_virtio_mmio_write(&((struct instance *)ctx)->dev.mmio, offset, len, (uint32_t)value);
}

static void rng_save(const void *instance, void *ret_state)
{
    stasis_virtio_rng_save(&((const struct instance *)instance)->dev, ret_state);
}

static int rng_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_virtio_rng_restore(&((struct instance *)instance)->dev, state, err);
}

static int rng_check_memory(const void *instance, struct stasis_error *err)
{
    return stasis_virtio_mmio_check_memory(&((const struct instance *)instance)->dev.mmio, err);
}

static void rng_post_restore(void *instance)
{
    stasis_virtio_rng_apply_outputs(&((struct instance *)instance)->dev);
}

static void rng_timer(void *instance)
{
    stasis_virtio_rng_timer(&((struct instance *)instance)->dev);
}

const struct stasis_device_type stasis_device_virtio_rng_type = {
    .schema = &stasis_virtio_rng_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {rng_read, rng_write},
    .init = rng_init,
    .save = rng_save,
    .restore = rng_restore,
    .check_memory = rng_check_memory,
    .post_restore = rng_post_restore,
    .timer = rng_timer,
};
