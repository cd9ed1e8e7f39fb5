/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * pvpanic (core/pvpanic.c) on a board.
 */
#include "stasis/pvpanic.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_pvpanic dev;
};

static void pvpanic_panicked(void *ctx)
{
    const struct stasis_device_env *env = stasis_adapter_env(ctx);

    env->panicked(env->ctx);
}

static const struct stasis_pvpanic_ops pvpanic_ops = {pvpanic_panicked, stasis_adapter_guest_error};

static void pvpanic_init(void *instance, const struct stasis_device *device)
{
    struct instance *pvpanic = instance;

    pvpanic->adapter.device = device;
    stasis_pvpanic_init(&pvpanic->dev, &pvpanic_ops, pvpanic);
}

/* The row is one byte wide. */
static uint64_t pvpanic_read(void *ctx, uint64_t offset, unsigned len)
{
    (void)offset, (void)len;
    return stasis_pvpanic_read(&((struct instance *)ctx)->dev);
}

static void pvpanic_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    (void)offset, (void)len;
    stasis_pvpanic_write(&((struct instance *)ctx)->dev, (uint8_t)value);
}

static void pvpanic_save(const void *instance, void *ret_state)
{
    stasis_pvpanic_save(&((const struct instance *)instance)->dev, ret_state);
}

static int pvpanic_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_pvpanic_restore(&((struct instance *)instance)->dev, state, err);
}

/* Who was told of an event is not told again. */
static void pvpanic_post_restore(void *instance)
{
    (void)instance;
}

const struct stasis_device_type stasis_device_pvpanic_type = {
    .schema = &stasis_pvpanic_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {pvpanic_read, pvpanic_write},
    .init = pvpanic_init,
    .save = pvpanic_save,
    .restore = pvpanic_restore,
    .post_restore = pvpanic_post_restore,
};
