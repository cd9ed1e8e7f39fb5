/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every other exit that KVM has, and some that it should never report: what the callbacks are told,
 * and what becomes of the guest; and a KVM_RUN that fails.
 */
#include "exits_rig.h"

#include <errno.h>
#include <string.h>

/* ---- events ---- */

static bool is_access(uint32_t reason)
{
    switch (reason) {
    case KVM_EXIT_IO:
    case KVM_EXIT_MMIO:
    case KVM_EXIT_HYPERCALL:
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return true;
    default:
        return false;
    }
}

/* Known and unknown alike: the callback decides, and nothing aborts. */
static void every_other_reason_is_one_event(void **state)
{
    (void)state;
    for (uint32_t reason = 0; reason < 300; reason++) {
        if (is_access(reason))
            continue;
        for (int next = STASIS_VCPU_RUN_ON; next <= STASIS_VCPU_END; next++) {
            memset(run, 0xff, sizeof(*run));
            memset(&told, 0, sizeof(told));
            told.next = (enum stasis_vcpu_next)next;
            assert_int_equal(exit_with(reason), next == STASIS_VCPU_RUN_ON ? 0 : -1);
            assert_int_equal(told.events, 1);
            assert_int_equal(told.failures, 0);
            assert_int_equal(told.exit.reason, reason);
            assert_int_equal(told.exit.flags, 0xffff);
            assert_string_equal(told.exit.name, stasis_vcpu_exit_name(reason));
        }
    }
}

static void reasons_have_names(void **state)
{
    static const char *const names[] = {
#define NAME(number, name, why) [number] = #name,
        STASIS_VCPU_EXITS(NAME)
#undef NAME
    };

    (void)state;
    assert_int_equal(sizeof(names) / sizeof(names[0]), 41);
    for (uint32_t i = 0; i < 41; i++) {
        assert_non_null(names[i]);
        assert_string_equal(stasis_vcpu_exit_name(i), names[i]);
    }
    assert_string_equal(stasis_vcpu_exit_name(41), "other");
    assert_string_equal(stasis_vcpu_exit_name(UINT32_MAX), "other");
    assert_string_equal(stasis_vcpu_exit_name(KVM_EXIT_SYSTEM_EVENT), "system_event");
    assert_string_equal(stasis_vcpu_exit_name(KVM_EXIT_NOTIFY), "notify");
    assert_string_equal(stasis_vcpu_exit_name(KVM_EXIT_DIRTY_RING_FULL), "dirty_ring_full");
}

static void defaults_run_on_or_end_with_the_reason(void **state)
{
    static const uint32_t run_on[] = {
        KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_INTR,         KVM_EXIT_SET_TPR,
        KVM_EXIT_TPR_ACCESS,      KVM_EXIT_NMI,          KVM_EXIT_IOAPIC_EOI,
        KVM_EXIT_HYPERV,          KVM_EXIT_X86_BUS_LOCK, KVM_EXIT_NOTIFY};
    static const struct {
        uint32_t reason;
        const char *why;
    } ends[] = {
        {KVM_EXIT_HLT, "HLT, and KVM has no interrupt controller that could wake it"},
        {KVM_EXIT_DIRTY_RING_FULL, "its dirty ring is full, and nobody empties it"},
        {KVM_EXIT_XEN, "KVM exit that this VMM does not know"},
        {KVM_EXIT_AP_RESET_HOLD, "KVM exit that this VMM does not know"},
        {299, "KVM exit that this VMM does not know"},
    };

    (void)state;
    vcpu.ops = &exits_only_failed;
    for (size_t i = 0; i < sizeof(run_on) / sizeof(run_on[0]); i++)
        assert_int_equal(exit_with(run_on[i]), 0);
    assert_int_equal(told.failures, 0);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        memset(&told, 0, sizeof(told));
        assert_failed(exit_with(ends[i].reason), ends[i].why, ends[i].reason);
    }
    vcpu.ops = &exits_none; /* and nobody to tell */
    assert_int_equal(exit_with(299), -1);
}

static void a_triple_fault_has_no_detail(void **state)
{
    (void)state;
    run->hw.hardware_exit_reason = 99;
    assert_failed(exit_with(KVM_EXIT_SHUTDOWN), "triple fault", 0);
    assert_int_equal(told.events, 1);
}

static void system_events_of_every_type_bring_their_data(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < 10; type++) {
        memset(&told, 0, sizeof(told));
        run->system_event.type = type;
        run->system_event.ndata = 2;
        run->system_event.data[0] = 7;
        run->system_event.data[1] = 8;
        assert_failed(exit_with(KVM_EXIT_SYSTEM_EVENT), "KVM system event", type);
        assert_int_equal(told.exit.system_event.type, type);
        assert_int_equal(told.exit.system_event.count, 2);
        assert_int_equal(told.exit.system_event.data[1], 8);
    }
}

static void counts_of_data_are_bounded(void **state)
{
    static const uint32_t counts[] = {0, 1, 16, 17, 255, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const uint32_t expected = counts[i] < 16 ? counts[i] : 16;

        run->system_event.ndata = counts[i];
        (void)exit_with(KVM_EXIT_SYSTEM_EVENT);
        assert_int_equal(told.exit.system_event.count, expected);
        run->internal.ndata = counts[i];
        (void)exit_with(KVM_EXIT_INTERNAL_ERROR);
        assert_int_equal(told.exit.internal_error.count, expected);
    }
}

static void internal_errors_bring_their_data(void **state)
{
    (void)state;
    run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
    run->internal.ndata = 16;
    run->internal.data[15] = 15;
    assert_failed(exit_with(KVM_EXIT_INTERNAL_ERROR),
                  "KVM internal error (an instruction it cannot emulate?)", 3);
    assert_int_equal(told.exit.internal_error.suberror, 3);
    assert_int_equal(told.exit.internal_error.data[15], 15);
}

static void failed_entries_name_the_cpu(void **state)
{
    (void)state;
    run->fail_entry.hardware_entry_failure_reason = 0x80000021;
    run->fail_entry.cpu = 3;
    assert_failed(exit_with(KVM_EXIT_FAIL_ENTRY), "the CPU refused to enter it", 0x80000021);
    assert_int_equal(told.exit.fail_entry.cpu, 3);
}

static void unknown_hardware_reasons_are_named(void **state)
{
    (void)state;
    run->hw.hardware_exit_reason = 0x77;
    assert_failed(exit_with(KVM_EXIT_UNKNOWN),
                  "the CPU left it for a reason that KVM does not know", 0x77);
    run->ex.exception = 13;
    run->ex.error_code = 4;
    memset(&told, 0, sizeof(told));
    assert_failed(exit_with(KVM_EXIT_EXCEPTION), "KVM reports an exception", 13);
    assert_int_equal(told.exit.exception.error_code, 4);
}

static void debug_events_bring_the_debug_registers(void **state)
{
    (void)state;
    run->debug.arch.exception = 1;
    run->debug.arch.pc = 0x1003;
    run->debug.arch.dr6 = 0x4000;
    run->debug.arch.dr7 = 0x400;
    assert_failed(exit_with(KVM_EXIT_DEBUG), "a debug event, and no debugger", 0x1003);
    assert_int_equal(told.exit.debug.exception, 1);
    assert_int_equal(told.exit.debug.dr6, 0x4000);
    assert_int_equal(told.exit.debug.dr7, 0x400);
}

static void small_events_bring_their_data(void **state)
{
    (void)state;
    run->cr8 = 9;
    assert_int_equal(exit_with(KVM_EXIT_SET_TPR), 0);
    assert_int_equal(told.exit.set_tpr, 9);
    run->tpr_access.rip = 0x1234;
    run->tpr_access.is_write = 1;
    assert_int_equal(exit_with(KVM_EXIT_TPR_ACCESS), 0);
    assert_int_equal(told.exit.tpr_access.rip, 0x1234);
    assert_int_equal(told.exit.tpr_access.is_write, 1);
    run->eoi.vector = 0x31;
    assert_int_equal(exit_with(KVM_EXIT_IOAPIC_EOI), 0);
    assert_int_equal(told.exit.ioapic_eoi_vector, 0x31);
    run->hyperv.type = KVM_EXIT_HYPERV_SYNIC;
    run->hyperv.u.synic.evt_page = 0x5000;
    assert_int_equal(exit_with(KVM_EXIT_HYPERV), 0);
    assert_int_equal(told.exit.hyperv.u.synic.evt_page, 0x5000);
    run->xen.type = 99;
    run->xen.u.hcall.input = 3;
    assert_failed(exit_with(KVM_EXIT_XEN), "KVM exit that this VMM does not know", 34);
    assert_int_equal(told.exit.xen.type, 99);
}

static void a_notify_without_context_ends_the_guest(void **state)
{
    (void)state;
    run->notify.flags = 0;
    assert_int_equal(exit_with(KVM_EXIT_NOTIFY), 0);
    run->notify.flags = KVM_NOTIFY_CONTEXT_INVALID | 4;
    assert_failed(exit_with(KVM_EXIT_NOTIFY), "it hung the CPU, and its state is lost", 5);
}

static void a_reason_from_the_future_brings_what_kvm_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(run->padding); i++)
        run->padding[i] = (char)i;
    assert_failed(exit_with(41), "KVM exit that this VMM does not know", 41);
    assert_memory_equal(told.exit.raw, run->padding, sizeof(told.exit.raw));
    assert_string_equal(told.exit.name, "other");
}

/* What the stack may hold where the event is made. */
__attribute__((noinline)) static void soil_stack(void)
{
    volatile uint8_t soil[8192];

    for (size_t i = 0; i < sizeof(soil); i++)
        soil[i] = 0xa5;
}

static void what_kvm_does_not_say_is_zero(void **state)
{
    static const uint8_t zero[sizeof(told.exit.raw)];

    (void)state;
    memset(run->padding, 0x5a, sizeof(run->padding));
    soil_stack();
    assert_int_equal(exit_with(KVM_EXIT_INTR), 0);
    assert_memory_equal(told.exit.raw, zero, sizeof(zero));
    soil_stack();
    assert_int_equal(exit_with(KVM_EXIT_IOAPIC_EOI), 0);
    assert_int_equal(told.exit.ioapic_eoi_vector, 0x5a);
    assert_memory_equal(told.exit.raw + 1, zero, sizeof(zero) - 1);
}

/* ---- KVM_RUN fails ---- */

static void signals_interrupt(void **state)
{
    (void)state;
    run_errno = EINTR;
    assert_int_equal(exit_with(KVM_EXIT_SHUTDOWN), 1);
    run_errno = EAGAIN;
    assert_int_equal(exit_with(KVM_EXIT_SHUTDOWN), 1);
    assert_false(stasis_vcpu_is_in_run());
    assert_int_equal(told.events + told.failures, 0);
}

/* Once is how a vCPU learns of its SIPI, and any number of times while it waits for it. */
static void a_vcpu_that_never_gets_to_run_fails(void **state)
{
    (void)state;
    run_errno = EAGAIN;
    mp_state = KVM_MP_STATE_UNINITIALIZED;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(exit_with(KVM_EXIT_SHUTDOWN), 1);
    mp_state = KVM_MP_STATE_RUNNABLE;
    assert_int_equal(exit_with(KVM_EXIT_SHUTDOWN), 1);
    run_errno = 0;
    told.next = STASIS_VCPU_RUN_ON;
    assert_int_equal(exit_with(KVM_EXIT_SHUTDOWN), 0);
    run_errno = EAGAIN;
    assert_int_equal(exit_with(KVM_EXIT_SHUTDOWN), 1);
    assert_int_equal(told.failures, 0);
    assert_failed(exit_with(KVM_EXIT_SHUTDOWN),
                  "KVM cannot start a thread, for which the limit of threads (ulimit -u, pids.max) "
                  "may be too low",
                  EAGAIN);
}

/* Two of each reason, an interrupted run between them, and a failed one, which is no exit. */
static void exits_are_counted_by_reason(void **state)
{
    const uint32_t count = STASIS_VCPU_EXIT_REASONS + 5;

    (void)state;
    told.next = STASIS_VCPU_RUN_ON;
    for (uint32_t reason = 0; reason < count; reason++) {
        (void)!exit_with(reason);
        run_errno = EINTR;
        (void)!exit_with(reason);
        run_errno = EBADF;
        (void)!exit_with(reason);
        run_errno = 0;
        (void)!exit_with(reason);
    }
    for (uint32_t reason = 0; reason < STASIS_VCPU_EXIT_REASONS; reason++)
        assert_int_equal(stasis_vcpu_exit_count(&vcpu, reason),
                         reason == STASIS_VCPU_EXIT_intr ? 2 + count : 2);
    assert_int_equal(stasis_vcpu_exit_count(&vcpu, STASIS_VCPU_EXIT_REASONS), 10);
    assert_int_equal(stasis_vcpu_exit_count(&vcpu, UINT32_MAX), 10);
}

static void a_vcpu_without_counters_has_counted_nothing(void **state)
{
    (void)state;
    vcpu.exits = NULL;
    told.next = STASIS_VCPU_RUN_ON;
    assert_int_equal(exit_with(KVM_EXIT_INTR), 0);
    assert_int_equal(stasis_vcpu_exit_count(&vcpu, STASIS_VCPU_EXIT_intr), 0);
}

static void memory_faults_come_with_efault(void **state)
{
    const uint64_t fault[3] = {8, 0x7000, 0x1000};

    (void)state;
    memcpy(run->padding, fault, sizeof(fault));
    run_errno = EFAULT;
    told.next = STASIS_VCPU_RUN_ON; /* somebody has mapped it */
    assert_int_equal(exit_with(STASIS_VCPU_EXIT_memory_fault), 0);
    assert_int_equal(told.exit.memory_fault.flags, 8);
    assert_int_equal(told.exit.memory_fault.gpa, 0x7000);
    assert_int_equal(told.exit.memory_fault.size, 0x1000);
    told.next = STASIS_VCPU_DEFAULT;
    assert_failed(exit_with(STASIS_VCPU_EXIT_memory_fault),
                  "the host cannot provide memory that it uses", 0x7000);
    run_errno = EHWPOISON;
    memset(&told, 0, sizeof(told));
    assert_failed(exit_with(STASIS_VCPU_EXIT_memory_fault),
                  "the host cannot provide memory that it uses", 0x7000);
}

static void other_errors_end_the_guest(void **state)
{
    (void)state;
    run_errno = EFAULT; /* as before Linux 6.8: the reason is that of an earlier exit */
    assert_failed(exit_with(KVM_EXIT_IO), strerror(EFAULT), EFAULT);
    memset(&told, 0, sizeof(told));
    run_errno = EINVAL;
    assert_failed(exit_with(STASIS_VCPU_EXIT_memory_fault), strerror(EINVAL), EINVAL);
}

static void an_owner_that_says_no_ends_the_run(void **state)
{
    (void)state;
    told.stopped = true;
    told.next = STASIS_VCPU_RUN_ON;
    (void)port_access(true, 1, 1, 4096);
    assert_int_equal(exit_with(KVM_EXIT_IO), -1);
    assert_int_equal(told.writes, 1);
    assert_int_equal(exit_with(KVM_EXIT_INTR), -1);
    assert_int_equal(told.failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_other_reason_is_one_event),
        CASE(reasons_have_names),
        CASE(defaults_run_on_or_end_with_the_reason),
        CASE(a_triple_fault_has_no_detail),
        CASE(system_events_of_every_type_bring_their_data),
        CASE(counts_of_data_are_bounded),
        CASE(internal_errors_bring_their_data),
        CASE(failed_entries_name_the_cpu),
        CASE(unknown_hardware_reasons_are_named),
        CASE(debug_events_bring_the_debug_registers),
        CASE(small_events_bring_their_data),
        CASE(a_notify_without_context_ends_the_guest),
        CASE(a_reason_from_the_future_brings_what_kvm_left),
        CASE(what_kvm_does_not_say_is_zero),
        CASE(signals_interrupt),
        CASE(a_vcpu_that_never_gets_to_run_fails),
        CASE(exits_are_counted_by_reason),
        CASE(a_vcpu_without_counters_has_counted_nothing),
        CASE(memory_faults_come_with_efault),
        CASE(other_errors_end_the_guest),
        CASE(an_owner_that_says_no_ends_the_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
