/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Slots into which descriptors are mapped. A range without one is reserved by memory that nobody
 * can touch, so that no other map of the process comes to lie there.
 */
#include <inttypes.h>
#include <sys/mman.h>

#include "fail.h"
#include "slots_find.h"

/* Fills the range if nothing is there. An older kernel takes the address for mere advice. */
static void reserve_hole(void *at, size_t size)
{
    void *got = mmap(at, size, PROT_NONE, STASIS_SLOTS_RESERVED | MAP_FIXED_NOREPLACE, -1, 0);

    if (got != MAP_FAILED && got != at)
        munmap(got, size);
}

/* The kernel removes the old map first and can fail then (no memory, no more maps, the file's
 * driver): the guest would see in the hole whatever this process maps next. */
int stasis_slots_replace(void *at, size_t size, int prot, int flags, int fd, uint64_t offset)
{
    int number;

    if (mmap(at, size, prot, flags | MAP_FIXED, fd, (off_t)offset) != MAP_FAILED)
        return 0;
    number = errno;
    reserve_hole(at, size);
    errno = number;
    return -1;
}

int stasis_slots_add_arena(struct stasis_slots *slots, uint64_t gpa, uint64_t size, uint32_t flags,
                           uint32_t *ret_slot, struct stasis_error *err)
{
    void *host = mmap(NULL, size, PROT_NONE, STASIS_SLOTS_RESERVED, -1, 0);
    const struct stasis_slot mapping = {
        .gpa = gpa, .size = size, .host = host, .flags = flags, .backing = STASIS_SLOT_ARENA};
    int rc;

    if (host == MAP_FAILED)
        return stasis_fail_errno(err, size ? STASIS_ERR_UNAVAILABLE : STASIS_ERR_ARG,
                                 "reserving 0x%" PRIx64 " bytes for a memory slot", size);
    rc = stasis_slots_insert(slots, &mapping, ret_slot, err);
    if (rc)
        munmap(host, size);
    return rc;
}

int stasis_slots_map_fd(struct stasis_slots *slots, const struct stasis_slot_map *map,
                        struct stasis_error *err)
{
    void *at = NULL;
    int rc = stasis_slots_arena_range(slots, map->slot, map->offset, map->size, &at, err);

    if (rc)
        return rc;
    if (stasis_slots_replace(at, map->size, map->prot, MAP_SHARED, map->fd, map->fd_offset) < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "mapping a descriptor into memory slot %" PRIu32, map->slot);
    return 0;
}

int stasis_slots_unmap(struct stasis_slots *slots, uint32_t slot, uint64_t offset, uint64_t size,
                       struct stasis_error *err)
{
    void *at = NULL;
    int rc = stasis_slots_arena_range(slots, slot, offset, size, &at, err);

    if (rc)
        return rc;
    if (stasis_slots_replace(at, size, PROT_NONE, STASIS_SLOTS_RESERVED, -1, 0) < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "removing a map from memory slot %" PRIu32, slot);
    return 0;
}
