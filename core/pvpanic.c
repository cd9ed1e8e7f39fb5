/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/pvpanic.h"

#include <assert.h>

#define TAKEN (STASIS_PVPANIC_PANICKED | STASIS_PVPANIC_CRASH_LOADED)

void stasis_pvpanic_init(struct stasis_pvpanic *dev, const struct stasis_pvpanic_ops *ops,
                         void *ctx)
{
    assert(ops->panicked);
    *dev = (struct stasis_pvpanic){.ops = ops, .ctx = ctx};
    stasis_state_init(&stasis_pvpanic_schema, &dev->regs);
}

void stasis_pvpanic_reset(struct stasis_pvpanic *dev)
{
    stasis_state_init(&stasis_pvpanic_schema, &dev->regs);
}

uint8_t stasis_pvpanic_read(const struct stasis_pvpanic *dev)
{
    (void)dev;
    return TAKEN;
}

void stasis_pvpanic_write(struct stasis_pvpanic *dev, uint8_t events)
{
    if (events & ~TAKEN && dev->ops->guest_error)
        dev->ops->guest_error(dev->ctx, STASIS_GUEST_ERROR_BAD_COMMAND);
    dev->regs.events |= events & TAKEN;
    if (events & STASIS_PVPANIC_PANICKED)
        dev->ops->panicked(dev->ctx);
}

void stasis_pvpanic_save(const struct stasis_pvpanic *dev, struct stasis_pvpanic_state *ret_state)
{
    *ret_state = dev->regs;
}

int stasis_pvpanic_restore(struct stasis_pvpanic *dev, const struct stasis_pvpanic_state *state,
                           struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_pvpanic_schema, state, err);

    if (!rc)
        dev->regs = *state;
    return rc;
}
