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
    static const struct stasis_board_state board = {.cpu_model = "x86-64-v3"};
    struct stasis_reasons reasons = {0};
    int rc = stasis_x86_cpuid_check(on, &board, cpuid, &reasons, ret_err);

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

/* ---- who made it, and what its caches are ---- */

static const struct stasis_x86_cpuid_state *const all[] = {&baseline, &v2, &v3};

static const struct stasis_x86_cpuid_leaf_state *leaf(const struct stasis_x86_cpuid_state *cpuid,
                                                      uint32_t function, uint32_t index)
{
    static struct stasis_x86_cpuid_state copy;
    const struct stasis_x86_cpuid_leaf_state *found;

    copy = *cpuid;
    found = stasis_x86_cpuid_find(&copy, function, index);
    assert_non_null(found);
    return found;
}

/* As Linux's x86_family() and x86_model() read leaf 1. */
static void assert_signature(const struct stasis_x86_cpuid_state *cpuid, uint32_t family,
                             uint32_t model)
{
    uint32_t eax = leaf(cpuid, 1, 0)->eax;

    assert_int_equal(eax >> 8 & 0xf, family);
    assert_int_equal((eax >> 4 & 0xf) | (eax >> 12 & 0xf0), model);
}

static void programs_know_the_vendor(void **state)
{
    char vendor[13];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(stasis_x86_cpuid_vendor(all[i], vendor));
        assert_string_equal(vendor, "GenuineIntel");
    }
    assert_signature(&baseline, 15, 2);
    assert_signature(&v2, 6, 26);
    assert_signature(&v3, 6, 60);
}

static void assert_name(const struct stasis_x86_cpuid_state *cpuid, const char *name)
{
    char shown[49] = "";

    for (uint32_t i = 0; i < 3; i++)
        memcpy(&shown[16 * i], &leaf(cpuid, 0x80000002 + i, 0)->eax, 16);
    assert_string_equal(shown, name);
}

static void they_have_names(void **state)
{
    (void)state;
    assert_name(&baseline, "Stasis baseline CPU");
    assert_name(&v2, "Stasis x86-64-v2 CPU");
    assert_name(&v3, "Stasis x86-64-v3 CPU");
}

/* SDM 2A, CPUID leaf 4. */
static uint32_t cache_kib(const struct stasis_x86_cpuid_leaf_state *cache)
{
    uint32_t ways = (cache->ebx >> 22) + 1, parts = (cache->ebx >> 12 & 0x3ff) + 1;

    return ways * parts * ((cache->ebx & 0xfff) + 1) * (cache->ecx + 1) / 1024;
}

/* Without sizes, the thresholds of glibc's memcpy() come to nothing. */
static void caches_have_sizes(void **state)
{
    static const struct {
        uint32_t type, level, kib;
    } caches[] = {{1, 1, 32}, {2, 1, 32}, {3, 2, 1024}, {3, 3, 16384}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(leaf(all[i], 2, 0)->eax & 0xffff, 0xff01); /* once; "see leaf 4" */
        for (uint32_t c = 0; c < 4; c++) {
            const struct stasis_x86_cpuid_leaf_state *cache = leaf(all[i], 4, c);

            assert_int_equal(cache->eax & 0x1f, caches[c].type);
            assert_int_equal(cache->eax >> 5 & 7, caches[c].level);
            assert_int_equal(cache_kib(cache), caches[c].kib);
        }
        assert_int_equal(leaf(all[i], 4, 4)->eax, 0);
    }
}

/* Released boards stay as they are; the goldens have whole tables. */
static void boards_before_had_a_vendor_of_their_own(void **state)
{
    static const char *const releases[] = {"0.1.0", "0.2.0"};
    static struct stasis_x86_cpuid_state cpuid;
    char vendor[13];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_true(stasis_x86_cpuid_fixed("baseline", releases[i], &cpuid));
        assert_true(stasis_x86_cpuid_vendor(&cpuid, vendor));
        assert_string_equal(vendor, "StasisVirtCP");
        assert_null(stasis_x86_cpuid_find(&cpuid, 4, 0));
        assert_null(stasis_x86_cpuid_find(&cpuid, 0x80000002, 0));
    }
}

static int compare_on_amd(const char *model)
{
    static struct stasis_x86_cpuid_state host;
    struct stasis_board_state board;
    struct stasis_reasons reasons = {0};

    host = v3;
    *stasis_x86_cpuid_find(&host, 0, 0) = (struct stasis_x86_cpuid_leaf_state){
        .eax = 0xd, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65};
    make_board(model, &board);
    stasis_x86_cpuid_compare(&host, &board, &v3, &reasons);
    return reasons_settle(0, &reasons, &err);
}

/* The board says that the guest asks for nothing of its vendor's. */
static void a_fixed_model_is_at_home_on_any_vendor(void **state)
{
    (void)state;
    assert_int_equal(compare_on_amd("x86-64-v3"), 0);
    assert_int_equal(compare_on_amd("baseline"), 0);
    assert_int_equal(compare_on_amd("host"), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, "another vendor"));
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
        cmocka_unit_test(programs_know_the_vendor),
        cmocka_unit_test(they_have_names),
        cmocka_unit_test(caches_have_sizes),
        cmocka_unit_test(boards_before_had_a_vendor_of_their_own),
        cmocka_unit_test(a_fixed_model_is_at_home_on_any_vendor),
        cmocka_unit_test(a_host_without_them_is_named_before_anything_is_built),
        cmocka_unit_test(a_guest_thaws_where_its_record_can_be_kept),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
