/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * ACPI power management timer, after ACPI 6.4, 4.8.3.3. Not modelled: TMR_STS, which would tell of
 * each change of the highest bit: a system that wants to know asks more often (TMR_VAL_EXT).
 */
#include "stasis/acpi_timer.h"

#include <assert.h>

#define HZ       UINT64_C(3579545)
#define NS_PER_S UINT64_C(1000000000)

static uint64_t counter_ns(const struct stasis_acpi_timer *dev)
{
    return dev->ops->now_ns(dev->ctx) - dev->start_ns;
}

/* Seconds apart, since the product of all has more than 64 bits. */
static uint32_t ticks(uint64_t ns)
{
    return (uint32_t)(ns / NS_PER_S * HZ + ns % NS_PER_S * HZ / NS_PER_S);
}

void stasis_acpi_timer_init(struct stasis_acpi_timer *dev, const struct stasis_acpi_timer_ops *ops,
                            void *ctx)
{
    assert(ops->now_ns);
    *dev = (struct stasis_acpi_timer){.ops = ops, .ctx = ctx};
    stasis_acpi_timer_reset(dev);
}

void stasis_acpi_timer_reset(struct stasis_acpi_timer *dev)
{
    dev->start_ns = dev->ops->now_ns(dev->ctx);
}

uint32_t stasis_acpi_timer_read(const struct stasis_acpi_timer *dev, uint64_t offset, unsigned size)
{
    uint32_t covered = UINT32_MAX >> 8 * (STASIS_ACPI_TIMER_SIZE - size);

    assert(size && offset + size <= STASIS_ACPI_TIMER_SIZE);
    return ticks(counter_ns(dev)) >> 8 * offset & covered;
}

void stasis_acpi_timer_write(const struct stasis_acpi_timer *dev)
{
    if (dev->ops->guest_error)
        dev->ops->guest_error(dev->ctx, STASIS_GUEST_ERROR_READ_ONLY);
}

void stasis_acpi_timer_save(const struct stasis_acpi_timer *dev,
                            struct stasis_acpi_timer_state *ret_state)
{
    *ret_state = (struct stasis_acpi_timer_state){.counter_ns = counter_ns(dev)};
}

int stasis_acpi_timer_restore(struct stasis_acpi_timer *dev,
                              const struct stasis_acpi_timer_state *state, struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_acpi_timer_schema, state, err);

    if (!rc)
        dev->start_ns = dev->ops->now_ns(dev->ctx) - state->counter_ns;
    return rc;
}

void stasis_acpi_timer_state_advance(struct stasis_acpi_timer_state *state, uint64_t ns)
{
    state->counter_ns += ns;
}
