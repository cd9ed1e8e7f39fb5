/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What arena.c and balloon.c ask of the table of slots.
 */
#ifndef STASIS_VMM_KVM_SLOTS_FIND_H
#define STASIS_VMM_KVM_SLOTS_FIND_H

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

#endif
