/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM of the fake KVM with a table of memory slots.
 */
#ifndef STASIS_TESTS_VMM_KVM_SLOTS_RIG_H
#define STASIS_TESTS_VMM_KVM_SLOTS_RIG_H

#include "vmm/kvm/failing.h"

#include "stasis/kvm_dirty.h"

#define PAGE STASIS_MEMORY_PAGE

extern const struct stasis_vm_config slots_rig_with_log;
extern uint8_t slots_rig_pages[4 * 4096];

struct slots_rig {
    struct stasis_kvm kvm;
    struct stasis_vm vm;
    struct stasis_slots slots;
    struct stasis_memory memory;
};

int slots_rig_init(struct slots_rig *vm, const struct stasis_vm_config *config,
                   struct stasis_error *err);
void slots_rig_fini(struct slots_rig *vm);

/* The same on a fresh fake with these answers; a failure fails the test. */
void slots_rig_init_fake(struct slots_rig *vm, const struct stasis_vm_config *config,
                         bool (*answer)(unsigned long request, void *arg, int *ret_result));

/* A slot of slots_rig_pages; checks that a refusal leaves the output alone. */
int slots_rig_add(struct slots_rig *vm, uint64_t gpa, uint64_t size, uint32_t flags,
                  uint32_t *ret_slot, struct stasis_error *err);

#endif
