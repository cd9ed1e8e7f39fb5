/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vcpu_rig.h"

#include <errno.h>
#include <string.h>

#include "stasis/kvm_vcpu_state.h"

static struct rig_access *note(struct rig *rig, struct rig_access access)
{
    struct rig_access *at = &rig->log[rig->count % RIG_LOG];

    *at = access;
    rig->count++;
    return at;
}

static uint64_t pio_read(void *ctx, uint16_t port, unsigned len)
{
    struct rig *rig = ctx;

    return note(rig, (struct rig_access){.at = port, .value = rig->answer++, .len = len})->value;
}

static void pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    note(ctx, (struct rig_access){.write = true, .at = port, .value = value, .len = len});
}

static uint64_t mmio_read(void *ctx, uint64_t gpa, unsigned len)
{
    struct rig *rig = ctx;

    return note(rig,
                (struct rig_access){.mmio = true, .at = gpa, .value = rig->answer++, .len = len})
        ->value;
}

static void mmio_write(void *ctx, uint64_t gpa, unsigned len, uint64_t value)
{
    note(ctx,
         (struct rig_access){.write = true, .mmio = true, .at = gpa, .value = value, .len = len});
}

static void failed(void *ctx, struct stasis_vcpu *vcpu, const char *why, uint64_t detail)
{
    (void)vcpu;
    (void)detail;
    ((struct rig *)ctx)->why = why;
}

static enum stasis_vcpu_next event(void *ctx, struct stasis_vcpu *vcpu,
                                   const struct stasis_vcpu_exit *exit)
{
    struct rig *rig = ctx;

    (void)vcpu;
    rig->exit = *exit;
    rig->events++;
    return STASIS_VCPU_END;
}

static const struct stasis_exit_ops ops = {
    .pio_read = pio_read,
    .pio_write = pio_write,
    .mmio_read = mmio_read,
    .mmio_write = mmio_write,
    .failed = failed,
    .event = event,
};

static void make_chips(struct rig *rig, enum rig_chips chips)
{
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};

    if (chips == RIG_CHIPS)
        kvm_ok(STASIS_KVM(rig->vm.fd, KVM_CREATE_IRQCHIP, NULL, &rig->err), &rig->err);
    else if (chips == RIG_SPLIT_CHIPS)
        kvm_ok(STASIS_KVM(rig->vm.fd, KVM_ENABLE_CAP, &split, &rig->err), &rig->err);
}

void rig_init(struct rig *rig, enum rig_chips chips)
{
    const struct stasis_memory_region layout = {.gpa = 0, .size = RIG_RAM};

    memset(rig, 0, sizeof(*rig));
    kvm_ok(stasis_kvm_open(&rig->kvm, &rig->err), &rig->err);
    kvm_ok(stasis_memory_init(&rig->memory, &layout, 1, &rig->err), &rig->err);
    kvm_ok(stasis_vm_create(&rig->vm, &rig->kvm, NULL, &rig->err), &rig->err);
    kvm_ok(STASIS_KVM(rig->vm.fd, KVM_SET_TSS_ADDR, (void *)UINT64_C(0xfffbd000), &rig->err),
           &rig->err);
    kvm_ok(stasis_slots_init(&rig->slots, &rig->vm, &rig->err), &rig->err);
    kvm_ok(stasis_slots_add_memory(&rig->slots, &rig->memory, 0, &rig->err), &rig->err);
    make_chips(rig, chips);
    kvm_ok(stasis_vcpu_init(&rig->vcpu, &rig->vm, 0, &ops, rig, &rig->err), &rig->err);
    kvm_ok(stasis_vcpu_set_cpuid(&rig->vcpu, rig->kvm.cpuid, &rig->err), &rig->err);
}

void rig_fini(struct rig *rig)
{
    stasis_vcpu_fini(&rig->vcpu);
    stasis_vm_fini(&rig->vm);
    stasis_slots_fini(&rig->slots);
    stasis_memory_fini(&rig->memory);
    stasis_kvm_close(&rig->kvm);
}

void *rig_ram(struct rig *rig, uint64_t gpa)
{
    void *at = stasis_memory_writable(&rig->memory, gpa, 1);

    assert_non_null(at);
    return at;
}

void rig_vector(struct rig *rig, unsigned vector, uint16_t offset)
{
    const uint16_t entry[2] = {offset, 0};

    memcpy(rig_ram(rig, UINT64_C(4) * vector), entry, sizeof(entry));
}

void rig_load(struct rig *rig, const void *payload, size_t len)
{
    struct kvm_regs regs = {.rip = RIG_ENTRY, .rsp = RIG_STACK, .rflags = 2};
    struct kvm_sregs sregs;

    memcpy(rig_ram(rig, RIG_ENTRY), payload, len);
    kvm_ok(stasis_vcpu_get_sregs(&rig->vcpu, &sregs, &rig->err), &rig->err);
    sregs.cs.base = sregs.cs.selector = 0;
    kvm_ok(stasis_vcpu_set_sregs(&rig->vcpu, &sregs, &rig->err), &rig->err);
    kvm_ok(stasis_vcpu_set_regs(&rig->vcpu, &regs, &rig->err), &rig->err);
}

void rig_run(struct rig *rig, unsigned count)
{
    while (rig->count < count) {
        if (stasis_vcpu_run_once(&rig->vcpu) < 0)
            fail_msg("%s: %s", rig->exit.name ? rig->exit.name : "", rig->why ? rig->why : "");
    }
    kvm_ok(stasis_vcpu_complete_io(&rig->vcpu, &rig->err), &rig->err);
}

void rig_run_to(struct rig *rig, uint32_t reason)
{
    unsigned events = rig->events;

    while (stasis_vcpu_run_once(&rig->vcpu) >= 0)
        ;
    if (rig->events == events)
        fail_msg("%s", rig->why);
    if (rig->exit.reason != reason)
        fail_msg("exit %s instead of %s", rig->exit.name, stasis_vcpu_exit_name(reason));
}

void rig_refuses_at(const struct rig *rig, int rc, int os_errno, const char *file, int line)
{
    if (rc == 0)
        print_error("succeeded\n");
    else if (rig->err.os_errno != os_errno)
        print_error("errno %d: %s\n", rig->err.os_errno, rig->err.msg);
    if (rc == 0 || rig->err.os_errno != os_errno)
        _fail(file, line);
}
