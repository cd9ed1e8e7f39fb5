/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One vCPU: how long reading its state takes, beside a bare loop of the fewest calls that read the
 * same, in alternating pairs; and what the VMM does between two KVM_RUNs when the guest writes to
 * a port that nobody handles.
 *   bench-vcpu ROUNDS     prints one JSON object; times are medians
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/clock.h"
#include "vmm/kvm_guest.h"

#define ROUNDS_MAX 1001
#define EXITS      1001
#define PARTS_MAX  32

static struct kvm_guest guest;

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static unsigned long long median(uint64_t *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

/* ---- every ioctl of this program comes by here ---- */

static uint64_t returned; /* TSC at the end of the last KVM_RUN; 0: none, or not measured */
static uint64_t between[EXITS];
static unsigned between_count;

int ioctl(int fd, unsigned long request, ...);
int ioctl(int fd, unsigned long request, ...)
{
    uint64_t now = __rdtsc();
    va_list args;
    void *arg;
    int rc;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (request == KVM_RUN && returned && between_count < EXITS)
        between[between_count++] = now - returned;
    rc = (int)syscall(SYS_ioctl, fd, request, arg);
    returned = request == KVM_RUN ? __rdtsc() : 0;
    return rc;
}

static void count_exits(void)
{
    static const uint8_t payload[] = {0xe6, 0x80, 0xeb, 0xfc}; /* 1: out 0x80, al; jmp 1b */
    struct stasis_error err;
    unsigned long long cycles;
    uint32_t khz = 0;

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, payload, sizeof(payload));
    while (between_count < EXITS) {
        if (stasis_vcpu_run_once(&guest.machine.vcpus[0]) < 0)
            fail_msg("%s", guest.machine.end_error.msg);
    }
    cycles = median(between, EXITS);
    kvm_ok(stasis_vcpu_get_tsc_khz(&guest.machine.vcpus[0], &khz, &err), &err);
    printf("\"exit_cycles\": %llu, \"exit_ns\": %llu, ", cycles, cycles * 1000000 / khz);
}

/* ---- state ---- */

static void *parts[PARTS_MAX];

/* As the thread of a vCPU does in a freeze. */
static void read_ours(struct stasis_vcpu *vcpu)
{
    struct stasis_error err;

    stasis_arch_vcpu_read_begin(vcpu);
    for (size_t i = 0; stasis_arch_vcpu_save_order[i]; i++)
        kvm_ok(stasis_arch_vcpu_save_order[i]->get(vcpu, parts[i], &err), &err);
    stasis_arch_vcpu_read_end(vcpu);
}

static union {
    struct kvm_msrs header;
    uint8_t room[sizeof(struct kvm_msrs) + 255 * sizeof(struct kvm_msr_entry)];
} msrs;

static void call(int fd, unsigned long request, void *arg)
{
    assert_true(ioctl(fd, request, arg) >= 0);
}

static void read_registers_bare(struct stasis_vcpu *vcpu, bool has_sync)
{
    static struct kvm_sync_regs regs;

    if (!has_sync) {
        call(vcpu->fd, KVM_GET_REGS, &regs.regs);
        call(vcpu->fd, KVM_GET_SREGS, &regs.sregs);
        call(vcpu->fd, KVM_GET_VCPU_EVENTS, &regs.events);
        return;
    }
    vcpu->run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
    vcpu->run->immediate_exit = 1;
    assert_int_equal(ioctl(vcpu->fd, KVM_RUN, NULL), -1);
    vcpu->run->immediate_exit = 0;
    vcpu->run->kvm_valid_regs = 0;
    memcpy(&regs, &vcpu->run->s.regs, sizeof(regs));
}

static void read_bare(struct stasis_vcpu *vcpu, bool has_sync, size_t xsave_size)
{
    static uint8_t xsave[65536];
    struct kvm_mp_state mp;
    struct kvm_xcrs xcrs;
    struct kvm_debugregs debugregs;
    struct kvm_lapic_state lapic;

    call(vcpu->fd, KVM_GET_MP_STATE, &mp);
    read_registers_bare(vcpu, has_sync);
    call(vcpu->fd, xsave_size > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, xsave);
    if (vcpu->vm->kvm->has_xcrs)
        call(vcpu->fd, KVM_GET_XCRS, &xcrs);
    call(vcpu->fd, KVM_GET_DEBUGREGS, &debugregs);
    call(vcpu->fd, KVM_GET_MSRS, &msrs);
    call(vcpu->fd, KVM_GET_LAPIC, &lapic);
}

/* The registers that ours reads. */
static void list_msrs(const struct stasis_vcpu *vcpu)
{
    const struct stasis_x86_msr_set *set = &stasis_x86_of(vcpu)->readable;

    msrs.header.nmsrs = set->count < 255 ? set->count : 255;
    for (uint32_t i = 0; i < msrs.header.nmsrs; i++)
        msrs.header.entries[i].index = set->index[i];
}

static void collect(unsigned rounds)
{
    static uint64_t ours[ROUNDS_MAX], bare[ROUNDS_MAX];
    struct stasis_vcpu *vcpu = &guest.machine.vcpus[0];
    bool has_sync = (stasis_kvm_cap(vcpu->vm->fd, KVM_CAP_SYNC_REGS) & 7) == 7;
    struct stasis_error err;
    size_t xsave_size = 0, i;

    kvm_ok(stasis_vm_xsave_size(vcpu->vm, &xsave_size, &err), &err);
    for (i = 0; stasis_arch_vcpu_save_order[i]; i++)
        assert_non_null(parts[i] = malloc(stasis_arch_vcpu_save_order[i]->schema->size));
    read_ours(vcpu);
    list_msrs(vcpu);
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t t[3];

        t[0] = stasis_monotonic_ns();
        read_ours(vcpu);
        t[1] = stasis_monotonic_ns();
        read_bare(vcpu, has_sync, xsave_size);
        t[2] = stasis_monotonic_ns();
        ours[round] = t[1] - t[0];
        bare[round] = t[2] - t[1];
    }
    printf("\"collect_ns\": %llu, \"bare_ns\": %llu", median(ours, rounds), median(bare, rounds));
    while (i)
        free(parts[--i]);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    printf("{");
    count_exits();
    collect(rounds);
    printf("}\n");
    kvm_guest_fini(&guest);
    return 0;
}
