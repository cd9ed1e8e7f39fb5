/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/device.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/adapter.h"

/* The device types this release can put on a board. */
static const struct stasis_device_type *const device_types[] = {
    &stasis_device_serial_type,       &stasis_device_i8042_type,
    &stasis_device_pl031_type,        &stasis_device_acpi_pm_type,
    &stasis_device_virtio_rng_type,   &stasis_device_vmgenid_type,
    &stasis_device_pvpanic_type,      &stasis_device_mc146818_type,
    &stasis_device_virtio_blk_type,   &stasis_device_virtio_net_type,
    &stasis_device_virtio_vsock_type, &stasis_device_virtio_balloon_type,
    &stasis_device_acpi_timer_type,
};

int stasis_device_type_find(const struct stasis_board_device_state *row,
                            const struct stasis_device_type **ret_type, struct stasis_error *err)
{
    for (size_t i = 0; i < sizeof(device_types) / sizeof(device_types[0]); i++) {
        const struct stasis_device_type *type = device_types[i];

        if (strcmp(row->type, type->schema->type) != 0)
            continue;
        if (row->version < 1 || row->version > type->version)
            return stasis_fail(err, STASIS_ERR_VERSION,
                               "device %s is of version %u, this release builds %s up to %u: use "
                               "the program that wrote it",
                               row->instance, row->version, row->type, type->version);
        *ret_type = type;
        return 0;
    }
    return stasis_fail(err, STASIS_ERR_VERSION,
                       "device %s is a %s, which this release does not have: use the program "
                       "that wrote it",
                       row->instance, row->type);
}

static int attach(struct stasis_devices *devices, const struct stasis_board_device_state *row,
                  struct stasis_bus *bus, const struct stasis_device_env *env,
                  struct stasis_error *err)
{
    struct stasis_device *device = &devices->list[devices->count];
    int rc = stasis_device_type_find(row, &device->type, err);

    if (rc)
        return rc;
    device->row = row;
    device->env = env;
    device->counters = &devices->counters[devices->count];
    device->instance = calloc(1, device->type->size);
    if (!device->instance)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for device %s", row->instance);
    devices->count++;
    if (device->type->work) {
        device->io = &devices->io[devices->count - 1];
        rc = stasis_io_thread_init(device->io, env->lock, device->type->work, device->instance,
                                   row->instance, err);
    }
    if (rc) {
        device->io = NULL;
        return rc;
    }
    device->type->init(device->instance, device);
    return stasis_bus_add(bus, row->base, row->size, &device->type->bus, device->instance,
                          row->instance, err);
}

int stasis_devices_attach(struct stasis_devices *devices, const struct stasis_board_state *board,
                          struct stasis_bus *pio, struct stasis_bus *mmio,
                          const struct stasis_device_env *env, struct stasis_error *err)
{
    _Static_assert(sizeof(devices->list) / sizeof(devices->list[0]) ==
                       sizeof(board->devices) / sizeof(board->devices[0]),
                   "a board holds as many devices as a machine");

    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct stasis_board_device_state *row = &board->devices[i];
        int rc = attach(devices, row, row->bus == STASIS_BUS_PIO ? pio : mmio, env, err);

        if (rc)
            return rc;
    }
    return 0;
}

void stasis_devices_detach(struct stasis_devices *devices)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        struct stasis_device *device = &devices->list[i];

        if (device->io && device->io->is_left)
            continue;
        if (device->io)
            stasis_io_thread_fini(device->io);
        device->io = NULL;
        free(device->instance);
    }
    devices->count = 0;
}

/* ---- their threads ---- */

int stasis_devices_start(struct stasis_devices *devices, const struct stasis_io_thread_ops *ops,
                         void *ctx, struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < devices->count; i++) {
        if (devices->list[i].io)
            rc = stasis_io_thread_start(devices->list[i].io, ops, ctx, err);
    }
    if (rc)
        (void)!stasis_devices_stop(devices, UINT_MAX); /* they do nothing yet */
    return rc;
}

const struct stasis_device *stasis_devices_left(const struct stasis_devices *devices, uint32_t *at)
{
    while (*at < STASIS_DEVICE_MAX) {
        uint32_t i = (*at)++;

        if (devices->io[i].is_left)
            return &devices->list[i];
    }
    return NULL;
}

bool stasis_devices_stop(struct stasis_devices *devices, unsigned limit_ms)
{
    bool all = true;

    for (uint32_t i = 0; i < devices->count; i++) {
        if (devices->list[i].io)
            all &= stasis_io_thread_stop(devices->list[i].io, all ? limit_ms : 0);
    }
    return all;
}

void stasis_devices_hold(struct stasis_devices *devices)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        if (devices->list[i].io)
            stasis_io_thread_hold(devices->list[i].io);
    }
}

void stasis_devices_release(struct stasis_devices *devices)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        if (devices->list[i].io)
            stasis_io_thread_release(devices->list[i].io);
    }
}

bool stasis_devices_wait_idle(struct stasis_devices *devices, unsigned ms)
{
    bool idle = true;

    for (uint32_t i = 0; idle && i < devices->count; i++) {
        if (devices->list[i].io)
            idle = stasis_io_thread_wait_idle(devices->list[i].io, ms);
    }
    return idle;
}

int stasis_devices_begin(struct stasis_devices *devices, enum stasis_device_start start,
                         struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < devices->count; i++) {
        const struct stasis_device *device = &devices->list[i];

        if (device->type->begin)
            rc = device->type->begin(device->instance, start, err);
    }
    return rc;
}

int stasis_devices_keep(const struct stasis_devices *devices, struct stasis_devices_kept *ret_kept,
                        struct stasis_error *err)
{
    *ret_kept = (struct stasis_devices_kept){.states = {NULL}};
    for (uint32_t i = 0; i < devices->count; i++) {
        const struct stasis_device *device = &devices->list[i];

        if (!device->type->keep)
            continue;
        ret_kept->states[i] = calloc(1, device->type->schema->size);
        if (!ret_kept->states[i])
            return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to reset device %s",
                               device->row->instance);
        device->type->save(device->instance, ret_kept->states[i]);
    }
    return 0;
}

int stasis_devices_give_back(struct stasis_devices *devices, const struct stasis_devices_kept *kept,
                             struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < devices->count; i++) {
        const struct stasis_device *device = &devices->list[i];

        if (kept->states[i])
            rc = device->type->keep(device->instance, kept->states[i], err);
    }
    return rc;
}

void stasis_devices_kept_fini(struct stasis_devices_kept *kept)
{
    for (size_t i = 0; i < STASIS_DEVICE_MAX; i++)
        free(kept->states[i]);
    *kept = (struct stasis_devices_kept){.states = {NULL}};
}

void stasis_device_timer(struct stasis_device *device)
{
    if (device->type->timer)
        device->type->timer(device->instance);
}

struct stasis_device *stasis_device_find(struct stasis_devices *devices,
                                         const struct stasis_schema *schema, const char *instance)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        struct stasis_device *device = &devices->list[i];

        if (device->type->schema == schema && !strcmp(device->row->instance, instance))
            return device;
    }
    return NULL;
}

struct stasis_device *stasis_device_find_only(struct stasis_devices *devices,
                                              const struct stasis_schema *schema)
{
    struct stasis_device *found = NULL;

    for (uint32_t i = 0; i < devices->count; i++) {
        if (devices->list[i].type->schema != schema)
            continue;
        if (found)
            return NULL;
        found = &devices->list[i];
    }
    return found;
}

void stasis_device_alarm(struct stasis_device *rtc)
{
    if (rtc)
        rtc->type->alarm(rtc->instance);
}
