/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a guest asks for by an exit and is answered: ports, memory, MSRs, hypercalls; and what KVM
 * should never report of them.
 */
#include "exits_rig.h"

#include <errno.h>
#include <linux/kvm_para.h>
#include <string.h>

/* ---- ports ---- */

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
    (void)port_access(false, 4, 2, EXITS_RUN_SIZE - 8);
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
        {3, 1, 4096},
        {0, 1, 4096},
        {8, 1, 4096},
        {255, 1, 4096},
        {1, UINT32_MAX, 4096},
        {4, 2049, 4096},
        {1, 1, EXITS_RUN_SIZE},
        {1, 1, EXITS_RUN_SIZE + 1},
        {1, 1, UINT64_MAX},
        {4, 1, EXITS_RUN_SIZE - 3},
        {4, 0x40000000, 4096},
        {1, 1, UINT64_MAX - 4095},
        {4, 2, EXITS_RUN_SIZE - 7},
        {2, UINT32_MAX, UINT64_MAX},
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
    vcpu.ops = &exits_none;
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
    vcpu.ops = &exits_none;
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
    for (int i = 0; i < 2; i++, vcpu.ops = &exits_none) {
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
    vcpu.ops = &exits_none;
    assert_int_equal(exit_with(KVM_EXIT_HYPERCALL), 0);
    assert_int_equal((int64_t)run->hypercall.ret, -KVM_ENOSYS);
    run->xen.type = KVM_EXIT_XEN_HCALL;
    assert_int_equal(exit_with(KVM_EXIT_XEN), 0);
    assert_int_equal((int64_t)run->xen.u.hcall.result, -ENOSYS);
    run->hyperv.type = KVM_EXIT_HYPERV_HCALL;
    assert_int_equal(exit_with(KVM_EXIT_HYPERV), 0);
    assert_int_equal(run->hyperv.u.hcall.result, 2);
}

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
