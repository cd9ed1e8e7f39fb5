/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every exit that KVM has, and exits that it should never report, made up in a run page: what the
 * callbacks are told, what KVM is answered, and what becomes of the guest. KVM_RUN is ours
 * (--wrap).
 */
#include "support/cmocka_all.h"

#include <errno.h>
#include <linux/kvm_para.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/kvm_vcpu.h"

#define RUN_SIZE 12288

int __wrap_ioctl(int fd, unsigned long request, ...);

static struct stasis_vcpu vcpu;
static struct kvm_run *run;
static uint64_t exits[STASIS_VCPU_EXIT_REASONS + 1];
static int run_errno; /* KVM_RUN fails with it; 0: it does not */

static uint32_t mp_state;

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;

    assert_int_equal(fd, vcpu.fd);
    if (request == KVM_GET_MP_STATE) {
        va_start(args, request);
        va_arg(args, struct kvm_mp_state *)->mp_state = mp_state;
        va_end(args);
        return 0;
    }
    assert_int_equal(request, KVM_RUN);
    assert_true(stasis_vcpu_is_in_run());
    errno = run_errno;
    return run_errno ? -1 : 0;
}

/* ---- what the callbacks are told ---- */

static struct {
    unsigned reads, writes, failures, events;
    uint64_t at, value, answer;
    unsigned len;
    const char *why;
    uint64_t detail;
    uint32_t msr, msr_why;
    bool handles_msr;
    struct stasis_vcpu_hypercall call;
    struct stasis_vcpu_exit exit;
    enum stasis_vcpu_next next;
    bool stopped;
} told;

static uint64_t on_read(uint64_t at, unsigned len)
{
    assert_false(stasis_vcpu_is_in_run());
    told.reads++;
    told.at = at;
    told.len = len;
    return told.answer++;
}

static void on_write(uint64_t at, unsigned len, uint64_t value)
{
    told.writes++;
    told.at = at;
    told.len = len;
    told.value = value;
}

static uint64_t pio_read(void *ctx, uint16_t port, unsigned len)
{
    assert_ptr_equal(ctx, &told);
    return on_read(port, len);
}

static void pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    assert_ptr_equal(ctx, &told);
    on_write(port, len, value);
}

static uint64_t mmio_read(void *ctx, uint64_t gpa, unsigned len)
{
    assert_ptr_equal(ctx, &told);
    return on_read(gpa, len);
}

static void mmio_write(void *ctx, uint64_t gpa, unsigned len, uint64_t value)
{
    assert_ptr_equal(ctx, &told);
    on_write(gpa, len, value);
}

static void failed(void *ctx, struct stasis_vcpu *from, const char *why, uint64_t detail)
{
    assert_ptr_equal(ctx, &told);
    assert_ptr_equal(from, &vcpu);
    told.failures++;
    told.why = why;
    told.detail = detail;
}

static bool may_run(void *ctx)
{
    assert_ptr_equal(ctx, &told);
    return !told.stopped;
}

static bool rdmsr(void *ctx, uint32_t index, uint32_t why, uint64_t *ret_value)
{
    assert_ptr_equal(ctx, &told);
    assert_int_equal(run->msr.error, 1); /* set before anybody is asked */
    told.msr = index;
    told.msr_why = why;
    *ret_value = told.answer;
    return told.handles_msr;
}

static bool wrmsr(void *ctx, uint32_t index, uint32_t why, uint64_t value)
{
    assert_ptr_equal(ctx, &told);
    assert_int_equal(run->msr.error, 1);
    told.msr = index;
    told.msr_why = why;
    told.value = value;
    return told.handles_msr;
}

static uint64_t hypercall(void *ctx, struct stasis_vcpu *from,
                          const struct stasis_vcpu_hypercall *call)
{
    assert_ptr_equal(ctx, &told);
    assert_ptr_equal(from, &vcpu);
    told.call = *call;
    return told.answer;
}

static enum stasis_vcpu_next event(void *ctx, struct stasis_vcpu *from,
                                   const struct stasis_vcpu_exit *exit)
{
    assert_ptr_equal(ctx, &told);
    assert_ptr_equal(from, &vcpu);
    told.events++;
    told.exit = *exit;
    return told.next;
}

static const struct stasis_exit_ops all = {
    .pio_read = pio_read,
    .pio_write = pio_write,
    .mmio_read = mmio_read,
    .mmio_write = mmio_write,
    .failed = failed,
    .may_run = may_run,
    .rdmsr = rdmsr,
    .wrmsr = wrmsr,
    .hypercall = hypercall,
    .event = event,
};
static const struct stasis_exit_ops none = {.event = NULL};
static const struct stasis_exit_ops only_failed = {.failed = failed};

/* The page has its exact size on the heap, so that ASan sees a byte too many. */
static int set_up(void **state)
{
    (void)state;
    run = calloc(1, RUN_SIZE);
    assert_non_null(run);
    memset(&told, 0, sizeof(told));
    run_errno = 0;
    vcpu = (struct stasis_vcpu){
        .fd = 1000, .run = run, .run_size = RUN_SIZE, .ops = &all, .ctx = &told, .exits = exits};
    memset(exits, 0, sizeof(exits));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(run);
    return 0;
}

static int exit_with(uint32_t reason)
{
    run->exit_reason = reason;
    return stasis_vcpu_run_once(&vcpu);
}

static void assert_failed(int rc, const char *why, uint64_t detail)
{
    assert_int_equal(rc, -1);
    assert_int_equal(told.failures, 1);
    assert_string_equal(told.why, why);
    assert_int_equal(told.detail, detail);
}

/* ---- ports ---- */

static uint8_t *port_access(bool out, uint8_t size, uint32_t count, uint64_t data_offset)
{
    run->io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
    run->io.size = size;
    run->io.port = 0x3f8;
    run->io.count = count;
    run->io.data_offset = data_offset;
    return (uint8_t *)run + 4096;
}

static void each_port_element_is_an_access(void **state)
{
    uint8_t *data;

    (void)state;
    data = port_access(true, 2, 3, 4096);
    memcpy(data, (const uint8_t[]){0x11, 0x22, 0x33, 0x44, 0x55, 0x66}, 6);
    assert_int_equal(exit_with(KVM_EXIT_IO), 0);
    assert_int_equal(told.writes, 3);
    assert_int_equal(told.at, 0x3f8);
    assert_int_equal(told.len, 2);
    assert_int_equal(told.value, 0x6655);
}

/* REP INS of more bytes than a register has. */
static void long_string_input_fills_each_element(void **state)
{
    uint8_t *data = port_access(false, 4, 5, 4096);

    (void)state;
    told.answer = 0xa0a0a0a0;
    assert_int_equal(exit_with(KVM_EXIT_IO), 0);
    assert_int_equal(told.reads, 5);
    for (uint32_t i = 0; i < 5; i++) {
        const uint32_t expected = 0xa0a0a0a0 + i;

        assert_memory_equal(data + 4 * (size_t)i, &expected, 4);
    }
    assert_int_equal(data[20], 0);
}

static void the_last_element_may_end_at_the_end_of_the_page(void **state)
{
    (void)state;
    (void)port_access(false, 4, 2, RUN_SIZE - 8);
    assert_int_equal(exit_with(KVM_EXIT_IO), 0);
    assert_int_equal(told.reads, 2);
}

static void unsound_port_accesses_end_the_guest(void **state)
{
    static const struct {
        uint8_t size;
        uint32_t count;
        uint64_t data_offset;
    } unsound[] = {
        {3, 1, 4096},          {0, 1, 4096},
        {8, 1, 4096},          {255, 1, 4096},
        {1, UINT32_MAX, 4096}, {4, 2049, 4096},
        {1, 1, RUN_SIZE},      {1, 1, RUN_SIZE + 1},
        {1, 1, UINT64_MAX},    {4, 1, RUN_SIZE - 3},
        {4, 0x40000000, 4096}, {1, 1, UINT64_MAX - 4095},
        {4, 2, RUN_SIZE - 7},  {2, UINT32_MAX, UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(unsound) / sizeof(unsound[0]); i++) {
        for (int out = 0; out < 2; out++) {
            memset(&told, 0, sizeof(told));
            (void)port_access(out, unsound[i].size, unsound[i].count, unsound[i].data_offset);
            assert_failed(exit_with(KVM_EXIT_IO),
                          "KVM reports a port access that is outside its page", 0x3f8);
            assert_int_equal(told.reads + told.writes, 0);
        }
    }
}

static void no_elements_are_no_access(void **state)
{
    (void)state;
    (void)port_access(true, 1, 0, 4096);
    assert_int_equal(exit_with(KVM_EXIT_IO), 0);
    assert_int_equal(told.writes, 0);
}

static void ports_that_nobody_handles_read_all_ones(void **state)
{
    uint8_t *data = port_access(false, 4, 2, 4096);

    (void)state;
    vcpu.ops = &none;
    assert_int_equal(exit_with(KVM_EXIT_IO), 0);
    assert_memory_equal(data, "\xff\xff\xff\xff\xff\xff\xff\xff\0", 9);
    run->io.direction = KVM_EXIT_IO_OUT;
    assert_int_equal(exit_with(KVM_EXIT_IO), 0);
}

/* ---- memory ---- */

static void memory_accesses_of_every_length(void **state)
{
    (void)state;
    for (unsigned len = 1; len <= 8; len++) {
        const uint64_t mask = UINT64_MAX >> (64 - 8 * len);

        run->mmio.phys_addr = 0xd0000000;
        run->mmio.len = len;
        run->mmio.is_write = 1;
        memcpy(run->mmio.data, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
        assert_int_equal(exit_with(KVM_EXIT_MMIO), 0);
        assert_int_equal(told.len, len);
        assert_int_equal(told.at, 0xd0000000);
        assert_true(told.value == (UINT64_C(0x8877665544332211) & mask));
        run->mmio.is_write = 0;
        told.answer = len;
        assert_int_equal(exit_with(KVM_EXIT_MMIO), 0);
        assert_int_equal(run->mmio.data[0], len);
    }
}

static void unsound_memory_accesses_end_the_guest(void **state)
{
    static const uint32_t unsound[] = {0, 9, 16, 255, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(unsound) / sizeof(unsound[0]); i++) {
        for (uint8_t write = 0; write < 2; write++) {
            memset(&told, 0, sizeof(told));
            run->mmio.len = unsound[i];
            run->mmio.is_write = write;
            assert_failed(exit_with(KVM_EXIT_MMIO),
                          "KVM reports an access to memory of a length that none has", unsound[i]);
        }
    }
}

static void memory_that_nobody_handles_reads_all_ones(void **state)
{
    (void)state;
    vcpu.ops = &none;
    run->mmio.len = 4;
    assert_int_equal(exit_with(KVM_EXIT_MMIO), 0);
    assert_memory_equal(run->mmio.data, "\xff\xff\xff\xff", 4);
    run->mmio.is_write = 1;
    assert_int_equal(exit_with(KVM_EXIT_MMIO), 0);
}

/* ---- MSRs ---- */

static void an_msr_that_is_handled_has_no_error(void **state)
{
    (void)state;
    told.handles_msr = true;
    told.answer = 0x1234567887654321;
    run->msr.index = 0x1b;
    run->msr.reason = KVM_MSR_EXIT_REASON_FILTER;
    assert_int_equal(exit_with(KVM_EXIT_X86_RDMSR), 0);
    assert_int_equal(run->msr.error, 0);
    assert_true(run->msr.data == UINT64_C(0x1234567887654321));
    assert_int_equal(told.msr, 0x1b);
    assert_int_equal(told.msr_why, KVM_MSR_EXIT_REASON_FILTER);
    run->msr.data = 77;
    assert_int_equal(exit_with(KVM_EXIT_X86_WRMSR), 0);
    assert_int_equal(run->msr.error, 0);
    assert_int_equal(told.value, 77);
}

static void an_msr_that_is_not_handled_injects_gp(void **state)
{
    (void)state;
    run->msr.data = 5;
    for (int i = 0; i < 2; i++, vcpu.ops = &none) {
        run->msr.error = 0;
        assert_int_equal(exit_with(KVM_EXIT_X86_RDMSR), 0);
        assert_int_equal(run->msr.error, 1);
        assert_int_equal(run->msr.data, 5);
        run->msr.error = 0;
        assert_int_equal(exit_with(KVM_EXIT_X86_WRMSR), 0);
        assert_int_equal(run->msr.error, 1);
    }
}

/* ---- hypercalls ---- */

static void hypercalls_of_three_interfaces(void **state)
{
    (void)state;
    told.answer = 0x55;
    run->hypercall.nr = 12;
    run->hypercall.args[5] = 6;
    run->hypercall.longmode = 1;
    assert_int_equal(exit_with(KVM_EXIT_HYPERCALL), 0);
    assert_int_equal(run->hypercall.ret, 0x55);
    assert_int_equal(told.call.abi, STASIS_HYPERCALL_KVM);
    assert_int_equal(told.call.nr, 12);
    assert_int_equal(told.call.args[5], 6);
    assert_true(told.call.long_mode);

    memset(run, 0, sizeof(*run));
    run->xen.type = KVM_EXIT_XEN_HCALL;
    run->xen.u.hcall.input = 17;
    run->xen.u.hcall.cpl = 3;
    run->xen.u.hcall.params[5] = 8;
    assert_int_equal(exit_with(KVM_EXIT_XEN), 0);
    assert_int_equal(run->xen.u.hcall.result, 0x55);
    assert_int_equal(told.call.abi, STASIS_HYPERCALL_XEN);
    assert_int_equal(told.call.nr, 17);
    assert_int_equal(told.call.cpl, 3);
    assert_int_equal(told.call.args[5], 8);
    assert_false(told.call.long_mode);

    memset(run, 0, sizeof(*run));
    run->hyperv.type = KVM_EXIT_HYPERV_HCALL;
    run->hyperv.u.hcall.input = 0x5c;
    run->hyperv.u.hcall.params[1] = 9;
    assert_int_equal(exit_with(KVM_EXIT_HYPERV), 0);
    assert_int_equal(run->hyperv.u.hcall.result, 0x55);
    assert_int_equal(told.call.abi, STASIS_HYPERCALL_HYPERV);
    assert_int_equal(told.call.nr, 0x5c);
    assert_int_equal(told.call.args[1], 9);
    assert_int_equal(told.call.args[2], 0);
    assert_int_equal(told.events, 0);
}

static void hypercalls_that_nobody_handles_do_not_exist(void **state)
{
    (void)state;
    vcpu.ops = &none;
    assert_int_equal(exit_with(KVM_EXIT_HYPERCALL), 0);
    assert_int_equal((int64_t)run->hypercall.ret, -KVM_ENOSYS);
    run->xen.type = KVM_EXIT_XEN_HCALL;
    assert_int_equal(exit_with(KVM_EXIT_XEN), 0);
    assert_int_equal((int64_t)run->xen.u.hcall.result, -ENOSYS);
    run->hyperv.type = KVM_EXIT_HYPERV_HCALL;
    assert_int_equal(exit_with(KVM_EXIT_HYPERV), 0);
    assert_int_equal(run->hyperv.u.hcall.result, 2);
}

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
    vcpu.ops = &only_failed;
    for (size_t i = 0; i < sizeof(run_on) / sizeof(run_on[0]); i++)
        assert_int_equal(exit_with(run_on[i]), 0);
    assert_int_equal(told.failures, 0);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        memset(&told, 0, sizeof(told));
        assert_failed(exit_with(ends[i].reason), ends[i].why, ends[i].reason);
    }
    vcpu.ops = &none; /* and nobody to tell */
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

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_port_element_is_an_access),
        CASE(long_string_input_fills_each_element),
        CASE(the_last_element_may_end_at_the_end_of_the_page),
        CASE(unsound_port_accesses_end_the_guest),
        CASE(no_elements_are_no_access),
        CASE(ports_that_nobody_handles_read_all_ones),
        CASE(memory_accesses_of_every_length),
        CASE(unsound_memory_accesses_end_the_guest),
        CASE(memory_that_nobody_handles_reads_all_ones),
        CASE(an_msr_that_is_handled_has_no_error),
        CASE(an_msr_that_is_not_handled_injects_gp),
        CASE(hypercalls_of_three_interfaces),
        CASE(hypercalls_that_nobody_handles_do_not_exist),
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
