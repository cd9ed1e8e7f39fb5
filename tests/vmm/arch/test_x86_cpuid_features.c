/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is said of CPU features that a host lacks, by made-up tables.
 */
#include "vmm/arch/x86/x86.h"

#include "support/cmocka_all.h"
#include "support/reasons.h"

#include <stdio.h>
#include <string.h>

static struct stasis_x86_cpuid_state host, promised;
static struct stasis_error err;

static void set(struct stasis_x86_cpuid_state *cpuid, uint32_t function, uint32_t index,
                uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    cpuid->leaves[cpuid->leaves_count++] =
        (struct stasis_x86_cpuid_leaf_state){function, index, 0, eax, ebx, ecx, edx};
}

static int setup(void **state)
{
    (void)state;
    memset(&host, 0, sizeof(host));
    memset(&promised, 0, sizeof(promised));
    memset(&err, 0, sizeof(err));
    return 0;
}

/* The first error of what is missing. */
static int check(void)
{
    struct stasis_reasons reasons = {0};

    stasis_x86_features_check(&host, &promised, NULL, &reasons);
    return reasons_settle(0, &reasons, &err);
}

static void assert_missing(const char *list)
{
    char want[STASIS_ERROR_MSG_MAX];

    snprintf(want, sizeof(want),
             "the guest was promised CPU features that this host lacks: %s; guests started with "
             "cpu.model=baseline thaw on any host",
             list);
    assert_int_equal(check(), STASIS_ERR_HOST);
    assert_string_equal(err.msg, want);
}

static void a_host_with_more_lacks_nothing(void **state)
{
    (void)state;
    set(&promised, 7, 0, 0, 0x10, 0x800, 0);
    set(&host, 1, 0, 0, 0, UINT32_MAX, UINT32_MAX);
    set(&host, 7, 0, 0, 0xff, 0xfff, 1);
    assert_int_equal(check(), 0);
}

/* Of several registers, and where the host has no such leaf. */
static void all_missing_features_are_named(void **state)
{
    (void)state;
    set(&promised, 1, 0, 0, 0, 1u << 28, 1u << 26);
    set(&promised, 7, 0, 0, 1u << 16 | 1u << 5, 1u << 11, 0);
    set(&host, 1, 0, 0, 0, 1u << 28, 1u << 26);
    set(&host, 7, 0, 0, 1u << 5, 0, 0);
    assert_missing("avx512f, avx512_vnni");
    host.leaves_count = 1;
    assert_missing("avx2, avx512f, avx512_vnni");
    host.leaves_count = 0;
    assert_missing("avx, sse2, avx2, avx512f, avx512_vnni");
}

static void bits_without_a_name_are_numbered(void **state)
{
    (void)state;
    set(&promised, 7, 1, 1u << 4 | 1u << 10, 0, 0, 0);
    set(&promised, 0xd, 0, 1u << 9, 0, 0, 0);
    set(&promised, 0x80000001, 0, 0, 0, 0, 1u << 18);
    assert_missing("avx_vnni, CPUID 7.1 EAX bit 10, CPUID 0xd.0 EAX bit 9, "
                   "CPUID 0x80000001.0 EDX bit 18");
}

/* x2apic, monitor, osxsave, the deadline timer, hypervisor; ht; ospke: not this host's to give. */
static void feature_without_cpu_support_is_not_missing(void **state)
{
    (void)state;
    set(&promised, 1, 0, UINT32_MAX, UINT32_MAX,
        1u << 3 | 1u << 21 | 1u << 24 | 1u << 27 | 1u << 31, 1u << 28);
    set(&promised, 7, 0, 2, 0, 1u << 4, 0);
    assert_int_equal(check(), 0);
}

/* A feature for which both vendors have a bit is named once. */
static void names_come_once(void **state)
{
    (void)state;
    set(&promised, 7, 0, 0, 0, 0, 1u << 26 | 1u << 27);
    set(&promised, 0x80000008, 0, 0, 1u << 12 | 1u << 14 | 1u << 15, 0, 0);
    assert_missing("ibrs, stibp, ibpb");
}

static void many_are_counted(void **state)
{
    (void)state;
    set(&promised, 7, 0, 0, UINT32_MAX, 0, 0);
    assert_missing("fsgsbase, tsc_adjust, sgx, bmi1, hle, avx2, CPUID 7.0 EBX bit 6, smep, bmi2, "
                   "erms, invpcid, rtm, cqm, CPUID 7.0 EBX bit 13, mpx, rdt_a and 16 more");
}

/* The longest that can be said fits, and stays one line. */
static void everything_missing_fits_into_a_message(void **state)
{
    static const uint32_t leaves[][2] = {{7, 2},          {0xd, 0},        {0x40000001, 0},
                                         {0x80000001, 0}, {0x80000008, 0}, {1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
        set(&promised, leaves[i][0], leaves[i][1], UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    assert_int_equal(check(), STASIS_ERR_HOST);
    assert_non_null(
        strstr(err.msg, " more; guests started with cpu.model=baseline thaw on any host"));
    assert_null(strchr(err.msg, '\n'));
    promised.leaves_count = 0;
    set(&promised, 0x40000001, 0, UINT32_MAX, 0, 0, 0);
    assert_int_equal(check(), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, "CPUID 0x40000001.0 EAX bit 15 and 16 more; guests"));
}

/* Where it is in CPUID is said with each. */
static void a_reason_has_the_place_of_its_feature(void **state)
{
    struct stasis_reasons reasons = {0};

    (void)state;
    set(&promised, 7, 0, 0, 1u << 5, 0, 1);
    set(&promised, 0x80000001, 0, 0, 0, 1u << 5, 0);
    stasis_x86_features_check(&host, &promised, NULL, &reasons);
    assert_int_equal(reasons.count, 3);
    assert_string_equal(reasons.list[0].kind, "cpu-feature");
    assert_string_equal(reasons.list[0].object, "avx2");
    assert_string_equal(reasons.list[0].asks, "CPUID 7.0 EBX bit 5");
    assert_string_equal(reasons.list[1].object, "CPUID 7.0 EDX bit 0");
    assert_string_equal(reasons.list[2].object, "abm");
    assert_string_equal(reasons.list[2].asks, "CPUID 0x80000001.0 ECX bit 5");
    stasis_reasons_fini(&reasons);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_host_with_more_lacks_nothing, setup),
        cmocka_unit_test_setup(all_missing_features_are_named, setup),
        cmocka_unit_test_setup(bits_without_a_name_are_numbered, setup),
        cmocka_unit_test_setup(feature_without_cpu_support_is_not_missing, setup),
        cmocka_unit_test_setup(names_come_once, setup),
        cmocka_unit_test_setup(many_are_counted, setup),
        cmocka_unit_test_setup(a_reason_has_the_place_of_its_feature, setup),
        cmocka_unit_test_setup(everything_missing_fits_into_a_message, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
