/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The table that says where each interrupt line goes.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "fail.h"
#include "stasis/kvm_irq.h"

#define FIRST_CAPACITY 64u
#define PIC_PINS       8u /* of each */
#define ISA_LINES      16u

static size_t table_size(uint32_t capacity)
{
    return sizeof(struct kvm_irq_routing) + capacity * sizeof(struct kvm_irq_routing_entry);
}

int stasis_irq_routes_init(struct stasis_irq_routes *routes, const struct stasis_vm *vm,
                           struct stasis_error *err)
{
    int max = stasis_vm_cap(vm, KVM_CAP_IRQ_ROUTING);
    struct kvm_irq_routing *table;

    if (!max)
        return STASIS_REFUSE(err, ENOTTY, STASIS_ERR_UNAVAILABLE,
                             "this KVM does not route interrupts");
    table = calloc(1, table_size(FIRST_CAPACITY));
    if (!table)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for interrupt routes");
    *routes = (struct stasis_irq_routes){
        .table = table, .capacity = FIRST_CAPACITY, .max = (uint32_t)max};
    return 0;
}

void stasis_irq_routes_fini(struct stasis_irq_routes *routes)
{
    free(routes->table);
    *routes = (struct stasis_irq_routes){.table = NULL};
}

void stasis_irq_routes_clear(struct stasis_irq_routes *routes)
{
    routes->table->nr = 0;
}

static int reserve(struct stasis_irq_routes *routes, struct stasis_error *err)
{
    uint32_t capacity = routes->capacity * 2;
    struct kvm_irq_routing *table;

    if (routes->table->nr >= routes->max)
        return STASIS_REFUSE(err, E2BIG, STASIS_ERR_FULL,
                             "KVM has no more than %" PRIu32 " interrupt routes", routes->max);
    if (routes->table->nr < routes->capacity)
        return 0;
    table = realloc(routes->table, table_size(capacity));
    if (!table)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for %" PRIu32 " interrupt routes",
                           capacity);
    routes->table = table;
    routes->capacity = capacity;
    return 0;
}

/* KVM has for a line any pins of different controllers, or one MSI. */
static bool conflict(const struct kvm_irq_routing_entry *a, const struct kvm_irq_routing_entry *b)
{
    return a->gsi == b->gsi &&
           (a->type != KVM_IRQ_ROUTING_IRQCHIP || b->type != KVM_IRQ_ROUTING_IRQCHIP ||
            a->u.irqchip.irqchip == b->u.irqchip.irqchip);
}

static int add(struct stasis_irq_routes *routes, const struct kvm_irq_routing_entry *entry,
               struct stasis_error *err)
{
    int rc;

    if (entry->gsi >= routes->max)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_RANGE,
                             "interrupt line %" PRIu32 ": KVM has %" PRIu32, entry->gsi,
                             routes->max);
    for (uint32_t i = 0; i < routes->table->nr; i++) {
        if (conflict(&routes->table->entries[i], entry))
            return STASIS_REFUSE(err, EEXIST, STASIS_ERR_EXISTS,
                                 "interrupt line %" PRIu32 " has a route that excludes this one",
                                 entry->gsi);
    }
    rc = reserve(routes, err);
    if (!rc)
        routes->table->entries[routes->table->nr++] = *entry;
    return rc;
}

static uint32_t pins_of(uint32_t chip)
{
    switch (chip) {
    case KVM_IRQCHIP_PIC_MASTER:
    case KVM_IRQCHIP_PIC_SLAVE:
        return PIC_PINS;
    case KVM_IRQCHIP_IOAPIC:
        return KVM_IOAPIC_NUM_PINS;
    default:
        return 0;
    }
}

int stasis_irq_routes_add_pin(struct stasis_irq_routes *routes, uint32_t gsi, uint32_t chip,
                              uint32_t pin, struct stasis_error *err)
{
    const struct kvm_irq_routing_entry entry = {
        .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {.irqchip = chip, .pin = pin}};

    if (pin >= pins_of(chip))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_RANGE,
                             "there is no pin %" PRIu32 " of interrupt controller %" PRIu32, pin,
                             chip);
    return add(routes, &entry, err);
}

int stasis_irq_routes_add_msi(struct stasis_irq_routes *routes, uint32_t gsi, uint64_t address,
                              uint32_t data, struct stasis_error *err)
{
    const struct kvm_irq_routing_entry entry = {.gsi = gsi,
                                                .type = KVM_IRQ_ROUTING_MSI,
                                                .u.msi = {.address_lo = (uint32_t)address,
                                                          .address_hi = (uint32_t)(address >> 32),
                                                          .data = data}};

    return add(routes, &entry, err);
}

int stasis_irq_routes_add_standard(struct stasis_irq_routes *routes, struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t gsi = 0; !rc && gsi < KVM_IOAPIC_NUM_PINS; gsi++) {
        if (gsi < ISA_LINES)
            rc = stasis_irq_routes_add_pin(
                routes, gsi, gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                gsi % PIC_PINS, err);
        if (!rc)
            rc = stasis_irq_routes_add_pin(routes, gsi, KVM_IRQCHIP_IOAPIC, gsi, err);
    }
    return rc;
}

uint32_t stasis_irq_routes_remove(struct stasis_irq_routes *routes, uint32_t gsi)
{
    uint32_t kept = 0, count = routes->table->nr;

    for (uint32_t i = 0; i < count; i++) {
        if (routes->table->entries[i].gsi != gsi)
            routes->table->entries[kept++] = routes->table->entries[i];
    }
    routes->table->nr = kept;
    return count - kept;
}

int stasis_irq_routes_set(const struct stasis_irq_routes *routes, const struct stasis_vm *vm,
                          struct stasis_error *err)
{
    return STASIS_KVM(vm->fd, KVM_SET_GSI_ROUTING, routes->table, err);
}
