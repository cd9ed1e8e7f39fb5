/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What CPUID promises a new guest, and whether a host can keep it.
 */
#include "vmm/kvm_guest.h"

#include <string.h>

#include "support/reasons.h"
#include "vmm/arch/x86/x86.h"

static struct stasis_kvm kvm;

static struct stasis_x86_cpuid_leaf_state *leaf(struct stasis_x86_cpuid_state *cpuid,
                                                uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        if (cpuid->leaves[i].function == function && cpuid->leaves[i].index == index)
            return &cpuid->leaves[i];
    }
    return NULL;
}

static void make_of(const char *release, const char *model, struct stasis_x86_cpuid_state *cpuid)
{
    const struct stasis_board_options options = {
        .memory_bytes = KVM_RAM, .vcpus = 1, .cpu_model = model, .release = release};
    struct stasis_board_state board;
    struct stasis_error err;

    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_ok(stasis_x86_cpuid_default(&kvm, &board, cpuid, &err), &err);
}

static void make(const char *model, struct stasis_x86_cpuid_state *cpuid)
{
    make_of(NULL, model, cpuid);
}

/* Whether `on` can show the guest all that it was promised. */
static int check(const struct stasis_kvm *on, const char *model,
                 const struct stasis_x86_cpuid_state *cpuid, struct stasis_error *ret_err)
{
    struct stasis_board_state board = {0};
    struct stasis_reasons reasons = {0};
    int rc;

    snprintf(board.cpu_model, sizeof(board.cpu_model), "%s", model);
    rc = stasis_x86_cpuid_check(on, &board, cpuid, &reasons, ret_err);
    return reasons_settle(rc, &reasons, ret_err);
}

static void both_models_are_canonical_and_kept_here(void **state)
{
    static const char *const models[] = {"host", "baseline"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct stasis_x86_cpuid_state cpuid;
        struct stasis_error err;

        make(models[i], &cpuid);
        kvm_ok(stasis_state_check(&stasis_x86_cpuid_schema, &cpuid, &err), &err);
        kvm_ok(check(&kvm, models[i], &cpuid, &err), &err);
        /* Without these Linux neither finds kvmclock nor a timer. */
        assert_true(leaf(&cpuid, 1, 0)->ecx >> 31 & 1);
        assert_int_equal(leaf(&cpuid, 0x40000000, 0)->ebx, 0x4b4d564b);
        assert_true(leaf(&cpuid, 0x40000001, 0)->eax >> 3 & 1);
    }
}

static void unknown_model_is_refused(void **state)
{
    static const struct stasis_board_state board = {.cpu_model = "cray"};
    static struct stasis_x86_cpuid_state cpuid;

    (void)state;
    assert_int_equal(stasis_x86_cpuid_default(&kvm, &board, &cpuid, NULL), STASIS_ERR_ARG);
}

/* Features whose state no snapshot holds. */
static void nothing_unsaved_is_promised(void **state)
{
    static struct stasis_x86_cpuid_state cpuid;
    struct stasis_x86_cpuid_leaf_state *seven;

    (void)state;
    make("host", &cpuid);
    assert_false(leaf(&cpuid, 1, 0)->ecx >> 5 & 1); /* VMX */
    if (leaf(&cpuid, 0x80000001, 0))
        assert_false(leaf(&cpuid, 0x80000001, 0)->ecx >> 2 & 1); /* SVM */
    seven = leaf(&cpuid, 7, 0);
    if (seven) {
        assert_false(seven->ebx >> 2 & 1);  /* SGX */
        assert_false(seven->edx >> 24 & 1); /* AMX */
    }
    if (leaf(&cpuid, 0xd, 0))
        assert_int_equal(leaf(&cpuid, 0xd, 0)->eax & ~0x2ffu, 0);
    assert_null(leaf(&cpuid, 0xa, 0));
    assert_null(leaf(&cpuid, 0x8000000a, 0));
    assert_null(leaf(&cpuid, 0xd, 17));
}

static void baseline_is_fixed(void **state)
{
    static struct stasis_x86_cpuid_state cpuid;

    (void)state;
    make("baseline", &cpuid);
    assert_int_equal(cpuid.leaves_count, 19);
    assert_int_equal(leaf(&cpuid, 1, 0)->ecx, 0x80202000);
    assert_int_equal(leaf(&cpuid, 1, 0)->edx, 0x078bfbfd);
    assert_int_equal(leaf(&cpuid, 0x80000001, 0)->edx, 0x20100800);
    assert_int_equal(leaf(&cpuid, 7, 0)->ebx, 0);
}

/* Guests on the board of 0.1.0 see what 0.1.0 showed them: the TSC-deadline timer too. */
static void baseline_of_0_1_0(void **state)
{
    static struct stasis_x86_cpuid_state now, then;

    (void)state;
    make_of("0.2.0", "baseline", &now);
    assert_int_equal(now.leaves_count, 10);
    make_of("0.1.0", "baseline", &then);
    assert_int_equal(leaf(&then, 1, 0)->ecx, 0x81202000);
    leaf(&then, 1, 0)->ecx &= ~(1u << 24);
    assert_memory_equal(&then, &now, sizeof(now));
}

/* What must be away for a guest to run at another rate of the TSC, one at a time. */
static void cpuid_that_depends_on_the_tsc_rate_is_found(void **state)
{
    static struct stasis_x86_cpuid_state cpuid;
    struct stasis_x86_cpuid_leaf_state *last;

    (void)state;
    make("baseline", &cpuid);
    assert_false(stasis_x86_cpuid_needs_tsc_rate(&cpuid));
    leaf(&cpuid, 0x80000007, 0)->edx = 1 << 8; /* invariant TSC */
    assert_true(stasis_x86_cpuid_needs_tsc_rate(&cpuid));
    make_of("0.1.0", "baseline", &cpuid); /* deadline timer */
    assert_true(stasis_x86_cpuid_needs_tsc_rate(&cpuid));
    make("baseline", &cpuid);
    leaf(&cpuid, 0x40000001, 0)->eax &= ~(1u << 3); /* no kvmclock */
    assert_true(stasis_x86_cpuid_needs_tsc_rate(&cpuid));
    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t rates[] = {0x15, 0x16, 0x40000010};

        make("baseline", &cpuid);
        last = &cpuid.leaves[cpuid.leaves_count++];
        *last = (struct stasis_x86_cpuid_leaf_state){.function = rates[i], .eax = 1};
        assert_true(stasis_x86_cpuid_needs_tsc_rate(&cpuid));
    }
}

/* This host's table, made that of a vCPU; test_x86_topology.c has others. */
static void per_vcpu_fields(void **state)
{
    static struct stasis_x86_cpuid_state cpuid;
    struct stasis_board_state board = {.vcpus = 4, .release = STASIS_VERSION};

    (void)state;
    make("host", &cpuid);
    assert_int_equal(stasis_x86_cpuid_for_vcpu(&cpuid, &board, 3, NULL), 0);
    assert_int_equal(leaf(&cpuid, 1, 0)->ebx >> 24, 3);
    assert_int_equal(leaf(&cpuid, 1, 0)->ebx >> 16 & 0xff, 4);
    assert_true(leaf(&cpuid, 1, 0)->edx >> 28 & 1);
    assert_int_equal(leaf(&cpuid, 0xb, 1)->eax, 2);
    assert_int_equal(leaf(&cpuid, 0xb, 2)->edx, 3);
    assert_int_equal(stasis_state_check(&stasis_x86_cpuid_schema, &cpuid, NULL), 0);
    assert_int_equal(check(&kvm, "host", &cpuid, NULL), 0);
}

/* A promise that no CPU keeps. What is named, and how, has a test without KVM. */
static void missing_features_are_named(void **state)
{
    static struct stasis_x86_cpuid_state cpuid;
    struct stasis_error err;

    (void)state;
    make("baseline", &cpuid);
    leaf(&cpuid, 7, 0)->edx |= 1; /* reserved bits */
    leaf(&cpuid, 0x80000001, 0)->edx |= 1u << 18;
    assert_int_equal(check(&kvm, "baseline", &cpuid, &err), STASIS_ERR_HOST);
    assert_non_null(
        strstr(err.msg, "lacks: CPUID 7.0 EDX bit 0, CPUID 0x80000001.0 EDX bit 18; guests"));
    assert_non_null(strstr(err.msg, "baseline"));
}

/* Of the board's model; false: this host has not what the model promises, and says so. */
static bool can_start(const struct stasis_board_state *board)
{
    struct stasis_error err;

    if (!stasis_arch_model_check(&kvm, board, &err))
        return true;
    assert_int_equal(err.code, STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, board->cpu_model));
    assert_non_null(strstr(err.msg, "this host lacks: "));
    return false;
}

/* KVM takes the tables, and the guest reads what was promised. */
static void the_guest_sees(const char *model)
{
    static struct kvm_guest guest;
    static struct kvm_probe probe;
    /* mov eax, 0x40000000; cpuid; xchg eax, ebx; out 0x80, eax; hlt */
    static const uint8_t payload[] = {0x66, 0xb8, 0x00, 0x00, 0x00, 0x40, 0x0f,
                                      0xa2, 0x66, 0x93, 0x66, 0xe7, 0x80, 0xf4};
    const struct stasis_board_options options = {
        .memory_bytes = KVM_RAM, .vcpus = 1, .cpu_model = model};
    struct stasis_board_state board;
    struct stasis_error err;

    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    if (!can_start(&board))
        kvm_case_skip("this host lacks features of the CPU model");
    kvm_guest_init(&guest, &board);
    kvm_probe_attach(&probe, &guest.machine.pio, KVM_PORT, 4);
    kvm_guest_real(&guest, payload, sizeof(payload));
    kvm_guest_step(&guest, &probe, 1);
    kvm_assert_access(&probe, 0, true, 0, 4, 0x4b4d564b);
    kvm_guest_fini(&guest);
}

static void guest_sees_the_cpu_of_the_host(void)
{
    the_guest_sees("host");
}

static void guest_sees_the_baseline(void)
{
    the_guest_sees("baseline");
}

static void guest_sees_x86_64_v2(void)
{
    the_guest_sees("x86-64-v2");
}

static void guest_sees_x86_64_v3(void)
{
    the_guest_sees("x86-64-v3");
}

/* A CPU model with too few address lines for the RAM is refused before the guest can find out. */
static void baseline_addresses_64_gib(void)
{
    static struct kvm_guest guest;
    const struct stasis_board_options options = {
        .memory_bytes = UINT64_C(65) << 30, .vcpus = 1, .cpu_model = "baseline"};
    static const struct stasis_arch_entry cpu;
    struct stasis_board_state board;
    struct stasis_error err;

    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_guest_init(&guest, &board);
    assert_int_equal(
        stasis_arch_vcpu_start(&guest.machine.vcpus[0], &guest.machine.board, &cpu, &err),
        STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "36 bits"));
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_models_are_canonical_and_kept_here),
        cmocka_unit_test(unknown_model_is_refused),
        cmocka_unit_test(nothing_unsaved_is_promised),
        cmocka_unit_test(baseline_is_fixed),
        cmocka_unit_test(baseline_of_0_1_0),
        cmocka_unit_test(cpuid_that_depends_on_the_tsc_rate_is_found),
        cmocka_unit_test(per_vcpu_fields),
        cmocka_unit_test(missing_features_are_named),
        KVM_CASE(guest_sees_the_cpu_of_the_host),
        KVM_CASE(guest_sees_the_baseline),
        KVM_CASE(guest_sees_x86_64_v2),
        KVM_CASE(guest_sees_x86_64_v3),
        KVM_CASE(baseline_addresses_64_gib),
    };
    int status = kvm_missing();

    if (status)
        return status;
    kvm_ok(stasis_kvm_open(&kvm, NULL), NULL);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    stasis_kvm_close(&kvm);
    return status;
}
