/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The ACPI power management timer (core/acpi_timer.c) on a board.
 */
#include "stasis/acpi_timer.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_acpi_timer dev;
};

static uint64_t timer_now(void *ctx)
{
    (void)ctx;
    return stasis_monotonic_ns();
}

static const struct stasis_acpi_timer_ops timer_ops = {timer_now, stasis_adapter_guest_error};

static void timer_init(void *instance, const struct stasis_device *device)
{
    struct instance *timer = instance;

    timer->adapter.device = device;
    stasis_acpi_timer_init(&timer->dev, &timer_ops, timer);
}

static uint64_t timer_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_acpi_timer_read(&((struct instance *)ctx)->dev, offset, len);
}

static void timer_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    (void)offset, (void)len, (void)value;
    stasis_acpi_timer_write(&((struct instance *)ctx)->dev);
}

static void timer_save(const void *instance, void *ret_state)
{
    stasis_acpi_timer_save(&((const struct instance *)instance)->dev, ret_state);
}

static int timer_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_acpi_timer_restore(&((struct instance *)instance)->dev, state, err);
}

/* It has no line and no timer. */
static void timer_post_restore(void *instance)
{
    (void)instance;
}

static void timer_advance(void *state, uint64_t ns)
{
    stasis_acpi_timer_state_advance(state, ns);
}

const struct stasis_device_type stasis_device_acpi_timer_type = {
    .schema = &stasis_acpi_timer_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {timer_read, timer_write},
    .init = timer_init,
    .save = timer_save,
    .restore = timer_restore,
    .post_restore = timer_post_restore,
    .advance = timer_advance,
};
