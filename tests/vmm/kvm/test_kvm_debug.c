/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A debugger outside the guest: steps and breakpoints of the real KVM.
 */
#include "vcpu_rig.h"

#include <errno.h>
#include <string.h>

#include "stasis/kvm_debug.h"

#define DR6_STEP 0x4000

static struct rig rig;

#define OK(call) kvm_ok(call, &rig.err)

static const uint8_t payload[] = {
    0x90, 0x90, 0x90, /* 0x1000: nop */
    0xb0, 0x07,       /* 0x1003: mov al, 7 */
    0xe6, 0x80,       /* 0x1005: out 0x80, al */
    0xcc,             /* 0x1007: int3 */
    0xe6, 0x81,       /* 0x1008: out 0x81, al */
    0xf4,             /* hlt */
};
static const uint8_t int3_handler[] = {0xe6, 0x83, 0xcf}; /* out 0x83, al; iret */

static void start(void)
{
    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    memcpy(rig_ram(&rig, 0x1800), int3_handler, sizeof(int3_handler));
    rig_vector(&rig, 3, 0x1800);
}

static void single_steps_stop_after_each_instruction(void)
{
    static const uint64_t places[] = {0x1001, 0x1002, 0x1003, 0x1005};
    const struct stasis_vcpu_debug debug = {.single_step = true};

    if (kvm_rig_is("bochs"))
        kvm_case_skip("Bochs 2.7 stops at the first instruction, not behind it");
    start();
    OK(stasis_vcpu_set_debug(&rig.vcpu, &debug, &rig.err));
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        rig_run_to(&rig, KVM_EXIT_DEBUG);
        assert_int_equal(rig.exit.debug.pc, places[i]);
        assert_true(rig.exit.debug.dr6 & DR6_STEP);
    }
    OK(stasis_vcpu_set_debug(&rig.vcpu, NULL, &rig.err));
    rig_run(&rig, 1);
    assert_int_equal(rig.log[0].value, 7);
    rig_fini(&rig);
}

static void hardware_breakpoints_stop_before_the_instruction(void)
{
    const struct stasis_vcpu_debug debug = {
        .count = 2,
        .breakpoints = {{0x1003, STASIS_BREAK_EXECUTE, 1}, {0x1002, STASIS_BREAK_EXECUTE, 1}},
    };

    start();
    OK(stasis_vcpu_set_debug(&rig.vcpu, &debug, &rig.err));
    while (stasis_vcpu_run_once(&rig.vcpu) >= 0)
        ;
    if (rig.exit.reason == KVM_EXIT_HLT) { /* QEMU's SVM loads DR7 and does not obey it */
        rig_fini(&rig);
        kvm_case_skip("this CPU takes breakpoints of a guest and does not stop at them");
    }
    assert_int_equal(rig.exit.reason, KVM_EXIT_DEBUG);
    assert_int_equal(rig.exit.debug.pc, 0x1002);
    assert_true(rig.exit.debug.dr6 & 2);
    OK(stasis_vcpu_set_debug(&rig.vcpu, NULL, &rig.err));
    rig_run(&rig, 1);
    assert_int_equal(rig.log[0].at, 0x80);
    rig_fini(&rig);
}

static void five_breakpoints_einval(void)
{
    const struct stasis_vcpu_debug debug = {.count = 5};

    start();
    rig_refuses(&rig, stasis_vcpu_set_debug(&rig.vcpu, &debug, &rig.err), EINVAL);
    rig_fini(&rig);
}

/* Of the debugger's, or else of the guest's. */
static void int3_is_the_debuggers(void)
{
    const struct stasis_vcpu_debug debug = {.software = true};

    start();
    OK(stasis_vcpu_set_debug(&rig.vcpu, &debug, &rig.err));
    rig_run(&rig, 1);
    while (rig.count < 2 && stasis_vcpu_run_once(&rig.vcpu) >= 0)
        ;
    if (rig.count == 2 && rig.log[1].at == 0x83) {
        rig_fini(&rig);
        kvm_case_skip("this KVM gives the guest its int3 in spite of the debugger");
    }
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.exit.reason, KVM_EXIT_DEBUG);
    assert_int_equal(rig.exit.debug.exception, 3);
    assert_int_equal(rig.exit.debug.pc, 0x1007);
    OK(stasis_vcpu_set_debug(&rig.vcpu, NULL, &rig.err));
    rig_run(&rig, 2);
    assert_int_equal(rig.log[1].at, 0x83);
    rig_fini(&rig);
}

static void int3_is_the_guests_without_debugger(void)
{
    start();
    rig_run(&rig, 3);
    assert_int_equal(rig.log[1].at, 0x83);
    assert_int_equal(rig.log[2].at, 0x81);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(single_steps_stop_after_each_instruction),
        KVM_CASE(hardware_breakpoints_stop_before_the_instruction),
        KVM_CASE(five_breakpoints_einval),
        KVM_CASE(int3_is_the_debuggers),
        KVM_CASE(int3_is_the_guests_without_debugger),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
