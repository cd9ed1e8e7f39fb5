/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio balloon device (virtio/balloon.c) on a board.
 *
 * Pages are given back by the thread of the vCPU that notifies of them, a bounded number at a time;
 * the event loop's does the rest, as the device's timer.
 */
#include "stasis/kvm_memory.h"
#include "stasis/virtio_balloon.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_virtio_balloon dev;
    uint64_t discarded; /* bytes that have been counted */
};

/* Cannot fail: the model names whole pages of RAM. */
static void discard(void *ctx, uint64_t gpa, uint64_t len)
{
    (void)!stasis_memory_discard(stasis_adapter_env(ctx)->memory, gpa, len, NULL);
}

static const struct stasis_virtio_balloon_ops balloon_ops = {discard, stasis_adapter_wake};

/* For those who ask without the lock. */
static void count(struct instance *balloon)
{
    struct stasis_device_counters *counters = stasis_adapter_counters(balloon);
    uint64_t now = balloon->dev.counters.inflated_bytes + balloon->dev.counters.reported_bytes;

    stasis_counter_add(&counters->discarded_bytes, now - balloon->discarded);
    balloon->discarded = now;
    stasis_counter_set(&counters->balloon_bytes, balloon->dev.actual * STASIS_VIRTIO_BALLOON_PAGE);
    stasis_counter_set(&counters->balloon_target_bytes,
                       balloon->dev.num_pages * STASIS_VIRTIO_BALLOON_PAGE);
}

static void balloon_init(void *instance, const struct stasis_device *device)
{
    struct instance *balloon = instance;
    const struct stasis_virtio_host host = {
        .memory = stasis_adapter_memory(instance),
        .irq = stasis_adapter_raise_irq,
        .guest_error = stasis_adapter_guest_error,
        .ctx = instance,
    };

    balloon->adapter.device = device;
    stasis_virtio_balloon_init(&balloon->dev, &host, !device->env->host->hides_reporting,
                               &balloon_ops, balloon);
}

static uint64_t balloon_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_virtio_mmio_read(&((struct instance *)ctx)->dev.mmio, offset, len);
}

static void balloon_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *balloon = ctx;

    stasis_virtio_mmio_write(&balloon->dev.mmio, offset, len, (uint32_t)value);
    count(balloon);
}

static void balloon_timer(void *instance)
{
    struct instance *balloon = instance;

    stasis_virtio_balloon_resume(&balloon->dev);
    count(balloon);
}

/* ---- the state ---- */

static void balloon_save(const void *instance, void *ret_state)
{
    stasis_virtio_balloon_save(&((const struct instance *)instance)->dev, ret_state);
}

static int balloon_restore(void *instance, const void *state, struct stasis_error *err)
{
    struct instance *balloon = instance;
    int rc = stasis_virtio_balloon_restore(&balloon->dev, state, err);

    if (rc)
        return rc;
    balloon->discarded = 0; /* as the model's own */
    count(balloon);
    return 0;
}

static int balloon_check_memory(const void *instance, struct stasis_error *err)
{
    return stasis_virtio_mmio_check_memory(&((const struct instance *)instance)->dev.mmio, err);
}

static void balloon_post_restore(void *instance)
{
    stasis_virtio_balloon_apply_outputs(&((struct instance *)instance)->dev);
}

/* What the host asks for is its own. */
static int balloon_keep(void *instance, const void *state, struct stasis_error *err)
{
    struct instance *balloon = instance;

    (void)err;
    stasis_virtio_balloon_ask(&balloon->dev,
                              ((const struct stasis_virtio_balloon_state *)state)->num_pages);
    count(balloon);
    return 0;
}

const struct stasis_device_type stasis_device_virtio_balloon_type = {
    .schema = &stasis_virtio_balloon_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {balloon_read, balloon_write},
    .init = balloon_init,
    .save = balloon_save,
    .restore = balloon_restore,
    .check_memory = balloon_check_memory,
    .post_restore = balloon_post_restore,
    .keep = balloon_keep,
    .timer = balloon_timer,
};

/* ---- from outside ---- */

void stasis_device_balloon_ask(struct stasis_device *device, uint32_t num_pages)
{
    struct instance *balloon = device->instance;

    stasis_virtio_balloon_ask(&balloon->dev, num_pages);
    count(balloon);
}
