/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VMM on stasis-kvm alone: a guest in real mode prints a line, byte by byte, and halts.
 */
#include <stasis/kvm_slots.h>
#include <stasis/kvm_vcpu_state.h>

#include <stdio.h>

static const char guest[] = "\xbe\x0c\x10" /* 0x1000: mov si, 0x100c */
                            "\xb9\x13\x00" /* mov cx, 19 */
                            "\xba\xf8\x03" /* mov dx, 0x3f8 */
                            "\xf3\x6e\xf4" /* rep outsb; hlt */
                            "Hello from a guest\n";

static void on_out(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    (void)ctx, (void)port, (void)len;
    putchar((int)value);
}

static enum stasis_vcpu_next on_event(void *halted, struct stasis_vcpu *vcpu,
                                      const struct stasis_vcpu_exit *exit)
{
    (void)vcpu;
    *(bool *)halted = exit->reason == STASIS_VCPU_EXIT_hlt;
    return *(bool *)halted ? STASIS_VCPU_END : STASIS_VCPU_DEFAULT;
}

int main(void)
{
    static const struct stasis_exit_ops ops = {.pio_write = on_out, .event = on_event};
    const struct stasis_memory_region ram = {.gpa = 0, .size = 0x10000};
    const struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};
    struct stasis_error err;
    struct stasis_kvm kvm;
    struct stasis_vm vm;
    struct stasis_slots slots;
    struct stasis_memory memory;
    struct stasis_vcpu vcpu;
    struct kvm_sregs sregs;
    bool halted = false;
    int rc = 0;

    if (stasis_kvm_open(&kvm, &err) || stasis_memory_init(&memory, &ram, 1, &err) ||
        stasis_vm_create(&vm, &kvm, NULL, &err) || stasis_slots_init(&slots, &vm, &err) ||
        stasis_slots_add_memory(&slots, &memory, 0, &err) ||
        stasis_memory_write(&memory, 0x1000, guest, sizeof(guest), "guest", &err) ||
        stasis_vcpu_init(&vcpu, &vm, 0, &ops, &halted, &err) ||
        stasis_vcpu_get_sregs(&vcpu, &sregs, &err)) {
        fprintf(stderr, "tiny-vmm: %s\n", err.msg);
        return stasis_err_exit_status(err.code);
    }
    sregs.cs.base = sregs.cs.selector = 0;
    if (!stasis_vcpu_set_sregs(&vcpu, &sregs, &err) && !stasis_vcpu_set_regs(&vcpu, &regs, &err))
        while (rc >= 0)
            rc = stasis_vcpu_run_once(&vcpu);
    return halted ? 0 : 1; /* the VM ends with its process */
}
