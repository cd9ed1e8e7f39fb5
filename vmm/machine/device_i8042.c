/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The i8042 keyboard controller (core/i8042.c) on a board: the way to a reset.
 */
#include "stasis/i8042.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_i8042 dev;
};

static void i8042_reset(void *ctx)
{
    const struct stasis_device_env *env = stasis_adapter_env(ctx);

    env->reset(env->ctx);
}

static const struct stasis_i8042_ops i8042_ops = {i8042_reset, stasis_adapter_raise_irq,
                                                  stasis_adapter_guest_error};

static void i8042_init(void *instance, const struct stasis_device *device)
{
    struct instance *i8042 = instance;

    i8042->adapter.device = device;
    stasis_i8042_init(&i8042->dev, &i8042_ops, i8042);
}

static uint64_t i8042_read(void *ctx, uint64_t offset, unsigned len)
{
    struct instance *i8042 = ctx;
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)stasis_i8042_read(&i8042->dev, offset + i) << 8 * i;
    return value;
}

static void i8042_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *i8042 = ctx;

    for (unsigned i = 0; i < len; i++)
        stasis_i8042_write(&i8042->dev, offset + i, (uint8_t)(value >> 8 * i));
}

static void i8042_save(const void *instance, void *ret_state)
{
    stasis_i8042_save(&((const struct instance *)instance)->dev, ret_state);
}

static int i8042_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_i8042_restore(&((struct instance *)instance)->dev, state, err);
}

static void i8042_post_restore(void *instance)
{
    stasis_i8042_apply_outputs(&((struct instance *)instance)->dev);
}

const struct stasis_device_type stasis_device_i8042_type = {
    .schema = &stasis_i8042_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {i8042_read, i8042_write},
    .init = i8042_init,
    .save = i8042_save,
    .restore = i8042_restore,
    .post_restore = i8042_post_restore,
};
