/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What arena.c and balloon.c ask of the table of slots.
 */
#ifndef STASIS_VMM_KVM_SLOTS_FIND_H
#define STASIS_VMM_KVM_SLOTS_FIND_H

#include <sys/mman.h>

#include "stasis/kvm_slots.h"

/* The slot that holds all of these pages: STASIS_ERR_RANGE, STASIS_ERR_ARG. */
STASIS_MUST_CHECK int stasis_slots_find(const struct stasis_slots *slots, uint64_t gpa,
                                        uint64_t size, const struct stasis_slot **ret_mapping,
                                        struct stasis_error *err);

/* Host address of these pages of an arena: STASIS_ERR_NOT_FOUND, STASIS_ERR_ARG,
 * STASIS_ERR_RANGE. */
STASIS_MUST_CHECK int stasis_slots_arena_range(const struct stasis_slots *slots, uint32_t slot,
                                               uint64_t offset, uint64_t size, void **ret_host,
                                               struct stasis_error *err);

/* stasis_slots_add() of memory of any kind, arenas included. */
STASIS_MUST_CHECK int stasis_slots_insert(struct stasis_slots *slots,
                                          const struct stasis_slot *mapping, uint32_t *ret_slot,
                                          struct stasis_error *err);

/* How a range without memory is mapped (PROT_NONE), so that no other map comes to lie there. */
#define STASIS_SLOTS_RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* mmap(2) in the place of what is at `at`; 0, or -1 with errno. After a failure the range has its
 * old map, or is reserved. */
STASIS_MUST_CHECK int stasis_slots_replace(void *at, size_t size, int prot, int flags, int fd,
                                           uint64_t offset);

#endif
