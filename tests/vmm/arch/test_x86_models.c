/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The CPU models of fleets: what each promises, and hosts that cannot keep it, by a KVM that
 * answers as the test wants.
 */
#include "support/cmocka_all.h"

#include <string.h>

#include "support/fake_kvm.h"
#include "support/reasons.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/machine/board.h"
#include "vmm/machine/machine.h"

static struct stasis_x86_cpuid_state baseline, v2, v3;
static struct stasis_error err;

static void make(const char *model, struct stasis_x86_cpuid_state *cpuid)
{
    assert_true(stasis_x86_cpuid_fixed(model, STASIS_VERSION, cpuid));
    assert_int_equal(stasis_state_check(&stasis_x86_cpuid_schema, cpuid, &err), 0);
    assert_true(stasis_x86_cpuid_is_fixed(cpuid));
    assert_false(stasis_x86_cpuid_needs_tsc_rate(cpuid));
}

static int setup(void **state)
{
    (void)state;
    make("baseline", &baseline);
    make("x86-64-v2", &v2);
    make("x86-64-v3", &v3);
    return 0;
}

/* Whether `on` can show the guest all that it was promised. */
static int check(const struct stasis_kvm *on, const struct stasis_x86_cpuid_state *cpuid,
                 struct stasis_error *ret_err)
{
    struct stasis_reasons reasons = {0};
    int rc = stasis_x86_cpuid_check(on, cpuid, &reasons, ret_err);

    return reasons_settle(rc, &reasons, ret_err);
}

static int check_features(const struct stasis_x86_cpuid_state *host,
                          const struct stasis_x86_cpuid_state *wanted)
{
    struct stasis_reasons reasons = {0};

    stasis_x86_features_check(host, wanted, NULL, &reasons);
    return reasons_settle(0, &reasons, &err);
}

/* What the upper one promises and the lower one does not. */
static void assert_adds(const struct stasis_x86_cpuid_state *lower,
                        const struct stasis_x86_cpuid_state *upper, const char *names)
{
    assert_int_equal(check_features(upper, lower), 0);
    assert_int_equal(check_features(lower, upper), STASIS_ERR_HOST);
    if (!strstr(err.msg, names))
        fail_msg("\"%s\" does not list %s", err.msg, names);
}

/* x86-64 psABI 1.0, table 3.1; cx16 and lahf_lm are the baseline's. */
static void levels_are_those_of_the_psabi(void **state)
{
    (void)state;
    assert_adds(&baseline, &v2, "lacks: pni, ssse3, sse4_1, sse4_2, popcnt;");
    assert_adds(
        &v2, &v3,
        "lacks: fma, movbe, xsave, avx, f16c, bmi1, avx2, bmi2, CPUID 0xd.0 EAX bit 0, CPUID "
        "0xd.0 EAX bit 1, CPUID 0xd.0 EAX bit 2, abm;");
    assert_int_equal(baseline.leaves_count, v2.leaves_count);
}

/* Everything but the additions is as in the baseline: nothing depends on the host. */
static void avx_has_a_place(void **state)
{
    const struct stasis_x86_cpuid_leaf_state *leaf = stasis_x86_cpuid_find(&v3, 0xd, 2);

    (void)state;
    assert_non_null(leaf);
    assert_int_equal(leaf->eax, 256);
    assert_int_equal(leaf->ebx, 576);
    assert_int_equal(stasis_x86_cpuid_find(&v3, 0xd, 0)->ecx, 832);
    assert_null(stasis_x86_cpuid_find(&v2, 0xd, 2));
}

static void models_have_names(void **state)
{
    struct stasis_x86_cpuid_state cpuid;
    size_t count;
    const struct stasis_cpu_model *models = stasis_cpu_model_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(stasis_x86_cpuid_fixed(models[i].name, STASIS_VERSION, &cpuid),
                         i != STASIS_CPU_HOST);
    assert_false(stasis_x86_cpuid_fixed("x86-64-v4", STASIS_VERSION, &cpuid));
    assert_false(stasis_x86_cpuid_fixed("", STASIS_VERSION, &cpuid));
}

static void make_board(const char *model, struct stasis_board_state *board)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = model};

    assert_int_equal(stasis_board_default(&options, board, &err), 0);
}

/* On a host that lacks all features. */
static int build(const char *model)
{
    static const struct stasis_device_host host;
    static struct stasis_machine machine;
    struct stasis_board_state board;

    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_FEW_FEATURES};
    make_board(model, &board);
    return stasis_machine_build(&machine, &board, &host, &err);
}

static int judge(const char *model, unsigned flaws)
{
    struct stasis_board_state board;
    struct stasis_kvm kvm;
    int rc;

    fake_kvm = (struct fake_kvm){.flaws = flaws};
    make_board(model, &board);
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    rc = stasis_arch_model_check(&kvm, &board, &err);
    stasis_kvm_close(&kvm);
    return rc;
}

static void a_host_without_them_is_named_before_anything_is_built(void **state)
{
    static const struct {
        const char *model, *words;
    } cases[] = {{"x86-64-v2", "cpu.model=x86-64-v2 needs CPU features that this host lacks: "},
                 {"x86-64-v3", "cpu.model=x86-64-v3 needs CPU features that this host lacks: "}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(build(cases[i].model), STASIS_ERR_HOST);
        assert_int_equal(strncmp(err.msg, cases[i].words, strlen(cases[i].words)), 0);
        assert_non_null(strstr(err.msg, "give cpu.model=baseline, which runs on any host"));
        assert_int_equal(fake_kvm_first(KVM_CREATE_VM), SIZE_MAX);
        assert_int_equal(judge(cases[i].model, 0), 0);
    }
    assert_int_equal(judge("baseline", FAKE_KVM_FEW_FEATURES), 0);
    assert_int_equal(judge("host", FAKE_KVM_FEW_FEATURES), 0);
}

/* The record is what counts at a thaw. */
static void a_guest_thaws_where_its_record_can_be_kept(void **state)
{
    struct stasis_kvm kvm;

    (void)state;
    fake_kvm = (struct fake_kvm){0};
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(check(&kvm, &v3, &err), 0);
    stasis_kvm_close(&kvm);
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_FEW_FEATURES};
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(check(&kvm, &v3, &err), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, "the guest was promised CPU features that this host lacks: "));
    stasis_kvm_close(&kvm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_those_of_the_psabi),
        cmocka_unit_test(avx_has_a_place),
        cmocka_unit_test(models_have_names),
        cmocka_unit_test(a_host_without_them_is_named_before_anything_is_built),
        cmocka_unit_test(a_guest_thaws_where_its_record_can_be_kept),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
