/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory given back to the host and taken again.
 */
#include <inttypes.h>
#include <sys/mman.h>

#include "fail.h"
#include "slots_find.h"

/* Newer than the headers of some systems that we build on. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void *host_of(const struct stasis_slot *mapping, uint64_t gpa)
{
    return (uint8_t *)mapping->host + (gpa - mapping->gpa);
}

/* MADV_DONTNEED would bring back the content of a file: a shared one gets a hole, a private map is
 * replaced by anonymous memory. */
static int discard(const struct stasis_slot *mapping, void *at, size_t size)
{
    switch (mapping->backing) {
    case STASIS_SLOT_SHARED:
        return madvise(at, size, MADV_REMOVE);
    case STASIS_SLOT_PRIVATE_FILE:
        return stasis_slots_replace(at, size, PROT_READ | PROT_WRITE, STASIS_SLOTS_RESERVED, -1, 0);
    case STASIS_SLOT_ANONYMOUS:
    case STASIS_SLOT_ARENA: /* refused: its maps are the caller's */
    default:
        return madvise(at, size, MADV_DONTNEED);
    }
}

/* The slot of a range that is not in an arena. */
static int find(const struct stasis_slots *slots, uint64_t gpa, uint64_t size,
                const struct stasis_slot **ret_mapping, struct stasis_error *err)
{
    const struct stasis_slot *mapping = NULL;
    int rc = stasis_slots_find(slots, gpa, size, &mapping, err);

    if (!rc && mapping->backing == STASIS_SLOT_ARENA)
        rc = STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                           "guest memory at 0x%" PRIx64 " is in an arena", gpa);
    if (!rc)
        *ret_mapping = mapping;
    return rc;
}

int stasis_slots_discard(struct stasis_slots *slots, uint64_t gpa, uint64_t size,
                         struct stasis_error *err)
{
    const struct stasis_slot *mapping = NULL;
    int rc = find(slots, gpa, size, &mapping, err);

    if (rc)
        return rc;
    if (discard(mapping, host_of(mapping, gpa), size) < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "giving back 0x%" PRIx64 " bytes of guest memory at 0x%" PRIx64,
                                 size, gpa);
    return 0;
}

int stasis_slots_populate(struct stasis_slots *slots, uint64_t gpa, uint64_t size,
                          struct stasis_error *err)
{
    const struct stasis_slot *mapping = NULL;
    int rc = find(slots, gpa, size, &mapping, err);

    if (rc)
        return rc;
    /* EINVAL: an older kernel. */
    if (madvise(host_of(mapping, gpa), size, MADV_POPULATE_WRITE) < 0 && errno != EINVAL)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "taking 0x%" PRIx64 " bytes of memory for the guest at 0x%" PRIx64,
                                 size, gpa);
    return 0;
}
