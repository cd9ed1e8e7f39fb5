/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Machines of several vCPUs, frozen and thawed: each vCPU comes back with its own state, whatever
 * it was at, and their clocks stay one.
 */
#include "vmm/kvm_handover.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/clock.h"
#include "vmm/kvm_pattern.h"

static struct kvm_guest guest;

static void start(const void *payload, size_t len, uint32_t vcpus)
{
    kvm_guest_smp_init(&guest, vcpus);
    for (uint32_t i = 0; i < vcpus; i++)
        kvm_guest_smp_real(&guest, i, payload, len);
}

/* The guest leaves its machine for a file and comes back in a new one, which is not started. */
static void refreeze(void)
{
    stasis_machine_pause(&guest.machine);
    kvm_refreeze(&guest);
}

/* ---- state ---- */

static struct stasis_x86_regs_state regs_of(struct stasis_snap *snap, uint32_t id)
{
    struct stasis_x86_regs_state regs;
    char cpu[16];

    snprintf(cpu, sizeof(cpu), "cpu%u", id);
    kvm_record(snap, &stasis_x86_regs_schema, cpu, &regs);
    return regs;
}

/* Or state that comes back at the wrong vCPU would not be seen. */
static void assert_vcpus_differ(struct stasis_snap *snap, uint32_t vcpus)
{
    for (uint32_t i = 1; i < vcpus; i++) {
        const struct stasis_x86_regs_state one = regs_of(snap, i - 1), next = regs_of(snap, i);

        assert_int_not_equal(one.rip, next.rip);
        assert_int_not_equal(one.rax, next.rax);
    }
}

/* Three lives; the second and the third are read by the vCPUs' own threads. */
static void each_vcpu_has_its_own_state(uint32_t vcpus)
{
    uint64_t start_ns = stasis_monotonic_ns();
    struct stasis_snap *first;

    start(kvm_spinning, sizeof(kvm_spinning), vcpus);
    kvm_pattern_load(&guest);
    first = kvm_freeze(&guest, NULL);
    kvm_pattern_check(first);
    assert_vcpus_differ(first, vcpus);
    kvm_guest_fini(&guest);
    kvm_thaw(&guest, first, STASIS_CLOCK_CONTINUE);
    for (unsigned life = 0; life < 2; life++) {
        struct stasis_snap *next;

        kvm_guest_start(&guest);
        stasis_machine_pause(&guest.machine);
        next = kvm_freeze(&guest, NULL);
        kvm_pattern_check(next);
        kvm_assert_same(first, next, stasis_monotonic_ns() - start_ns);
        kvm_guest_fini(&guest);
        kvm_thaw(&guest, next, STASIS_CLOCK_CONTINUE);
        stasis_snap_free(first);
        first = next;
    }
    stasis_snap_free(first);
    kvm_guest_fini(&guest);
}

static void two_vcpus_have_their_own_state(void)
{
    each_vcpu_has_its_own_state(2);
}

static void eight_vcpus_have_their_own_state(void)
{
    each_vcpu_has_its_own_state(8);
}

static void set_apic_base(uint32_t id, uint64_t flags)
{
    struct stasis_vcpu *vcpu = &guest.machine.vcpus[id];
    struct stasis_x86_sregs_state sregs;
    struct stasis_error err;

    stasis_state_init(&stasis_x86_sregs_schema, &sregs);
    kvm_ok(stasis_x86_sregs_part.get(vcpu, &sregs, &err), &err);
    sregs.apic_base |= flags;
    kvm_ok(stasis_x86_sregs_part.set(vcpu, &sregs, &err), &err);
}

/* The APIC id has another form inside KVM then. */
static void vcpus_in_x2apic_mode_keep_their_ids(void)
{
    enum { X2APIC = 0xc00 };

    start(kvm_counting, sizeof(kvm_counting), 3);
    for (uint32_t i = 1; i < 3; i++)
        set_apic_base(i, X2APIC);
    for (unsigned life = 0; life < 2; life++) {
        struct stasis_x86_lapic_state lapic;
        struct stasis_snap *snap = kvm_freeze(&guest, NULL);

        for (uint32_t i = 0; i < 3; i++) {
            char cpu[16];

            snprintf(cpu, sizeof(cpu), "cpu%u", i);
            kvm_record(snap, &stasis_x86_lapic_schema, cpu, &lapic);
            assert_int_equal(lapic.id, i << 24);
        }
        stasis_snap_free(snap);
        kvm_refreeze(&guest);
    }
    kvm_guest_fini(&guest);
}

/* A guest that writes its own id, in xAPIC mode: no thaw would take it. */
static void a_guest_that_changed_its_apic_id_is_not_frozen(void)
{
    struct stasis_x86_lapic_state lapic;
    struct stasis_snap *snap = NULL;
    struct stasis_error err;

    start(kvm_counting, sizeof(kvm_counting), 2);
    stasis_state_init(&stasis_x86_lapic_schema, &lapic);
    kvm_ok(stasis_x86_lapic_part.get(&guest.machine.vcpus[1], &lapic, &err), &err);
    lapic.id = 5 << 24;
    if (stasis_x86_lapic_part.set(&guest.machine.vcpus[1], &lapic, &err))
        kvm_case_skip("this KVM takes no other APIC id");
    assert_int_equal(stasis_freeze(&guest.machine, 0, &snap, &err), STASIS_ERR_RANGE);
    assert_non_null(strstr(err.msg, "saving x86.lapic cpu1: the APIC id register of vCPU 1"));
    kvm_guest_fini(&guest);
}

/* ---- what a vCPU can be at ---- */

static uint32_t mp_state(uint32_t id)
{
    struct stasis_x86_mp_state_state state = {0};
    struct stasis_error err;

    kvm_ok(stasis_x86_mp_state_part.get(&guest.machine.vcpus[id], &state, &err), &err);
    return state.mp_state;
}

/* A guest that has died would be waited for in vain. */
static bool is_alive(void)
{
    if (atomic_load(&guest.machine.end) != STASIS_EXIT_NONE)
        fail_msg("%s", guest.machine.end_error.msg);
    return true;
}

static void assert_counts(uint32_t id)
{
    uint32_t before = kvm_guest_smp_cell(&guest, id);

    kvm_wait(is_alive() && kvm_guest_smp_cell(&guest, id) != before);
}

enum { COUNTING, HALTED, NEVER_STARTED, INIT_RECEIVED, STATES };

static void start_one_of_each(void)
{
    kvm_guest_smp_init(&guest, STATES);
    kvm_guest_smp_real(&guest, COUNTING, kvm_counting, sizeof(kvm_counting));
    kvm_guest_smp_real(&guest, HALTED, kvm_halted, sizeof(kvm_halted));
    kvm_guest_smp_real(&guest, INIT_RECEIVED, kvm_counting, sizeof(kvm_counting));
    kvm_guest_mp_state(&guest, INIT_RECEIVED, KVM_MP_STATE_INIT_RECEIVED);
    kvm_guest_start(&guest);
    assert_counts(COUNTING);
}

static void vcpus_come_back_whatever_they_do(void)
{
    start_one_of_each();
    for (unsigned life = 0; life < 3; life++) {
        refreeze();
        assert_int_equal(mp_state(COUNTING), KVM_MP_STATE_RUNNABLE);
        assert_int_equal(mp_state(NEVER_STARTED), KVM_MP_STATE_UNINITIALIZED);
        assert_int_equal(mp_state(INIT_RECEIVED), KVM_MP_STATE_INIT_RECEIVED);
        kvm_guest_start(&guest);
        assert_counts(COUNTING);
        assert_int_equal(kvm_guest_smp_cell(&guest, INIT_RECEIVED), 0);
    }
    kvm_guest_fini(&guest);
}

/* By the local APIC of the first vCPU, in 64-bit mode: an INIT for vCPU 1, a SIPI to LANDED, each
 * when a byte of RAM says so; and counts. */
#define GO     0x100000
#define COUNT  0x100008
#define LANDED 0x10000

/* clang-format off */
static const uint8_t sending[] = {
    0xbb, 0x00, 0x00, 0xe0, 0xfe,                               /* mov ebx, 0xfee00000 */
    0xbf, 0x00, 0x00, 0x10, 0x00,                               /* mov edi, GO */
    0xc7, 0x83, 0xf0, 0x00, 0x00, 0x00, 0xff, 0x01, 0x00, 0x00, /* mov dword [rbx + 0xf0], 0x1ff */
    0xfa, 0x80, 0x3f, 0x01, 0x75, 0xfa,                         /* 1: cli; cmp byte [rdi], 1; jne 1b */
    0xc7, 0x83, 0x10, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, /* mov dword [rbx + 0x310], 1 << 24 */
    0xc7, 0x83, 0x00, 0x03, 0x00, 0x00, 0x00, 0x45, 0x00, 0x00, /* mov dword [rbx + 0x300], 0x4500 */
    0xfa, 0xff, 0x47, 0x08,                                     /* 2: cli; inc dword [rdi + 8] */
    0x80, 0x3f, 0x02, 0x75, 0xf7,                               /* cmp byte [rdi], 2; jne 2b */
    0xc7, 0x83, 0x00, 0x03, 0x00, 0x00, 0x10, 0x46, 0x00, 0x00, /* mov dword [rbx + 0x300], 0x4610 */
    0xfa, 0xff, 0x47, 0x08, 0xeb, 0xfa,                         /* 3: cli; inc dword [rdi + 8]; jmp 3b */
};
/* clang-format on */

/* At LANDED in real mode, CS 0x1000: mov bx, KVM_SMP_CELLS; 1: cli; inc dword [bx]; jmp 1b */
static const uint8_t landing[] = {0xbb, 0x00, KVM_SMP_CELLS >> 8, 0xfa, 0x66, 0xff, 0x07,
                                  0xeb, 0xfa};

static uint32_t sender_count(void)
{
    return __atomic_load_n((uint32_t *)kvm_guest_ram(&guest, COUNT, 4), __ATOMIC_RELAXED);
}

static void let_go(uint8_t step)
{
    uint32_t before = sender_count();

    __atomic_store_n((uint8_t *)kvm_guest_ram(&guest, GO, 1), step, __ATOMIC_SEQ_CST);
    kvm_wait(is_alive() && sender_count() > before);
}

/* INIT in the first life, SIPI in the second, and the vCPU runs on in the third. */
static void a_vcpu_is_started_across_freezes(void)
{
    const struct stasis_x86_regs_state none = {0};

    kvm_guest_smp_init(&guest, 2);
    kvm_guest_smp_long(&guest, 0, sending, sizeof(sending), &none);
    memcpy(kvm_guest_ram(&guest, LANDED, sizeof(landing)), landing, sizeof(landing));
    kvm_guest_start(&guest);
    refreeze();
    assert_int_equal(mp_state(1), KVM_MP_STATE_UNINITIALIZED);
    kvm_guest_start(&guest);
    let_go(1);
    refreeze();
    assert_int_equal(mp_state(1), KVM_MP_STATE_INIT_RECEIVED);
    assert_int_equal(kvm_guest_smp_cell(&guest, 0), 0);
    kvm_guest_start(&guest);
    let_go(2);
    assert_counts(0);
    refreeze();
    kvm_guest_start(&guest);
    assert_counts(0);
    kvm_guest_fini(&guest);
}

/* In 64-bit mode without an IDT: test ebx, ebx; jz 1f; ud2; 1: cli; jmp 1b */
static const uint8_t dying[] = {0x85, 0xdb, 0x74, 0x02, 0x0f, 0x0b, 0xfa, 0xeb, 0xfd};

/* The machine has ended; its state is whole all the same. */
static void a_triple_fault_leaves_a_machine_that_can_be_saved(void)
{
    kvm_guest_smp_init(&guest, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct stasis_x86_regs_state regs = {.rbx = i == 1};

        kvm_guest_smp_long(&guest, i, dying, sizeof(dying), &regs);
    }
    kvm_guest_start(&guest);
    kvm_wait(atomic_load(&guest.machine.end) == STASIS_EXIT_CRASHED);
    assert_non_null(strstr(guest.machine.end_error.msg, "vCPU 1"));
    refreeze();
    assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_NONE);
    assert_int_equal(guest.machine.vcpu_count, 3);
    kvm_guest_fini(&guest);
}

/* ---- clocks ---- */

enum { FREEZES = 5 };

/* By each vCPU. */
static uint64_t hand_overs(void)
{
    const char *wanted = getenv("STASIS_TEST_HANDOVERS");

    if (!wanted)
        return 2000;
    alarm(0); /* takes as long as it takes */
    return strtoull(wanted, NULL, 10);
}

/* Bits 0 to FREEZES: in which of the guest's lives the pages of its vCPUs were one clock. */
static unsigned live_and_count(uint64_t all)
{
    unsigned stable = 0;

    for (unsigned life = 0; life <= FREEZES; life++) {
        kvm_wait(is_alive() && kvm_handover_at(&guest)->count >= all * (life + 1) / (FREEZES + 1));
        stasis_machine_pause(&guest.machine);
        stable |= (unsigned)kvm_handover_is_one_clock(&guest) << life;
        kvm_refreeze(&guest);
        if (life < FREEZES)
            kvm_guest_start(&guest);
    }
    return stable;
}

/* Over five freezes. Where KVM's master clock is off, a guest has to see to it itself that its
 * kvmclock does not go back; that it is on must not end with a thaw. */
static void clocks_do_not_go_back(void)
{
    const uint64_t times = hand_overs(), all = 2 * times;
    const bool one_tsc = kvm_host_has_one_tsc(), settable = kvm_tsc_is_settable();
    const unsigned all_lives = (1U << (FREEZES + 1)) - 1;
    struct kvm_handover said;
    unsigned stable;

    kvm_guest_smp_init(&guest, 2);
    kvm_handover_load(&guest, times);
    kvm_guest_start(&guest);
    stable = live_and_count(all);
    said = *kvm_handover_at(&guest);
    kvm_guest_fini(&guest);
    print_message("  %llu hand-overs: TSC back %llu times, kvmclock %llu times; stable in %d of %d "
                  "lives\n",
                  (unsigned long long)all, (unsigned long long)said.tsc_back,
                  (unsigned long long)said.clock_back, __builtin_popcount(stable), FREEZES + 1);
    assert_int_equal(said.count, all);
    if (one_tsc)
        assert_int_equal(said.tsc_back, 0);
    if (settable && (stable & 1))
        assert_int_equal(stable, all_lives);
    if (stable == all_lives)
        assert_int_equal(said.clock_back, 0);
    if (!one_tsc)
        kvm_case_skip("the TSC, which may go back: this host's CPUs have no common one");
    if (stable != all_lives)
        kvm_case_skip("kvmclock alone, which may go back: KVM's master clock is off");
}

/* vCPU N is to be woken in N + 1 hours. */
static uint64_t arm_deadline(uint32_t id, uint64_t hour)
{
    enum { DEADLINE_MODE = 0x40040 };
    struct stasis_vcpu *vcpu = &guest.machine.vcpus[id];
    struct stasis_x86_lapic_state lapic;
    struct stasis_error err;
    uint64_t tsc, deadline;

    stasis_state_init(&stasis_x86_lapic_schema, &lapic);
    kvm_ok(stasis_x86_lapic_part.get(vcpu, &lapic, &err), &err);
    lapic.svr = 0x1ff;
    lapic.lvt_timer = DEADLINE_MODE;
    kvm_ok(stasis_x86_lapic_part.set(vcpu, &lapic, &err), &err);
    kvm_ok(stasis_x86_msr_read(vcpu, STASIS_MSR_TSC, &tsc, &err), &err);
    kvm_ok(stasis_x86_msr_write(vcpu, STASIS_MSR_TSC_DEADLINE, tsc + hour * (id + 1), &err), &err);
    kvm_ok(stasis_x86_msr_read(vcpu, STASIS_MSR_TSC_DEADLINE, &deadline, &err), &err);
    return deadline;
}

static void each_vcpu_has_its_own_deadline(void)
{
    struct stasis_x86_tsc_state rate = {0};
    struct stasis_error err;
    uint64_t second, first = 0;

    start(kvm_halted, sizeof(kvm_halted), 4);
    kvm_ok(stasis_x86_tsc_part.get(&guest.machine.vcpus[0], &rate, &err), &err);
    second = UINT64_C(1000) * rate.khz;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_not_equal(arm_deadline(i, 3600 * second), 0);
    kvm_guest_start(&guest);
    refreeze();
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t deadline;

        kvm_ok(
            stasis_x86_msr_read(&guest.machine.vcpus[i], STASIS_MSR_TSC_DEADLINE, &deadline, &err),
            &err);
        if (!i)
            first = deadline;
        /* A second for a TSC that cannot be set, minutes for a host that stood still above. */
        assert_in_range(deadline - first + second, 3600 * second * i,
                        3600 * second * i + 300 * second);
    }
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(two_vcpus_have_their_own_state),
        KVM_CASE(eight_vcpus_have_their_own_state),
        KVM_CASE(vcpus_in_x2apic_mode_keep_their_ids),
        KVM_CASE(a_guest_that_changed_its_apic_id_is_not_frozen),
        KVM_CASE(vcpus_come_back_whatever_they_do),
        KVM_CASE(a_vcpu_is_started_across_freezes),
        KVM_CASE(a_triple_fault_leaves_a_machine_that_can_be_saved),
        KVM_CASE(each_vcpu_has_its_own_deadline),
        KVM_CASE(clocks_do_not_go_back),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
