/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * MSRs that the host refuses, by a KVM that answers as the test wants.
 */
#include "support/cmocka_all.h"

#include <string.h>

#include "support/fake_kvm.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/machine/board.h"
#include "vmm/machine/machine.h"

static struct stasis_machine machine;
static uint32_t refused_from, refused_to; /* indices */
static uint64_t held;                     /* value of each */

static bool is_refused(const struct kvm_msr_entry *entry)
{
    return entry->index >= refused_from && entry->index < refused_to;
}

/* As KVM: stops at the first that it refuses. */
static bool answer(unsigned long request, void *arg, int *ret_result)
{
    struct kvm_msrs *msrs = arg;
    uint32_t i = 0;

    if (request == KVM_SET_MSRS) {
        while (i < msrs->nmsrs && !is_refused(&msrs->entries[i]))
            i++;
        *ret_result = (int)i;
    } else if (request == KVM_GET_MSRS) {
        for (; i < msrs->nmsrs; i++)
            msrs->entries[i].data = held;
        *ret_result = (int)i;
    } else {
        return false;
    }
    return true;
}

static int setup(void **state)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host"};
    static const struct stasis_device_host host;
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answer};
    refused_from = refused_to = 0;
    assert_int_equal(stasis_board_default(&options, &board, &err), 0);
    board.devices_count = 0;
    return stasis_machine_build(&machine, &board, &host, &err);
}

static int teardown(void **state)
{
    (void)state;
    stasis_machine_fini(&machine);
    return 0;
}

/* Sets MSRs 0x1000 to 0x1000 + count - 1, of which those of refuse..refuse_end-1 are refused. */
static int set(uint32_t count, uint32_t refuse, uint32_t refuse_end, struct stasis_error *err)
{
    static struct stasis_x86_msrs_state msrs;

    stasis_state_init(&stasis_x86_msrs_schema, &msrs);
    msrs.msrs_count = count;
    for (uint32_t i = 0; i < count; i++)
        msrs.msrs[i] = (struct stasis_x86_msr_state){.index = 0x1000 + i, .value = i + 1};
    refused_from = 0x1000 + refuse;
    refused_to = 0x1000 + refuse_end;
    held = 0;
    return stasis_x86_msrs_part.set(&machine.vcpus[0], &msrs, err);
}

#define REMEDY                                                                                     \
    "; thaw on a host like the one that froze it, or freeze guests that were started with "        \
    "cpu.model="                                                                                   \
    "baseline"

static void all_refused_msrs_are_named(void **state)
{
    struct stasis_error err;

    (void)state;
    assert_int_equal(set(300, 0, 0, &err), 0);
    assert_int_equal(set(300, 7, 8, &err), STASIS_ERR_HOST);
    assert_string_equal(err.msg, "this host refuses MSR 0x1007 = 0x8" REMEDY);
    /* In two batches. */
    assert_int_equal(set(300, 127, 130, &err), STASIS_ERR_HOST);
    assert_string_equal(err.msg, "this host refuses MSR 0x107f = 0x80, 0x1080 = 0x81, "
                                 "0x1081 = 0x82" REMEDY);
}

static void more_than_a_line_holds_are_counted(void **state)
{
    struct stasis_error err;

    (void)state;
    assert_int_equal(set(300, 100, 100 + 16, &err), STASIS_ERR_HOST);
    assert_null(strstr(err.msg, "more"));
    assert_int_equal(set(300, 100, 300, &err), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, ", 0x1073 = 0x74 and 184 more" REMEDY));
}

static void refused_values_that_are_held_are_right(void **state)
{
    struct stasis_error err;

    (void)state;
    assert_int_equal(set(1, 0, 1, &err), STASIS_ERR_HOST);
    refused_from = 0x10;
    refused_to = 0x11;
    held = 5;
    assert_int_equal(stasis_x86_msr_write(&machine.vcpus[0], 0x10, 5, &err), 0);
    assert_int_equal(stasis_x86_msr_write(&machine.vcpus[0], 0x10, 6, &err), STASIS_ERR_HOST);
    assert_string_equal(err.msg, "this host refuses MSR 0x10 = 0x6" REMEDY);
}

/* Each is a reason of its own for who wants to know them all. */
static void refused_msrs_are_reported(void **state)
{
    struct stasis_reasons reasons = {0};
    struct stasis_error err;

    (void)state;
    stasis_arch_vcpu_report(&machine.vcpus[0], &reasons);
    assert_int_equal(set(300, 7, 9, &err), STASIS_ERR_HOST);
    assert_int_equal(reasons.count, 2);
    assert_string_equal(reasons.list[0].kind, "msr");
    assert_string_equal(reasons.list[0].object, "0x1007 = 0x8");
    assert_string_equal(reasons.list[1].asks, "0x9");
    assert_string_equal(reasons.list[1].has, "0x0 or no such register");
    stasis_arch_vcpu_report(&machine.vcpus[0], NULL);
    stasis_reasons_fini(&reasons);
}

/* Saved on SVM, where every guest has it; on VMX no guest does, and none of ours looks at it. */
static void a_tsc_ratio_of_1_goes_with_no_host(void **state)
{
    static struct stasis_x86_msrs_state msrs;
    struct stasis_error err;

    (void)state;
    stasis_state_init(&stasis_x86_msrs_schema, &msrs);
    msrs.msrs_count = 1;
    msrs.msrs[0] = (struct stasis_x86_msr_state){.index = 0xc0000104, .value = UINT64_C(1) << 32};
    refused_from = 0xc0000104;
    refused_to = 0xc0000105;
    held = 0;
    assert_int_equal(stasis_x86_msrs_part.set(&machine.vcpus[0], &msrs, &err), 0);
    msrs.msrs[0].value++;
    assert_int_equal(stasis_x86_msrs_part.set(&machine.vcpus[0], &msrs, &err), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, "MSR 0xc0000104 = 0x100000001"));
}

/* Intel's kernels lock FEATURE_CONTROL for what no guest of ours has; on SVM there is none. */
static void feature_control_is_not_saved(void **state)
{
    static struct stasis_x86_msrs_state msrs;
    struct stasis_error err;
    uint64_t value;

    (void)state;
    held = 1;
    assert_int_equal(stasis_x86_msrs_part.get(&machine.vcpus[0], &msrs, &err), 0);
    assert_true(stasis_x86_msr_find(&msrs, 0x277, &value)); /* PAT, for one */
    assert_false(stasis_x86_msr_find(&msrs, 0x3a, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_refused_msrs_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_a_line_holds_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_values_that_are_held_are_right, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_msrs_are_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tsc_ratio_of_1_goes_with_no_host, setup, teardown),
        cmocka_unit_test_setup_teardown(feature_control_is_not_saved, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
