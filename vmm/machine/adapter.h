/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the device adapters (device_*.c) share, and their rows of the table in device.c.
 */
#ifndef STASIS_VMM_ADAPTER_H
#define STASIS_VMM_ADAPTER_H

#include <assert.h>

#include "stasis/kvm_irq.h"
#include "stasis/kvm_memory.h"
#include "stasis/virtio_mmio.h"
#include "vmm/base/clock.h"
#include "vmm/base/counter.h"
#include "vmm/machine/device.h"

/* What every instance begins with: a model's ctx is its instance. */
struct stasis_adapter {
    const struct stasis_device *device;
};

static inline const struct stasis_device_env *stasis_adapter_env(const void *instance)
{
    return ((const struct stasis_adapter *)instance)->device->env;
}

static inline struct stasis_device_counters *stasis_adapter_counters(const void *instance)
{
    return ((const struct stasis_adapter *)instance)->device->counters;
}

static inline const void *stasis_adapter_memory_at(void *instance, uint64_t gpa, uint64_t len)
{
    return stasis_memory_at(stasis_adapter_env(instance)->memory, gpa, len);
}

static inline void *stasis_adapter_memory_writable(void *instance, uint64_t gpa, uint64_t len)
{
    return stasis_memory_writable(stasis_adapter_env(instance)->memory, gpa, len);
}

/* The guest's RAM, for a model. */
static inline struct stasis_virtio_memory stasis_adapter_memory(void *instance)
{
    return (struct stasis_virtio_memory){stasis_adapter_memory_at, stasis_adapter_memory_writable,
                                         instance};
}

/* For a model's guest_error operation. */
static inline void stasis_adapter_guest_error(void *instance, enum stasis_guest_error error)
{
    const struct stasis_device *device = ((const struct stasis_adapter *)instance)->device;

    stasis_counter_add(&device->counters->guest_errors[error], 1);
    if (device->env->guest_error)
        device->env->guest_error(device->env->ctx, device, error);
}

/* For a model's irq operation: drives the line of the device's board row. */
static inline void stasis_adapter_raise_irq(void *instance, bool level)
{
    const struct stasis_device *device = ((const struct stasis_adapter *)instance)->device;

    if (level)
        stasis_counter_add(&device->counters->interrupts, 1);
    stasis_vm_set_irq(device->env->vm, device->row->gsi, level);
}

/* For a model's wake operation: the device's timer is called by the event loop, soon. */
static inline void stasis_adapter_wake(void *instance)
{
    const struct stasis_device_host *host = stasis_adapter_env(instance)->host;

    host->timer_arm(host->ctx, ((const struct stasis_adapter *)instance)->device,
                    stasis_monotonic_ns());
}

extern const struct stasis_device_type stasis_device_acpi_pm_type;
extern const struct stasis_device_type stasis_device_acpi_timer_type;
extern const struct stasis_device_type stasis_device_serial_type;
extern const struct stasis_device_type stasis_device_i8042_type;
extern const struct stasis_device_type stasis_device_mc146818_type;
extern const struct stasis_device_type stasis_device_pl031_type;
extern const struct stasis_device_type stasis_device_pvpanic_type;
extern const struct stasis_device_type stasis_device_vmgenid_type;
extern const struct stasis_device_type stasis_device_virtio_balloon_type;
extern const struct stasis_device_type stasis_device_virtio_blk_type;
extern const struct stasis_device_type stasis_device_virtio_net_type;
extern const struct stasis_device_type stasis_device_virtio_rng_type;
extern const struct stasis_device_type stasis_device_virtio_vsock_type;

#endif
