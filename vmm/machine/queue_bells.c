/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/queue_bells.h"

#include "stasis/kvm_ioevent.h"

#define QUEUE_NOTIFY 0x50u /* register (4.2.2) */

static void follow(struct stasis_queue_bells *bells, const struct stasis_device *device,
                   bool is_active, unsigned queue, int fd)
{
    const struct stasis_ioevent bell = {.fd = fd,
                                        .address = device->row->base + QUEUE_NOTIFY,
                                        .len = 4,
                                        .has_match = true,
                                        .match = queue};

    if (is_active == (bells->rings >> queue & 1))
        return;
    bells->rings ^= UINT32_C(1) << queue;
    if (is_active)
        (void)!stasis_ioevent_assign(device->env->vm, &bell, NULL);
    else
        (void)!stasis_ioevent_deassign(device->env->vm, &bell, NULL);
}

void stasis_queue_bells_follow(struct stasis_queue_bells *bells, const struct stasis_device *device,
                               const struct stasis_virtio_mmio *mmio, unsigned queues, int fd)
{
    for (unsigned i = 0; i < queues; i++)
        follow(bells, device, stasis_virtio_mmio_is_active(mmio, i), i, fd);
}
