/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/vmgenid.h"

#include <assert.h>
#include <string.h>

void stasis_vmgenid_init(struct stasis_vmgenid *dev, const struct stasis_vmgenid_ops *ops,
                         void *ctx)
{
    assert(ops->store && ops->changed);
    *dev = (struct stasis_vmgenid){.ops = ops, .ctx = ctx};
    stasis_state_init(&stasis_vmgenid_schema, &dev->regs);
}

int stasis_vmgenid_set(struct stasis_vmgenid *dev, const uint8_t id[STASIS_VMGENID_BYTES],
                       struct stasis_error *err)
{
    int rc = dev->ops->store(dev->ctx, id, err);

    if (!rc)
        memcpy(dev->regs.id, id, STASIS_VMGENID_BYTES);
    return rc;
}

/* The guest that is told finds the new id. */
int stasis_vmgenid_renew(struct stasis_vmgenid *dev, const uint8_t id[STASIS_VMGENID_BYTES],
                         struct stasis_error *err)
{
    int rc = stasis_vmgenid_set(dev, id, err);

    if (!rc)
        dev->ops->changed(dev->ctx);
    return rc;
}

void stasis_vmgenid_save(const struct stasis_vmgenid *dev, struct stasis_vmgenid_state *ret_state)
{
    *ret_state = dev->regs;
}

int stasis_vmgenid_restore(struct stasis_vmgenid *dev, const struct stasis_vmgenid_state *state,
                           struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_vmgenid_schema, state, err);

    if (!rc)
        dev->regs = *state;
    return rc;
}
