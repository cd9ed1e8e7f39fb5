/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The generation id (core/vmgenid.c) on a board. Its row covers a page of guest RAM, which begins
 * with the id: no access of the guest comes here.
 */
#include "stasis/vmgenid.h"

#include <sys/random.h>

#include "stasis/kvm_memory.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_vmgenid dev;
};

static int vmgenid_store(void *ctx, const uint8_t id[STASIS_VMGENID_BYTES],
                         struct stasis_error *err)
{
    const struct stasis_device *device = ((const struct instance *)ctx)->adapter.device;

    return stasis_memory_write(device->env->memory, device->row->base, id, STASIS_VMGENID_BYTES,
                               device->row->instance, err);
}

static void vmgenid_changed(void *ctx)
{
    const struct stasis_device_env *env = stasis_adapter_env(ctx);

    env->event(env->ctx, STASIS_DEVICE_EVENT_VMGENID);
}

static const struct stasis_vmgenid_ops vmgenid_ops = {vmgenid_store, vmgenid_changed};

static void vmgenid_init(void *instance, const struct stasis_device *device)
{
    struct instance *vmgenid = instance;

    vmgenid->adapter.device = device;
    stasis_vmgenid_init(&vmgenid->dev, &vmgenid_ops, vmgenid);
}

static uint64_t vmgenid_read(void *ctx, uint64_t offset, unsigned len)
{
    (void)offset, (void)len;
    stasis_adapter_guest_error(ctx, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
    return UINT64_MAX;
}

static void vmgenid_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    (void)offset, (void)len, (void)value;
    stasis_adapter_guest_error(ctx, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
}

static void vmgenid_save(const void *instance, void *ret_state)
{
    stasis_vmgenid_save(&((const struct instance *)instance)->dev, ret_state);
}

static int vmgenid_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_vmgenid_restore(&((struct instance *)instance)->dev, state, err);
}

/* The id is in guest RAM, and the event is not the device's. */
static void vmgenid_post_restore(void *instance)
{
    (void)instance;
}

/* A reset does not make another generation of the guest: begin() writes the id to its RAM again. */
static int vmgenid_keep(void *instance, const void *state, struct stasis_error *err)
{
    return vmgenid_restore(instance, state, err);
}

static int vmgenid_begin(void *instance, enum stasis_device_start start, struct stasis_error *err)
{
    struct instance *vmgenid = instance;
    struct stasis_vmgenid_state kept;
    uint8_t id[STASIS_VMGENID_BYTES];

    if (start == STASIS_DEVICE_RESET) {
        stasis_vmgenid_save(&vmgenid->dev, &kept);
        return stasis_vmgenid_set(&vmgenid->dev, kept.id, err);
    }
    if (getrandom(id, sizeof(id), 0) != sizeof(id))
        return stasis_fail_errno(err, STASIS_ERR_IO, "cannot draw a random generation id");
    return start == STASIS_DEVICE_THAWED ? stasis_vmgenid_renew(&vmgenid->dev, id, err)
                                         : stasis_vmgenid_set(&vmgenid->dev, id, err);
}

const struct stasis_device_type stasis_device_vmgenid_type = {
    .schema = &stasis_vmgenid_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .ram_bytes = STASIS_VMGENID_BYTES,
    .bus = {vmgenid_read, vmgenid_write},
    .init = vmgenid_init,
    .save = vmgenid_save,
    .restore = vmgenid_restore,
    .post_restore = vmgenid_post_restore,
    .begin = vmgenid_begin,
    .keep = vmgenid_keep,
};
