/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm/slots_rig.h"

const struct stasis_vm_config slots_rig_with_log = {.dirty = STASIS_DIRTY_LOG};
uint8_t slots_rig_pages[4 * 4096] __attribute__((aligned(4096)));

int slots_rig_init(struct slots_rig *vm, const struct stasis_vm_config *config,
                   struct stasis_error *err)
{
    int rc;

    *vm = (struct slots_rig){.kvm.fd = -1, .vm.fd = -1};
    rc = stasis_kvm_open(&vm->kvm, err);
    if (!rc)
        rc = stasis_vm_create(&vm->vm, &vm->kvm, config, err);
    return rc ? rc : stasis_slots_init(&vm->slots, &vm->vm, err);
}

void slots_rig_fini(struct slots_rig *vm)
{
    stasis_vm_fini(&vm->vm);
    stasis_slots_fini(&vm->slots);
    stasis_slots_fini(&vm->slots);
    stasis_memory_fini(&vm->memory);
    stasis_kvm_close(&vm->kvm);
}

void slots_rig_init_fake(struct slots_rig *vm, const struct stasis_vm_config *config,
                         bool (*answer)(unsigned long request, void *arg, int *ret_result))
{
    struct stasis_error err;

    fake_kvm = (struct fake_kvm){.answer = answer};
    if (slots_rig_init(vm, config, &err))
        fail_msg("%s", err.msg);
}

int slots_rig_add(struct slots_rig *vm, uint64_t gpa, uint64_t size, uint32_t flags,
                  uint32_t *ret_slot, struct stasis_error *err)
{
    const struct stasis_slot mapping = {
        .gpa = gpa, .size = size, .host = slots_rig_pages, .flags = flags};
    uint32_t slot = 0xa5a5a5a5;
    int rc = stasis_slots_add(&vm->slots, &mapping, &slot, err);

    failing_unchanged(rc, slot);
    *ret_slot = slot;
    return rc;
}
