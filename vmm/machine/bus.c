/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/bus.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/machine/machine.h"

void stasis_bus_init(struct stasis_bus *bus, const char *name, uint64_t limit)
{
    memset(bus, 0, sizeof(*bus));
    bus->name = name;
    bus->limit = limit;
}

static bool overlap(const struct stasis_bus_range *range, uint64_t base, uint64_t size)
{
    return base <= range->base + (range->size - 1) && range->base <= base + (size - 1);
}

int stasis_bus_add(struct stasis_bus *bus, uint64_t base, uint64_t size,
                   const struct stasis_bus_ops *ops, void *ctx, const char *name,
                   struct stasis_error *err)
{
    unsigned at = bus->count;

    if (!size || base > bus->limit || size - 1 > bus->limit - base)
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "%s: 0x%" PRIx64 "+0x%" PRIx64 " leaves the %s bus", name, base, size,
                           bus->name);
    for (unsigned i = 0; i < bus->count; i++) {
        if (overlap(&bus->ranges[i], base, size))
            return stasis_fail(err, STASIS_ERR_EXISTS,
                               "%s and %s overlap at 0x%" PRIx64 " on the %s bus", name,
                               bus->ranges[i].name, base, bus->name);
    }
    if (bus->count == STASIS_BUS_RANGE_MAX)
        return stasis_fail(err, STASIS_ERR_FULL, "%s: the %s bus is full", name, bus->name);
    for (; at > 0 && bus->ranges[at - 1].base > base; at--)
        bus->ranges[at] = bus->ranges[at - 1];
    bus->ranges[at] = (struct stasis_bus_range){base, size, ops, ctx, name};
    bus->count++;
    return 0;
}

/* The range that holds [addr, addr + len), or NULL. */
static const struct stasis_bus_range *find(const struct stasis_bus *bus, uint64_t addr,
                                           unsigned len)
{
    unsigned low = 0, high = bus->count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        const struct stasis_bus_range *range = &bus->ranges[mid];

        if (addr < range->base)
            high = mid;
        else if (addr - range->base >= range->size)
            low = mid + 1;
        else
            return len <= range->size - (addr - range->base) ? range : NULL;
    }
    return NULL;
}

static void tell_unhandled(const struct stasis_bus *bus, bool unhandled)
{
    if (unhandled && bus->unhandled)
        bus->unhandled(bus->ctx);
}

uint64_t stasis_bus_read(const struct stasis_bus *bus, uint64_t addr, unsigned len)
{
    const struct stasis_bus_range *range = find(bus, addr, len);
    bool unhandled = false;
    uint64_t value = 0;

    if (range)
        return range->ops->read(range->ctx, addr - range->base, len);
    for (unsigned i = 0; i < len; i++) {
        range = find(bus, addr + i, 1);
        unhandled |= !range;
        value |= (range ? range->ops->read(range->ctx, addr + i - range->base, 1) & 0xff : 0xff)
                 << 8 * i;
    }
    tell_unhandled(bus, unhandled);
    return value;
}

void stasis_bus_write(const struct stasis_bus *bus, uint64_t addr, unsigned len, uint64_t value)
{
    const struct stasis_bus_range *range = find(bus, addr, len);
    bool unhandled = false;

    if (range) {
        range->ops->write(range->ctx, addr - range->base, len, value);
        return;
    }
    for (unsigned i = 0; i < len; i++) {
        range = find(bus, addr + i, 1);
        unhandled |= !range;
        if (range)
            range->ops->write(range->ctx, addr + i - range->base, 1, value >> 8 * i & 0xff);
    }
    tell_unhandled(bus, unhandled);
}

/* ---- the guest's accesses ---- */

static uint64_t guest_read(struct stasis_machine *machine, const struct stasis_bus *bus,
                           uint64_t addr, unsigned len)
{
    uint64_t value;

    pthread_mutex_lock(&machine->lock);
    machine->access =
        (struct stasis_guest_access){.address = addr, .len = len, .is_mmio = bus == &machine->mmio};
    machine->in_access = true;
    value = stasis_bus_read(bus, addr, len);
    machine->in_access = false;
    pthread_mutex_unlock(&machine->lock);
    return value;
}

static void guest_write(struct stasis_machine *machine, const struct stasis_bus *bus, uint64_t addr,
                        unsigned len, uint64_t value)
{
    pthread_mutex_lock(&machine->lock);
    machine->access = (struct stasis_guest_access){.address = addr,
                                                   .value = value,
                                                   .len = len,
                                                   .is_mmio = bus == &machine->mmio,
                                                   .is_write = true};
    machine->in_access = true;
    stasis_bus_write(bus, addr, len, value);
    machine->in_access = false;
    pthread_mutex_unlock(&machine->lock);
}

uint64_t stasis_bus_pio_read(void *ctx, uint16_t port, unsigned len)
{
    struct stasis_machine *machine = ctx;

    return guest_read(machine, &machine->pio, port, len);
}

void stasis_bus_pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    struct stasis_machine *machine = ctx;

    guest_write(machine, &machine->pio, port, len, value);
}

uint64_t stasis_bus_mmio_read(void *ctx, uint64_t gpa, unsigned len)
{
    struct stasis_machine *machine = ctx;

    return guest_read(machine, &machine->mmio, gpa, len);
}

void stasis_bus_mmio_write(void *ctx, uint64_t gpa, unsigned len, uint64_t value)
{
    struct stasis_machine *machine = ctx;

    guest_write(machine, &machine->mmio, gpa, len, value);
}
