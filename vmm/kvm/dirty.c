/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_dirty.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fail.h"

#define GROUP UINT64_C(64) /* pages: KVM's bitmaps are made of words */

static uint64_t pages_of(uint64_t size)
{
    return size / STASIS_MEMORY_PAGE + (size % STASIS_MEMORY_PAGE != 0);
}

uint64_t stasis_dirty_log_size(uint64_t memory_size)
{
    return (pages_of(memory_size) + 7) / 8;
}

/* What KVM writes, whatever room there is. */
static uint64_t kernel_size(uint64_t memory_size)
{
    return (pages_of(memory_size) + GROUP - 1) / GROUP * (GROUP / 8);
}

/* ---- the log ---- */

static int find_logged(const struct stasis_slots *slots, uint32_t slot,
                       const struct stasis_slot **ret_mapping, struct stasis_error *err)
{
    const struct stasis_slot *mapping = stasis_slots_get(slots, slot);

    if (!mapping)
        return STASIS_REFUSE(err, ENOENT, STASIS_ERR_NOT_FOUND,
                             "dirty log: there is no memory slot %" PRIu32, slot);
    if (slots->vm->dirty == STASIS_DIRTY_RING)
        return STASIS_REFUSE(err, ENXIO, STASIS_ERR_ARG,
                             "memory slot %" PRIu32 " has no dirty log: the VM has dirty rings",
                             slot);
    if (!(mapping->flags & STASIS_SLOT_LOG_DIRTY))
        return STASIS_REFUSE(err, ENOENT, STASIS_ERR_NOT_FOUND,
                             "memory slot %" PRIu32 " has no dirty log", slot);
    *ret_mapping = mapping;
    return 0;
}

static int read_log(const struct stasis_slots *slots, uint32_t slot, void *bitmap,
                    struct stasis_error *err)
{
    struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

    return STASIS_KVM(slots->vm->fd, KVM_GET_DIRTY_LOG, &log, err);
}

int stasis_dirty_get(const struct stasis_slots *slots, uint32_t slot, void *ret_bitmap, size_t size,
                     struct stasis_error *err)
{
    const struct stasis_slot *mapping = NULL;
    int rc = find_logged(slots, slot, &mapping, err);
    uint64_t needed, written;
    void *bitmap;

    if (rc)
        return rc;
    needed = stasis_dirty_log_size(mapping->size);
    written = kernel_size(mapping->size);
    if (size < needed)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "dirty log of memory slot %" PRIu32
                             ": %zu bytes are too few for %" PRIu64,
                             slot, size, needed);
    bitmap = calloc(1, written);
    if (!bitmap)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a dirty log");
    rc = read_log(slots, slot, bitmap, err);
    if (!rc) {
        memset(ret_bitmap, 0, size);
        memcpy(ret_bitmap, bitmap, needed);
    }
    free(bitmap);
    return rc;
}

int stasis_dirty_clear(const struct stasis_slots *slots, uint32_t slot, uint64_t first,
                       uint32_t count, const void *bitmap, struct stasis_error *err)
{
    struct kvm_clear_dirty_log log = {.slot = slot,
                                      .first_page = first,
                                      .num_pages = count,
                                      .dirty_bitmap = (void *)(uintptr_t)bitmap};
    const struct stasis_slot *mapping = NULL;
    int rc = find_logged(slots, slot, &mapping, err);
    uint64_t pages;

    if (rc)
        return rc;
    pages = pages_of(mapping->size);
    if (!slots->vm->dirty_manual)
        return STASIS_REFUSE(err, ENXIO, STASIS_ERR_ARG,
                             "the dirty logs of this VM are cleared when they are read");
    if (first > pages || count > pages - first || first % GROUP ||
        (count % GROUP && count != pages - first))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "dirty log of memory slot %" PRIu32 ": %" PRIu32 " pages from %" PRIu64
                             " on are no groups of 64 of its %" PRIu64,
                             slot, count, first, pages);
    return STASIS_KVM(slots->vm->fd, KVM_CLEAR_DIRTY_LOG, &log, err);
}

/* ---- the ring ---- */

int stasis_dirty_ring_init(struct stasis_dirty_ring *ret_ring, const struct stasis_vm *vm,
                           int vcpu_fd, struct stasis_error *err)
{
    void *entries;

    if (vm->dirty != STASIS_DIRTY_RING)
        return STASIS_REFUSE(err, ENXIO, STASIS_ERR_ARG, "the VM was made without dirty rings");
    entries = mmap(NULL, vm->dirty_ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd,
                   (off_t)(KVM_DIRTY_LOG_PAGE_OFFSET * STASIS_MEMORY_PAGE));
    if (entries == MAP_FAILED)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "mapping a dirty ring");
    *ret_ring = (struct stasis_dirty_ring){
        .entries = entries, .count = vm->dirty_ring_size / sizeof(struct kvm_dirty_gfn)};
    return 0;
}

void stasis_dirty_ring_fini(struct stasis_dirty_ring *ring)
{
    if (ring->entries)
        munmap(ring->entries, ring->count * sizeof(*ring->entries));
    *ring = (struct stasis_dirty_ring){.entries = NULL};
}

/* The flags are read before the rest of an entry and written after it: KVM writes and reads in the
 * opposite order (KVM api.rst, 8.29). At most one round, should the vCPU write as fast as this. */
uint32_t stasis_dirty_ring_harvest(struct stasis_dirty_ring *ring,
                                   void (*page)(void *ctx, uint32_t slot, uint64_t number),
                                   void *ctx)
{
    uint32_t harvested = 0;

    while (harvested < ring->count) {
        struct kvm_dirty_gfn *entry = &ring->entries[ring->next % ring->count];

        if ((__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_MASK) !=
            KVM_DIRTY_GFN_F_DIRTY)
            break;
        page(ctx, entry->slot, entry->offset);
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        ring->next++;
        harvested++;
    }
    return harvested;
}

/* Since Linux 6.16 a pending signal can end the call in between, which then answers how far it
 * came: only 0 says that nothing is left. */
int stasis_dirty_ring_reset(const struct stasis_vm *vm, uint32_t *ret_count,
                            struct stasis_error *err)
{
    uint32_t sum = 0;
    int count;

    do {
        count = stasis_kvm_ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, NULL);
        if (count < 0)
            return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_RESET_DIRTY_RINGS");
        sum += (uint32_t)count;
    } while (count);
    if (ret_count)
        *ret_count = sum;
    return 0;
}
