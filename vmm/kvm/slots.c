/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_slots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fail.h"
#include "slots_find.h"

#define FLAGS (STASIS_SLOT_LOG_DIRTY | STASIS_SLOT_READ_ONLY)
#define SLOTS_BEFORE                                                                               \
    32 /* what KVM has where it does not say (KVM api.rst, KVM_CAP_NR_MEMSLOTS)                    \
        */
#define TABLE_FIRST 8u

_Static_assert(STASIS_SLOT_LOG_DIRTY == KVM_MEM_LOG_DIRTY_PAGES, "flag of KVM");
_Static_assert(STASIS_SLOT_READ_ONLY == KVM_MEM_READONLY, "flag of KVM");

/* ---- the table ---- */

int stasis_slots_init(struct stasis_slots *slots, struct stasis_vm *vm, struct stasis_error *err)
{
    int max = stasis_vm_cap(vm, KVM_CAP_NR_MEMSLOTS);
    struct stasis_slot *table = calloc(TABLE_FIRST, sizeof(*table));

    if (!table)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a table of memory slots");
    *slots = (struct stasis_slots){
        .vm = vm,
        .table = table,
        .count = TABLE_FIRST,
        .max = max ? (uint32_t)max : SLOTS_BEFORE,
        .has_read_only = stasis_vm_cap(vm, KVM_CAP_READONLY_MEM),
    };
    return 0;
}

static void unmap_arena(const struct stasis_slot *mapping)
{
    if (mapping->size && mapping->backing == STASIS_SLOT_ARENA)
        munmap(mapping->host, mapping->size);
}

void stasis_slots_fini(struct stasis_slots *slots)
{
    for (uint32_t i = 0; i < slots->count; i++)
        unmap_arena(&slots->table[i]);
    free(slots->table);
    *slots = (struct stasis_slots){.vm = NULL};
}

const struct stasis_slot *stasis_slots_get(const struct stasis_slots *slots, uint32_t slot)
{
    return slot < slots->count && slots->table[slot].size ? &slots->table[slot] : NULL;
}

/* Makes room for slot number `slots->count`. */
static int grow(struct stasis_slots *slots, struct stasis_error *err)
{
    uint32_t count = slots->count ? slots->count * 2 : TABLE_FIRST;
    struct stasis_slot *table = realloc(slots->table, count * sizeof(*table));

    if (!table)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for %" PRIu32 " memory slots", count);
    memset(table + slots->count, 0, (count - slots->count) * sizeof(*table));
    slots->table = table;
    slots->count = count;
    return 0;
}

static int find_free(struct stasis_slots *slots, uint32_t *ret_slot, struct stasis_error *err)
{
    uint32_t slot = 0;
    int rc = 0;

    while (slot < slots->count && slots->table[slot].size)
        slot++;
    if (slot >= slots->max)
        return STASIS_REFUSE(err, ENOSPC, STASIS_ERR_FULL,
                             "all %" PRIu32 " memory slots of KVM are in use", slots->max);
    if (slot == slots->count)
        rc = grow(slots, err);
    if (!rc)
        *ret_slot = slot;
    return rc;
}

/* ---- checks ---- */

static bool is_aligned(uint64_t value)
{
    return value % STASIS_MEMORY_PAGE == 0;
}

static int check_flags(const struct stasis_slots *slots, uint32_t flags, struct stasis_error *err)
{
    if (flags & ~FLAGS)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG, "a memory slot has no flags 0x%" PRIx32,
                             flags & ~FLAGS);
    if (flags & STASIS_SLOT_LOG_DIRTY && slots->vm->dirty == STASIS_DIRTY_NONE)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "the VM was made without dirty tracking, which its slots cannot have "
                             "then");
    if (flags & STASIS_SLOT_READ_ONLY && !slots->has_read_only)
        return STASIS_REFUSE(err, ENOTSUP, STASIS_ERR_UNAVAILABLE,
                             "this KVM has no read-only memory slots");
    return 0;
}

static int check_place(const struct stasis_slot *slot, struct stasis_error *err)
{
    if (!slot->size || !is_aligned(slot->size))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "memory slot at 0x%" PRIx64 ": the size 0x%" PRIx64
                             " is not a number of whole pages",
                             slot->gpa, slot->size);
    if (!is_aligned(slot->gpa))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "memory slot at 0x%" PRIx64 ": the address is not that of a page",
                             slot->gpa);
    if (!is_aligned((uintptr_t)slot->host))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "memory slot at 0x%" PRIx64 ": the host's address %p is not that of a "
                             "page",
                             slot->gpa, slot->host);
    if (slot->gpa + slot->size - 1 < slot->gpa ||
        (uintptr_t)slot->host + slot->size - 1 < (uintptr_t)slot->host)
        return STASIS_REFUSE(err, EOVERFLOW, STASIS_ERR_RANGE,
                             "memory slot at 0x%" PRIx64 ": 0x%" PRIx64
                             " bytes end behind the last address",
                             slot->gpa, slot->size);
    return 0;
}

/* Both are checked, so neither sum is more than 2^64. */
static bool overlaps(const struct stasis_slot *a, const struct stasis_slot *b)
{
    return a->gpa <= b->gpa + (b->size - 1) && b->gpa <= a->gpa + (a->size - 1);
}

static int check_overlap(const struct stasis_slots *slots, const struct stasis_slot *mapping,
                         struct stasis_error *err)
{
    for (uint32_t i = 0; i < slots->count; i++) {
        const struct stasis_slot *other = stasis_slots_get(slots, i);

        if (other && overlaps(mapping, other))
            return STASIS_REFUSE(err, EEXIST, STASIS_ERR_EXISTS,
                                 "memory slot at 0x%" PRIx64 ": slot %" PRIu32
                                 " is there, at 0x%" PRIx64 " with 0x%" PRIx64 " bytes",
                                 mapping->gpa, i, other->gpa, other->size);
    }
    return 0;
}

/* ---- adding and removing ---- */

/* KVM has slots of its own, too, which only it knows. */
static int set_region(const struct stasis_slots *slots, uint32_t slot,
                      const struct stasis_slot *mapping, struct stasis_error *err)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = mapping->flags,
        .guest_phys_addr = mapping->gpa,
        .memory_size = mapping->size,
        .userspace_addr = (uintptr_t)mapping->host,
    };

    if (stasis_kvm_ioctl(slots->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) == 0)
        return 0;
    return stasis_fail_errno(err, errno == EEXIST ? STASIS_ERR_EXISTS : STASIS_ERR_UNAVAILABLE,
                             "KVM does not take %" PRIu64 " KiB of memory at 0x%" PRIx64,
                             mapping->size >> 10, mapping->gpa);
}

int stasis_slots_insert(struct stasis_slots *slots, const struct stasis_slot *mapping,
                        uint32_t *ret_slot, struct stasis_error *err)
{
    uint32_t slot = 0;
    int rc = check_flags(slots, mapping->flags, err);

    if (!rc)
        rc = check_place(mapping, err);
    if (!rc)
        rc = check_overlap(slots, mapping, err);
    if (!rc)
        rc = find_free(slots, &slot, err);
    if (!rc)
        rc = set_region(slots, slot, mapping, err);
    if (rc)
        return rc;
    slots->table[slot] = *mapping;
    *ret_slot = slot;
    return 0;
}

int stasis_slots_add(struct stasis_slots *slots, const struct stasis_slot *mapping,
                     uint32_t *ret_slot, struct stasis_error *err)
{
    if ((unsigned)mapping->backing >= STASIS_SLOT_ARENA)
        return STASIS_REFUSE(
            err, EINVAL, STASIS_ERR_ARG, "memory slot at 0x%" PRIx64 ": %s", mapping->gpa,
            mapping->backing == STASIS_SLOT_ARENA ? "arenas are made by stasis_slots_add_arena()"
                                                  : "there is no such kind of memory");
    return stasis_slots_insert(slots, mapping, ret_slot, err);
}

int stasis_slots_add_memory(struct stasis_slots *slots, const struct stasis_memory *memory,
                            uint32_t flags, struct stasis_error *err)
{
    uint32_t added[STASIS_MEMORY_REGION_MAX], count = 0;
    int rc = 0;

    while (!rc && count < memory->region_count) {
        const struct stasis_memory_region *region = &memory->regions[count];
        const struct stasis_slot mapping = {
            .gpa = region->gpa, .size = region->size, .host = region->host, .flags = flags};

        rc = stasis_slots_add(slots, &mapping, &added[count], err);
        count += !rc;
    }
    if (!rc)
        slots->vm->memory = memory;
    while (rc && count > 0)
        (void)!stasis_slots_remove(slots, added[--count], NULL, NULL);
    return rc;
}

static int absent(uint32_t slot, int number, struct stasis_error *err)
{
    return STASIS_REFUSE(err, number, STASIS_ERR_NOT_FOUND, "there is no memory slot %" PRIu32,
                         slot);
}

int stasis_slots_remove(struct stasis_slots *slots, uint32_t slot, struct stasis_slot *ret_mapping,
                        struct stasis_error *err)
{
    const struct stasis_slot *mapping = stasis_slots_get(slots, slot);
    struct kvm_userspace_memory_region region = {.slot = slot};

    if (!mapping)
        return absent(slot, ENOENT, err);
    if (stasis_kvm_ioctl(slots->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "removing memory slot %" PRIu32, slot);
    if (ret_mapping)
        *ret_mapping = *mapping;
    else
        unmap_arena(mapping);
    slots->table[slot] = (struct stasis_slot){.size = 0};
    return 0;
}

int stasis_slots_set_log(struct stasis_slots *slots, uint32_t slot, bool on,
                         struct stasis_error *err)
{
    const struct stasis_slot *mapping = stasis_slots_get(slots, slot);
    struct stasis_slot changed;
    int rc;

    if (!mapping)
        return absent(slot, ENOENT, err);
    changed = *mapping;
    changed.flags &= ~STASIS_SLOT_LOG_DIRTY;
    changed.flags |= on ? STASIS_SLOT_LOG_DIRTY : 0;
    rc = check_flags(slots, changed.flags, err);
    if (!rc)
        rc = set_region(slots, slot, &changed, err);
    if (!rc)
        slots->table[slot] = changed;
    return rc;
}

/* ---- ranges of a slot ---- */

static int check_range(const struct stasis_slot *mapping, uint32_t slot, uint64_t offset,
                       uint64_t size, struct stasis_error *err)
{
    if (offset > mapping->size || size > mapping->size - offset)
        return STASIS_REFUSE(err, EFAULT, STASIS_ERR_RANGE,
                             "memory slot %" PRIu32 ": 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                             " are not all in its 0x%" PRIx64,
                             slot, size, offset, mapping->size);
    if (!is_aligned(offset))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "memory slot %" PRIu32 ": offset 0x%" PRIx64 " is not that of a page",
                             slot, offset);
    return 0;
}

int stasis_slots_sync(struct stasis_slots *slots, uint32_t slot, uint64_t offset, uint64_t size,
                      struct stasis_error *err)
{
    const struct stasis_slot *mapping = stasis_slots_get(slots, slot);
    int rc;

    if (!mapping)
        return absent(slot, ENOENT, err);
    rc = check_range(mapping, slot, offset, size, err);
    if (rc)
        return rc;
    if (msync((uint8_t *)mapping->host + offset, size, MS_SYNC) < 0)
        return stasis_fail_errno(err, STASIS_ERR_IO, "writing memory slot %" PRIu32 " to its file",
                                 slot);
    return 0;
}

int stasis_slots_find(const struct stasis_slots *slots, uint64_t gpa, uint64_t size,
                      const struct stasis_slot **ret_mapping, struct stasis_error *err)
{
    if (!is_aligned(gpa) || !is_aligned(size) || !size)
        return STASIS_REFUSE(
            err, EINVAL, STASIS_ERR_ARG,
            "0x%" PRIx64 " bytes of guest memory at 0x%" PRIx64 " are not whole pages", size, gpa);
    for (uint32_t i = 0; i < slots->count; i++) {
        const struct stasis_slot *mapping = stasis_slots_get(slots, i);

        if (mapping && gpa >= mapping->gpa && gpa - mapping->gpa < mapping->size &&
            size <= mapping->size - (gpa - mapping->gpa)) {
            *ret_mapping = mapping;
            return 0;
        }
    }
    return STASIS_REFUSE(err, EFAULT, STASIS_ERR_RANGE,
                         "0x%" PRIx64 " bytes of guest memory at 0x%" PRIx64
                         " are not all in one memory slot",
                         size, gpa);
}

int stasis_slots_arena_range(const struct stasis_slots *slots, uint32_t slot, uint64_t offset,
                             uint64_t size, void **ret_host, struct stasis_error *err)
{
    const struct stasis_slot *mapping = stasis_slots_get(slots, slot);
    int rc;

    if (!mapping)
        return absent(slot, EINVAL, err);
    if (mapping->backing != STASIS_SLOT_ARENA)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "memory slot %" PRIu32 " is no arena: nothing can be mapped into it",
                             slot);
    rc = check_range(mapping, slot, offset, size, err);
    if (!rc && (!size || !is_aligned(size)))
        rc = STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                           "memory slot %" PRIu32 ": 0x%" PRIx64 " bytes are not whole pages", slot,
                           size);
    if (!rc)
        *ret_host = (uint8_t *)mapping->host + offset;
    return rc;
}
