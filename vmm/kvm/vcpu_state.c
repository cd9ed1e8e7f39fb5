/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_vcpu_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

#define XSAVE_MAX  65536 /* far above the 11 KiB of AMX */
#define NESTED_MAX 65536 /* VMX: a header of 128 bytes and two pages */

/* ioctl() takes what it only reads by a pointer that is not const. */
static void *as_arg(const void *state)
{
    return (void *)(uintptr_t)state;
}

#define DEFINE(name, type, get, set)                                                               \
    int stasis_vcpu_get_##name(struct stasis_vcpu *vcpu, struct type *ret_state,                   \
                               struct stasis_error *err)                                           \
    {                                                                                              \
        return stasis_kvm_call(vcpu->fd, get, #get, ret_state, err);                               \
    }                                                                                              \
    int stasis_vcpu_set_##name(struct stasis_vcpu *vcpu, const struct type *state,                 \
                               struct stasis_error *err)                                           \
    {                                                                                              \
        return stasis_kvm_call(vcpu->fd, set, #set, as_arg(state), err);                           \
    }
STASIS_VCPU_STATES(DEFINE)
#undef DEFINE

int stasis_vcpu_get_sync_regs(struct stasis_vcpu *vcpu, struct kvm_sync_regs *ret_regs,
                              struct stasis_error *err)
{
    int rc;

    if (~(unsigned)vcpu->sync_fields & KVM_SYNC_X86_VALID_FIELDS)
        return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                           "this KVM does not give registers with KVM_RUN");
    vcpu->run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
    rc = stasis_vcpu_complete_io(vcpu, err);
    vcpu->run->kvm_valid_regs = 0;
    if (!rc)
        memcpy(ret_regs, &vcpu->run->s.regs, sizeof(*ret_regs));
    return rc;
}

/* ---- LAPIC registers ---- */

uint32_t stasis_lapic_reg(const struct kvm_lapic_state *lapic, unsigned index)
{
    uint32_t value = 0;

    if (index < STASIS_LAPIC_REGS)
        memcpy(&value, lapic->regs + (size_t)16 * index, sizeof(value));
    return value;
}

void stasis_lapic_set_reg(struct kvm_lapic_state *lapic, unsigned index, uint32_t value)
{
    if (index < STASIS_LAPIC_REGS)
        memcpy(lapic->regs + (size_t)16 * index, &value, sizeof(value));
}

/* ---- XSAVE ---- */

static int xsave_size(int xsave2, size_t *ret_size, struct stasis_error *err)
{
    if (xsave2 > XSAVE_MAX)
        return stasis_fail(err, STASIS_ERR_KVM, "KVM_CAP_XSAVE2 asks for %d bytes", xsave2);
    *ret_size = xsave2 < (int)sizeof(struct kvm_xsave) ? sizeof(struct kvm_xsave) : (size_t)xsave2;
    return 0;
}

int stasis_vm_xsave_size(const struct stasis_vm *vm, size_t *ret_size, struct stasis_error *err)
{
    return xsave_size(stasis_kvm_cap(vm->fd, KVM_CAP_XSAVE2), ret_size, err);
}

static int check_size(const struct stasis_vcpu *vcpu, size_t size, struct stasis_error *err)
{
    size_t needed = 0;
    int rc = xsave_size(vcpu->xsave2, &needed, err);

    if (rc || size == needed)
        return rc;
    return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG, "an XSAVE area has %zu bytes here, not %zu",
                         needed, size);
}

int stasis_vcpu_get_xsave(struct stasis_vcpu *vcpu, void *ret_area, size_t size,
                          struct stasis_error *err)
{
    int rc = check_size(vcpu, size, err);

    if (rc)
        return rc;
    /* KVM_GET_XSAVE writes 4096 bytes whatever the vCPU has, and fails if it has more. */
    if (size > sizeof(struct kvm_xsave))
        return STASIS_KVM(vcpu->fd, KVM_GET_XSAVE2, ret_area, err);
    return STASIS_KVM(vcpu->fd, KVM_GET_XSAVE, ret_area, err);
}

int stasis_vcpu_set_xsave(struct stasis_vcpu *vcpu, const void *area, size_t size,
                          struct stasis_error *err)
{
    int rc = check_size(vcpu, size, err);

    /* One ioctl takes both sizes of area (KVM api.rst, 4.43). */
    return rc ? rc : STASIS_KVM(vcpu->fd, KVM_SET_XSAVE, as_arg(area), err);
}

/* ---- CPUID ---- */

/* Some kernels (6.1) fill the table and leave the count as it was asked for: what they have not
 * filled is zero. */
static void trim(struct kvm_cpuid2 *cpuid)
{
    static const struct kvm_cpuid_entry2 none;

    while (cpuid->nent && !memcmp(&cpuid->entries[cpuid->nent - 1], &none, sizeof(none)))
        cpuid->nent--;
}

int stasis_vcpu_get_cpuid(struct stasis_vcpu *vcpu, struct kvm_cpuid2 **ret_cpuid,
                          struct stasis_error *err)
{
    int rc = stasis_kvm_read_cpuid(vcpu->fd, KVM_GET_CPUID2, "KVM_GET_CPUID2", 0, ret_cpuid, err);

    if (!rc)
        trim(*ret_cpuid);
    return rc;
}

int stasis_vcpu_set_cpuid(struct stasis_vcpu *vcpu, const struct kvm_cpuid2 *cpuid,
                          struct stasis_error *err)
{
    return STASIS_KVM(vcpu->fd, KVM_SET_CPUID2, as_arg(cpuid), err);
}

int stasis_vcpu_hyperv_cpuid(struct stasis_vcpu *vcpu, struct kvm_cpuid2 **ret_cpuid,
                             struct stasis_error *err)
{
    return stasis_kvm_read_cpuid(vcpu->fd, KVM_GET_SUPPORTED_HV_CPUID, "KVM_GET_SUPPORTED_HV_CPUID",
                                 0, ret_cpuid, err);
}

/* ---- nested virtualization ---- */

static int nested_size(const struct stasis_vcpu *vcpu, uint32_t *ret_size, struct stasis_error *err)
{
    int size = stasis_kvm_cap(vcpu->vm->fd, KVM_CAP_NESTED_STATE);

    if (size < (int)sizeof(struct kvm_nested_state) || size > NESTED_MAX)
        return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                           "this KVM has no state of nested virtualization");
    *ret_size = (uint32_t)size;
    return 0;
}

int stasis_vcpu_get_nested(struct stasis_vcpu *vcpu, struct kvm_nested_state **ret_state,
                           struct stasis_error *err)
{
    struct kvm_nested_state *state;
    uint32_t size = 0;
    int rc = nested_size(vcpu, &size, err);

    if (rc)
        return rc;
    state = calloc(1, size);
    if (!state)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the state of a nested guest");
    state->size = size;
    rc = STASIS_KVM(vcpu->fd, KVM_GET_NESTED_STATE, state, err);
    if (rc)
        free(state);
    else
        *ret_state = state;
    return rc;
}

int stasis_vcpu_set_nested(struct stasis_vcpu *vcpu, const struct kvm_nested_state *state,
                           struct stasis_error *err)
{
    uint32_t size = 0;
    int rc = nested_size(vcpu, &size, err);

    return rc ? rc : STASIS_KVM(vcpu->fd, KVM_SET_NESTED_STATE, as_arg(state), err);
}
