/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The ACPI power management registers (core/acpi_pm.c) on a board: the way to a power-off, and of
 * events to the guest.
 */
#include "stasis/acpi_pm.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_acpi_pm dev;
};

static void pm_power_off(void *ctx)
{
    const struct stasis_device_env *env = stasis_adapter_env(ctx);

    env->power_off(env->ctx);
}

static const struct stasis_acpi_pm_ops pm_ops = {pm_power_off, stasis_adapter_raise_irq,
                                                 stasis_adapter_guest_error};

static void pm_init(void *instance, const struct stasis_device *device)
{
    struct instance *pm = instance;

    pm->adapter.device = device;
    stasis_acpi_pm_init(&pm->dev, &pm_ops, pm);
}

static uint64_t pm_read(void *ctx, uint64_t offset, unsigned len)
{
    struct instance *pm = ctx;
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)stasis_acpi_pm_read(&pm->dev, offset + i) << 8 * i;
    return value;
}

static void pm_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *pm = ctx;

    for (unsigned i = 0; i < len; i++)
        stasis_acpi_pm_write(&pm->dev, offset + i, (uint8_t)(value >> 8 * i));
}

static void pm_save(const void *instance, void *ret_state)
{
    stasis_acpi_pm_save(&((const struct instance *)instance)->dev, ret_state);
}

static int pm_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_acpi_pm_restore(&((struct instance *)instance)->dev, state, err);
}

static void pm_post_restore(void *instance)
{
    stasis_acpi_pm_apply_outputs(&((struct instance *)instance)->dev);
}

const struct stasis_device_type stasis_device_acpi_pm_type = {
    .schema = &stasis_acpi_pm_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {pm_read, pm_write},
    .init = pm_init,
    .save = pm_save,
    .restore = pm_restore,
    .post_restore = pm_post_restore,
};

void stasis_device_acpi_pm_power_button(struct stasis_device *pm)
{
    assert(pm->type == &stasis_device_acpi_pm_type);
    stasis_acpi_pm_power_button(&((struct instance *)pm->instance)->dev);
}

void stasis_device_acpi_pm_event(struct stasis_device *pm, unsigned number)
{
    assert(pm->type == &stasis_device_acpi_pm_type);
    stasis_acpi_pm_event(&((struct instance *)pm->instance)->dev, number);
}
