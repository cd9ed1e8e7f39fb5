/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Timers of the local APIC over a freeze: the halted vCPU whose next tick is all that will ever
 * wake it. The inverse tests restore in a wrong order, by hand, and lose the tick: they show that
 * the order of arch/x86/order.c is needed, and that the tests would notice.
 */
#include "vmm/kvm_guest.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/clock.h"
#include "vmm/arch/x86/x86.h"

#define VECTOR  0x40
#define IDT     0x3000
#define HANDLER 0x1100
#define DELTA   0x2000 /* where guests find how far away their deadline is */

#define MP_STATE_HALTED 3

/* How long the timers are set to, and how late a tick may be: only one that was lost is later. */
#define TIMER_MS 400
#define LATE_MS  300000

static struct kvm_guest guest;
static struct kvm_probe before, after;

/* Tells the probe, and acknowledges: out 0x81, al; mov dword [rbx+0xb0], 0; iretq */
static const uint8_t handler[] = {0xe6, 0x81, 0xc7, 0x83, 0xb0, 0x00, 0x00,
                                  0x00, 0x00, 0x00, 0x00, 0x00, 0x48, 0xcf};

/* All guests: mov ebx, LAPIC; SVR: on, vector 0xff; then their timer; and then
 * out 0x80, al; 1: sti; hlt; jmp 1b */
#define LAPIC_ON                                                                                   \
    0xbb, 0x00, 0x00, 0xe0, 0xfe, 0xc7, 0x83, 0xf0, 0x00, 0x00, 0x00, 0xff, 0x01, 0x00, 0x00
#define LVTT(mode) 0xc7, 0x83, 0x20, 0x03, 0x00, 0x00, VECTOR, 0x00, mode, 0x00
#define TDCR_BY_1  0xc7, 0x83, 0xe0, 0x03, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00
#define SLEEP      0xe6, 0x80, 0xfb, 0xf4, 0xeb, 0xfc

static const uint8_t deadline_guest[] = {
    LAPIC_ON, LVTT(0x04),                                 /* TSC-deadline mode (SDM 3A, 10.5.4.1) */
    0x0f,     0x31,       0x48, 0xc1, 0xe2,         0x20, /* rdtsc; shl rdx, 32 */
    0x48,     0x09,       0xd0,                           /* or rax, rdx */
    0x48,     0x03,       0x04, 0x25, DELTA & 0xff, DELTA >> 8, 0x00, 0x00, /* add rax, [DELTA] */
    0x48,     0x89,       0xc2, 0x48, 0xc1,         0xea,       0x20, /* mov rdx, rax; shr rdx, 32
                                                                       */
    0xb9,     0xe0,       0x06, 0x00, 0x00,         0x0f,       0x30, /* mov ecx, 0x6e0; wrmsr */
    SLEEP,
};

/* TMICT is taken from [DELTA]; KVM's LAPIC timer counts in ns. */
#define TMICT                                                                                      \
    0x8b, 0x04, 0x25, DELTA & 0xff, DELTA >> 8, 0x00, 0x00, 0x89, 0x83, 0x80, 0x03, 0x00, 0x00
static const uint8_t periodic_guest[] = {LAPIC_ON, LVTT(0x02), TDCR_BY_1, TMICT, SLEEP};
static const uint8_t one_shot_guest[] = {LAPIC_ON, LVTT(0x00), TDCR_BY_1, TMICT, SLEEP};

static void make_idt(void)
{
    uint16_t gate[8] = {HANDLER, 0x10, 0x8e00};
    struct stasis_vcpu *vcpu = &guest.machine.vcpus[0];
    struct stasis_x86_sregs_state sregs;
    struct stasis_error err;

    memcpy(kvm_guest_ram(&guest, IDT + 16 * VECTOR, 16), gate, 16);
    memcpy(kvm_guest_ram(&guest, HANDLER, sizeof(handler)), handler, sizeof(handler));
    stasis_state_init(&stasis_x86_sregs_schema, &sregs);
    kvm_ok(stasis_x86_sregs_part.get(vcpu, &sregs, &err), &err);
    sregs.idt = (struct stasis_x86_dtable_state){.base = IDT, .limit = 0xfff};
    kvm_ok(stasis_x86_sregs_part.set(vcpu, &sregs, &err), &err);
}

static uint32_t tsc_khz(void)
{
    struct stasis_x86_tsc_state tsc;
    struct stasis_error err;

    kvm_ok(stasis_x86_tsc_part.get(&guest.machine.vcpus[0], &tsc, &err), &err);
    return tsc.khz;
}

/* Pauses the guest if it sleeps. */
static bool paused_asleep(void)
{
    struct stasis_x86_mp_state_state mp;
    struct stasis_error err;

    stasis_machine_pause(&guest.machine);
    kvm_ok(stasis_x86_mp_state_part.get(&guest.machine.vcpus[0], &mp, &err), &err);
    if (mp.mp_state == MP_STATE_HALTED)
        return true;
    stasis_machine_resume(&guest.machine);
    return false;
}

/* Whether the timer has not expired yet; on a busy host it may have. */
static bool is_armed(struct stasis_snap *snap, bool in_ticks)
{
    struct stasis_x86_lapic_state lapic;

    if (in_ticks)
        return kvm_record_msr(snap, STASIS_MSR_TSC_DEADLINE) >
               kvm_record_msr(snap, STASIS_MSR_TSC) + 10000000;
    kvm_record(snap, &stasis_x86_lapic_schema, "cpu0", &lapic);
    return lapic.tmcct >= 1000000;
}

static struct stasis_snap *freeze_once(const uint8_t *payload, size_t len, bool in_ticks,
                                       unsigned ms)
{
    struct stasis_snap *snap;
    uint64_t delta;

    before.count = 0;
    kvm_guest_init(&guest, NULL);
    kvm_probe_attach(&before, &guest.machine.pio, KVM_PORT, 2);
    kvm_guest_long(&guest, payload, len);
    make_idt();
    delta = in_ticks ? (uint64_t)tsc_khz() * ms : UINT64_C(1000000) * ms;
    memcpy(kvm_guest_ram(&guest, DELTA, 8), &delta, 8);
    kvm_guest_start(&guest);
    kvm_wait(before.count >= 1);
    kvm_wait(paused_asleep());
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    return snap;
}

/* Runs the payload until its timer is armed and it sleeps, then freezes it. */
static struct stasis_snap *freeze_asleep(const uint8_t *payload, size_t len, bool in_ticks,
                                         unsigned ms)
{
    struct stasis_snap *snap = freeze_once(payload, len, in_ticks, ms);

    while (!is_armed(snap, in_ticks)) {
        stasis_snap_free(snap);
        snap = freeze_once(payload, len, in_ticks, ms);
    }
    return snap;
}

/* Timers begin to run in the middle of a thaw: time is taken from before it. */
static uint64_t thaw_us;

static void thaw(struct stasis_snap *snap)
{
    thaw_us = stasis_monotonic_us();
    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
}

static void run_thawed(struct stasis_snap *snap)
{
    stasis_snap_free(snap);
    kvm_probe_attach(&after, &guest.machine.pio, KVM_PORT, 2);
    kvm_guest_start(&guest);
}

/* Milliseconds from the thaw until the guest has seen `count` ticks. */
static unsigned wait_ticks(unsigned count)
{
    kvm_wait(after.count >= count);
    kvm_assert_access(&after, 0, true, 1, 1, after.log[0].value);
    return (unsigned)((stasis_monotonic_us() - thaw_us) / 1000);
}

static void no_tick_comes(void)
{
    kvm_sleep_us((TIMER_MS + 1000) * 1000);
    assert_int_equal(after.count, 0);
    kvm_guest_fini(&guest);
}

/* How long the frozen guest still had to sleep; 0: it is overdue. */
static unsigned left_ms(struct stasis_snap *snap)
{
    uint64_t deadline = kvm_record_msr(snap, STASIS_MSR_TSC_DEADLINE);
    uint64_t tsc = kvm_record_msr(snap, STASIS_MSR_TSC);
    struct stasis_x86_tsc_state rate;

    kvm_record(snap, &stasis_x86_tsc_schema, "cpu0", &rate);
    return deadline > tsc ? (unsigned)((deadline - tsc) / rate.khz) : 0;
}

static bool has_no_deadline_timer(void)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    stasis_kvm_close(&kvm);
    return !kvm.has_tsc_deadline;
}

static void armed_deadline(void)
{
    struct stasis_snap *snap =
        freeze_asleep(deadline_guest, sizeof(deadline_guest), true, TIMER_MS);
    unsigned left = left_ms(snap);

    /* On disk for longer than the guest still had to sleep: time that does not count. */
    assert_in_range(left, 0, TIMER_MS);
    kvm_sleep_us((TIMER_MS + 100) * 1000);
    thaw(snap);
    run_thawed(snap);
    assert_in_range(wait_ticks(1) + 1, left, left + LATE_MS);
    kvm_guest_fini(&guest);
}

/* The time on disk counts: the tick is overdue. */
static void armed_deadline_with_clock_advance(void)
{
    struct stasis_snap *snap = freeze_asleep(deadline_guest, sizeof(deadline_guest), true, 600000);
    unsigned left = left_ms(snap);

    kvm_sleep_us(100000);
    kvm_thaw(&guest, snap, STASIS_CLOCK_ADVANCE);
    stasis_snap_free(snap);
    snap = kvm_freeze(&guest, NULL);
    assert_in_range(left_ms(snap), 1, left - 100);
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
}

/* Frozen again before the tick, in machines that never ran. */
static void armed_deadline_over_generations(void)
{
    struct stasis_snap *snap =
        freeze_asleep(deadline_guest, sizeof(deadline_guest), true, TIMER_MS);

    for (unsigned i = 0; i < 3; i++) {
        thaw(snap);
        stasis_snap_free(snap);
        kvm_sleep_us(1000);
        snap = kvm_freeze(&guest, NULL);
        kvm_guest_fini(&guest);
    }
    thaw(snap);
    run_thawed(snap);
    wait_ticks(1);
    kvm_guest_fini(&guest);
}

static void pause_before_deadline(void)
{
    uint64_t delta;

    before.count = 0;
    kvm_guest_init(&guest, NULL);
    kvm_probe_attach(&before, &guest.machine.pio, KVM_PORT, 2);
    kvm_guest_long(&guest, deadline_guest, sizeof(deadline_guest));
    make_idt();
    delta = (uint64_t)tsc_khz() * TIMER_MS;
    memcpy(kvm_guest_ram(&guest, DELTA, 8), &delta, 8);
    kvm_guest_start(&guest);
    kvm_wait(before.count >= 1);
    stasis_machine_pause(&guest.machine);
}

/* The timer expires while the vCPU is paused, before the freeze: the tick is in neither KVM's IRR
 * nor lost. */
static void deadline_that_passes_during_the_pause(void)
{
    struct stasis_snap *snap;

    pause_before_deadline();
    while (before.count > 1) { /* it was too quick for a busy host */
        kvm_guest_fini(&guest);
        pause_before_deadline();
    }
    kvm_sleep_us((TIMER_MS + 100) * 1000);
    assert_int_equal(before.count, 1);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    thaw(snap);
    run_thawed(snap);
    assert_in_range(wait_ticks(1), 0, LATE_MS);
    kvm_guest_fini(&guest);
}

static void one_shot(void)
{
    struct stasis_snap *snap =
        freeze_asleep(one_shot_guest, sizeof(one_shot_guest), false, TIMER_MS);
    struct stasis_x86_lapic_state lapic;
    unsigned left;

    kvm_record(snap, &stasis_x86_lapic_schema, "cpu0", &lapic);
    left = lapic.tmcct / 1000000;
    assert_in_range(left, 1, TIMER_MS);
    kvm_sleep_us((TIMER_MS + 100) * 1000);
    thaw(snap);
    run_thawed(snap);
    assert_in_range(wait_ticks(1) + 1, left, left + LATE_MS);
    kvm_guest_fini(&guest);
}

static void periodic(void)
{
    enum { PERIOD_MS = 50, TICKS = 10 };
    struct stasis_snap *snap =
        freeze_asleep(periodic_guest, sizeof(periodic_guest), false, PERIOD_MS);

    thaw(snap);
    run_thawed(snap);
    assert_in_range(wait_ticks(TICKS), PERIOD_MS * (TICKS - 2), PERIOD_MS * TICKS + LATE_MS);
    kvm_guest_fini(&guest);
}

/* ---- by hand ---- */

static void set_part(struct stasis_snap *snap, const struct stasis_arch_vcpu_record *part)
{
    static uint64_t state[8192];
    struct stasis_error err;

    assert_true(part->schema->size <= sizeof(state));
    kvm_record(snap, part->schema, "cpu0", state);
    kvm_ok(part->set(&guest.machine.vcpus[0], state, &err), &err);
}

static void set_clocks(struct stasis_snap *snap, bool with_deadline)
{
    struct stasis_x86_ticks *ticks = &stasis_x86_of(&guest.machine.vcpus[0])->ticks;
    struct stasis_x86_clock_state clock;
    struct stasis_x86_tsc_state rate;
    struct stasis_error err;
    bool tsc_is_set;

    kvm_record(snap, &stasis_x86_clock_schema, "kvmclock", &clock);
    kvm_record(snap, &stasis_x86_tsc_schema, "cpu0", &rate);
    *ticks = (struct stasis_x86_ticks){.has_tsc = true, .has_deadline = true, .khz = rate.khz};
    ticks->tsc = kvm_record_msr(snap, STASIS_MSR_TSC);
    ticks->deadline = with_deadline ? kvm_record_msr(snap, STASIS_MSR_TSC_DEADLINE) : 0;
    kvm_ok(stasis_x86_clock_set(&guest.machine.vm, 0, &clock, &err), &err);
    kvm_ok(stasis_arch_clocks_restore(guest.machine.vcpus, 1, &clock, &tsc_is_set, &err), &err);
}

/* Thaws the vCPU alone, and its clocks, which come last or before the local APIC. */
static void thaw_by_hand(struct stasis_snap *snap, bool with_deadline, bool clocks_last)
{
    struct stasis_error err;

    kvm_guest_init(&guest, NULL);
    kvm_ok(stasis_snap_load_ram(snap, 0, kvm_guest_ram(&guest, 0, KVM_RAM), 0, NULL, NULL, &err),
           &err);
    for (size_t i = 0; stasis_arch_vcpu_restore_order[i]; i++) {
        if (!clocks_last && stasis_arch_vcpu_restore_order[i] == &stasis_x86_lapic_part)
            set_clocks(snap, with_deadline);
        set_part(snap, stasis_arch_vcpu_restore_order[i]);
    }
    if (clocks_last)
        set_clocks(snap, with_deadline);
    run_thawed(snap);
}

static void right_order_by_hand_keeps_the_tick(void)
{
    thaw_by_hand(freeze_asleep(deadline_guest, sizeof(deadline_guest), true, TIMER_MS), true, true);
    wait_ticks(1);
    kvm_guest_fini(&guest);
}

static void deadline_before_lapic_loses_the_tick(void)
{
    thaw_by_hand(freeze_asleep(deadline_guest, sizeof(deadline_guest), true, TIMER_MS), true,
                 false);
    no_tick_comes();
}

static void no_deadline_loses_the_tick(void)
{
    thaw_by_hand(freeze_asleep(deadline_guest, sizeof(deadline_guest), true, TIMER_MS), false,
                 true);
    no_tick_comes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(armed_deadline),
        KVM_CASE(armed_deadline_with_clock_advance),
        KVM_CASE(armed_deadline_over_generations),
        KVM_CASE(deadline_that_passes_during_the_pause),
        KVM_CASE(right_order_by_hand_keeps_the_tick),
        KVM_CASE(deadline_before_lapic_loses_the_tick),
        KVM_CASE(no_deadline_loses_the_tick),
        KVM_CASE(one_shot),
        KVM_CASE(periodic),
    };
    int missing = kvm_missing();

    if (missing)
        return missing;
    if (has_no_deadline_timer()) {
        printf("skipped: this KVM has no TSC-deadline timer\n");
        return STASIS_TEST_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
