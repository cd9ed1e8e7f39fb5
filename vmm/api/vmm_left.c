/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a VM leaves behind when it has ended: threads that the host has not answered, and their
 * disks.
 */
#include <string.h>

#include "vmm/api/vmm_internal.h"

static void say(const struct stasis_vmm *vmm, const struct stasis_device *device)
{
    if (device->type->schema == &stasis_virtio_blk_schema)
        stasis_vmm_say(vmm,
                       "the host has not answered for disk %s; a thread is left behind that waits "
                       "for it, and the disk stays locked until the process has ended",
                       device->row->instance);
    else
        stasis_vmm_say(vmm,
                       "the thread of network %s has not stopped; it is left behind until the "
                       "process has ended",
                       device->row->instance);
}

static bool is_used(const struct stasis_vmm *vmm, const struct stasis_vmm_disk *disk)
{
    const struct stasis_device *device;
    uint32_t at = 0;

    while ((device = stasis_devices_left(&vmm->machine.devices, &at)))
        if (!strcmp(device->row->instance, disk->device.id))
            return true;
    return false;
}

void stasis_vmm_leave_behind(struct stasis_vmm *vmm)
{
    const struct stasis_device *device;
    uint32_t at = 0;

    while ((device = stasis_devices_left(&vmm->machine.devices, &at)))
        say(vmm, device);
    for (unsigned i = 0; i < vmm->disks.count; i++)
        if (!is_used(vmm, &vmm->disks.list[i]))
            stasis_disk_close(&vmm->disks.list[i].disk);
    vmm->disks.count = 0;
}
