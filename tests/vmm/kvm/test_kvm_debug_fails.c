/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What KVM_SET_GUEST_DEBUG is given, and what it is not asked for.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <string.h>

#include "stasis/kvm_debug.h"

static struct stasis_vcpu vcpu = {.fd = -1};
static struct kvm_guest_debug given;
static unsigned calls;
static struct stasis_error err;

static bool answer(unsigned long request, void *arg, int *ret_result)
{
    assert_int_equal(request, KVM_SET_GUEST_DEBUG);
    given = *(struct kvm_guest_debug *)arg;
    calls++;
    *ret_result = 0;
    return true;
}

static int set_up(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answer};
    memset(&given, 0xa5, sizeof(given));
    calls = 0;
    return 0;
}

static void set(const struct stasis_vcpu_debug *debug)
{
    assert_int_equal(stasis_vcpu_set_debug(&vcpu, debug, &err), 0);
}

static void no_debugging_is_no_control(void **state)
{
    (void)state;
    set(NULL);
    assert_int_equal(given.control, 0);
    assert_int_equal(given.arch.debugreg[7], 0);
}

static void steps_and_int3_are_flags(void **state)
{
    struct stasis_vcpu_debug debug = {.single_step = true};

    (void)state;
    set(&debug);
    assert_int_equal(given.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
    debug = (struct stasis_vcpu_debug){.software = true};
    set(&debug);
    assert_int_equal(given.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
    debug = (struct stasis_vcpu_debug){.count = 0};
    set(&debug);
    assert_int_equal(given.control, KVM_GUESTDBG_ENABLE);
}

/* DR7 = 0x600 | 2 << 2i, as for any debugger that stops at instructions. */
static void breakpoints_are_in_dr7(void **state)
{
    static const uint64_t dr7[] = {0, 0x602, 0x60a, 0x62a, 0x6aa};
    struct stasis_vcpu_debug debug = {.count = 0};

    (void)state;
    for (uint32_t n = 1; n <= 4; n++) {
        debug.breakpoints[n - 1] = (struct stasis_breakpoint){.address = 0x1000 + n, .len = 1};
        debug.count = n;
        set(&debug);
        assert_int_equal(given.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP);
        assert_int_equal(given.arch.debugreg[7], dr7[n]);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(given.arch.debugreg[i], 0x1001 + i);
    }
}

static void watchpoints_have_kind_and_length(void **state)
{
    const struct stasis_vcpu_debug debug = {
        .count = 4,
        .breakpoints = {{0x1001, STASIS_BREAK_WRITE, 1},
                        {0x1002, STASIS_BREAK_ACCESS, 2},
                        {0x1004, STASIS_BREAK_WRITE, 4},
                        {0x1008, STASIS_BREAK_ACCESS, 8}},
    };

    (void)state;
    set(&debug);
    assert_true(given.arch.debugreg[7] == UINT64_C(0xbd7106aa));
}

static void refused(const struct stasis_vcpu_debug *debug, const char *text)
{
    assert_int_equal(stasis_vcpu_set_debug(&vcpu, debug, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EINVAL);
    assert_non_null(strstr(err.msg, text));
    assert_int_equal(calls, 0);
}

static void five_breakpoints_einval(void **state)
{
    struct stasis_vcpu_debug debug = {.count = 5};

    (void)state;
    refused(&debug, "5 breakpoints: a CPU has 4");
    debug.count = UINT32_MAX;
    refused(&debug, "breakpoints: a CPU has 4");
}

static void impossible_breakpoints_einval(void **state)
{
    static const struct stasis_breakpoint impossible[] = {
        {0x1000, STASIS_BREAK_EXECUTE, 2}, {0x1000, STASIS_BREAK_EXECUTE, 0},
        {0x1000, STASIS_BREAK_WRITE, 0},   {0x1000, STASIS_BREAK_WRITE, 3},
        {0x1000, STASIS_BREAK_WRITE, 16},  {0x1000, STASIS_BREAK_WRITE, 255},
        {0x1001, STASIS_BREAK_WRITE, 2},   {0x1002, STASIS_BREAK_ACCESS, 4},
        {0x1004, STASIS_BREAK_ACCESS, 8},  {0x1000, (enum stasis_breakpoint_kind)2, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        struct stasis_vcpu_debug debug = {
            .count = 2, .breakpoints = {{0x1000, STASIS_BREAK_EXECUTE, 1}, impossible[i]}};

        refused(&debug, "breakpoint 1 at 0x100");
    }
}

static void a_kvm_that_refuses_is_named(void **state)
{
    (void)state;
    fake_kvm.fail_at = 1;
    fake_kvm.fail_errno = EBUSY;
    assert_int_equal(stasis_vcpu_set_debug(&vcpu, NULL, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EBUSY);
    assert_non_null(strstr(err.msg, "KVM_SET_GUEST_DEBUG"));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, NULL)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(no_debugging_is_no_control),  CASE(steps_and_int3_are_flags),
        CASE(breakpoints_are_in_dr7),      CASE(watchpoints_have_kind_and_length),
        CASE(five_breakpoints_einval),     CASE(impossible_breakpoints_einval),
        CASE(a_kvm_that_refuses_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
