/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How many vCPUs a host runs, by a KVM that answers as the test wants.
 */
#include "support/cmocka_all.h"

#include <string.h>

#include "support/fake_kvm.h"
#include "support/reasons.h"
#include "vmm/arch/arch.h"
#include "vmm/machine/board.h"
#include "vmm/machine/machine.h"

static int check(unsigned flaws, uint32_t vcpus, struct stasis_error *err)
{
    struct stasis_board_state board;
    struct stasis_reasons reasons = {0};
    struct stasis_kvm kvm;
    int rc;

    fake_kvm = (struct fake_kvm){.flaws = flaws};
    assert_int_equal(stasis_kvm_open(&kvm, err), 0);
    stasis_state_init(&stasis_board_schema, &board);
    board.vcpus = vcpus;
    stasis_arch_host_check(&kvm, &board, &reasons);
    rc = reasons_settle(0, &reasons, err);
    stasis_kvm_close(&kvm);
    return rc;
}

static void the_maximum_counts_and_not_the_advice(void **state)
{
    static const struct {
        unsigned flaws;
        uint32_t max;
    } cases[] = {{FAKE_KVM_FEW_VCPUS, 8},
                 {0, 1024},
                 {FAKE_KVM_NO_MAX_VCPUS, 2},
                 {FAKE_KVM_NO_MAX_VCPUS | FAKE_KVM_NO_NR_VCPUS, 4}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_error err;

        assert_int_equal(check(cases[i].flaws, 1, &err), 0);
        assert_int_equal(check(cases[i].flaws, cases[i].max, &err), 0);
        assert_int_equal(check(cases[i].flaws, cases[i].max + 1, &err), STASIS_ERR_HOST);
    }
}

static void both_numbers_and_the_remedy_are_named(void **state)
{
    struct stasis_error err;

    (void)state;
    assert_int_equal(check(FAKE_KVM_FEW_VCPUS, 200, &err), STASIS_ERR_HOST);
    assert_string_equal(err.msg, "the guest has 200 vCPUs, and this host's KVM runs at most 8 in a "
                                 "VM; use a host whose KVM runs more, or start guests with fewer "
                                 "by vcpu.num");
    assert_int_equal(stasis_err_exit_status(err.code), 4);
}

static void what_kvm_lacks_comes_first(void **state)
{
    struct stasis_error err;

    (void)state;
    assert_int_equal(check(FAKE_KVM_LACKS_A_CAP | FAKE_KVM_FEW_VCPUS, 9, &err),
                     STASIS_ERR_UNAVAILABLE);
    assert_string_equal(err.msg, "/dev/kvm lacks an in-kernel PIT; use a newer kernel (and 1 other "
                                 "reason)");
    assert_int_equal(stasis_err_exit_status(err.code), 5);
}

/* Nothing was made by then: neither RAM nor a VM. */
static void number_of_vcpus_is_judged_before_anything_is_built(void **state)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 9, .cpu_model = "host"};
    static const struct stasis_device_host host;
    static struct stasis_machine machine;
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_FEW_VCPUS};
    assert_int_equal(stasis_board_default(&options, &board, &err), 0);
    assert_int_equal(stasis_machine_build(&machine, &board, &host, &err), STASIS_ERR_HOST);
    assert_int_equal(fake_kvm_first(KVM_CREATE_VM), SIZE_MAX);
    assert_int_equal(machine.memory.region_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_maximum_counts_and_not_the_advice),
        cmocka_unit_test(both_numbers_and_the_remedy_are_named),
        cmocka_unit_test(what_kvm_lacks_comes_first),
        cmocka_unit_test(number_of_vcpus_is_judged_before_anything_is_built),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
