/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Slots into which descriptors are mapped. A range without one is reserved by memory that nobody
 * can touch, so that no other map of the process comes to lie there.
 */
#include <inttypes.h>
#include <sys/mman.h>

#include "fail.h"
#include "slots_find.h"

#define RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

int stasis_slots_add_arena(struct stasis_slots *slots, uint64_t gpa, uint64_t size, uint32_t flags,
                           uint32_t *ret_slot, struct stasis_error *err)
{
    void *host = mmap(NULL, size, PROT_NONE, RESERVED, -1, 0);
    const struct stasis_slot mapping = {
        .gpa = gpa, .size = size, .host = host, .flags = flags, .backing = STASIS_SLOT_ARENA};
    int rc;

    if (host == MAP_FAILED)
        return stasis_fail_errno(err, size ? STASIS_ERR_UNAVAILABLE : STASIS_ERR_ARG,
                                 "reserving 0x%" PRIx64 " bytes for a memory slot", size);
    rc = stasis_slots_add(slots, &mapping, ret_slot, err);
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
    if (mmap(at, map->size, map->prot, MAP_SHARED | MAP_FIXED, map->fd, (off_t)map->fd_offset) ==
        MAP_FAILED)
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
    if (mmap(at, size, PROT_NONE, RESERVED | MAP_FIXED, -1, 0) == MAP_FAILED)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "removing a map from memory slot %" PRIu32, slot);
    return 0;
}
