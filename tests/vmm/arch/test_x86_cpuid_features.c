/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Names of CPU features, and which are missing, by made-up tables.
 */
#include "vmm/arch/x86/cpuid_features.h"

#include "support/cmocka_all.h"

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

static void assert_missing(const char *list)
{
    char want[STASIS_ERROR_MSG_MAX];

    snprintf(want, sizeof(want),
             "the guest was promised CPU features that this host lacks: %s; guests started with "
             "--cpu baseline thaw on any host",
             list);
    assert_int_equal(stasis_x86_features_check(&host, &promised, NULL, &err), STASIS_ERR_HOST);
    assert_string_equal(err.msg, want);
}

static void bits_have_the_names_of_cpuinfo(void **state)
{
    static const struct {
        uint32_t function, index;
        enum stasis_x86_reg reg;
        unsigned bit;
        const char *name;
    } rows[] = {
        {1, 0, STASIS_X86_EDX, 0, "fpu"},
        {1, 0, STASIS_X86_EDX, 26, "sse2"},
        {1, 0, STASIS_X86_ECX, 0, "pni"},
        {1, 0, STASIS_X86_ECX, 31, "hypervisor"},
        {6, 0, STASIS_X86_EAX, 2, "arat"},
        {7, 0, STASIS_X86_EBX, 16, "avx512f"},
        {7, 0, STASIS_X86_ECX, 11, "avx512_vnni"},
        {7, 0, STASIS_X86_EDX, 4, "fsrm"},
        {7, 1, STASIS_X86_EAX, 4, "avx_vnni"},
        {0xd, 1, STASIS_X86_EAX, 3, "xsaves"},
        {0x80000001, 0, STASIS_X86_EDX, 29, "lm"},
        {0x80000001, 0, STASIS_X86_ECX, 5, "abm"},
        {0x80000007, 0, STASIS_X86_EBX, 1, "succor"},
        {0x80000008, 0, STASIS_X86_EBX, 0, "clzero"},
        {0x8000000a, 0, STASIS_X86_EDX, 0, "npt"},
        {0x8000001f, 0, STASIS_X86_EAX, 1, "sev"},
        {0xc0000001, 0, STASIS_X86_EDX, 2, "rng"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stasis_x86_feature feature =
            stasis_x86_feature_at(rows[i].function, rows[i].index, rows[i].reg, rows[i].bit);

        assert_non_null(feature.name);
        assert_string_equal(feature.name, rows[i].name);
    }
    assert_null(stasis_x86_feature_at(7, 0, STASIS_X86_EDX, 0).name);
    assert_null(stasis_x86_feature_at(7, 0, STASIS_X86_EAX, 4).name);
    assert_null(stasis_x86_feature_at(99, 0, STASIS_X86_EAX, 4).name);
}

static void a_host_with_more_lacks_nothing(void **state)
{
    (void)state;
    set(&promised, 7, 0, 0, 0x10, 0x800, 0);
    set(&host, 1, 0, 0, 0, UINT32_MAX, UINT32_MAX);
    set(&host, 7, 0, 0, 0xff, 0xfff, 1);
    assert_int_equal(stasis_x86_features_check(&host, &promised, NULL, &err), 0);
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
    assert_int_equal(stasis_x86_features_check(&host, &promised, NULL, &err), 0);
}

/* A feature for which both vendors have a bit is named once. */
static void names_come_once(void **state)
{
    (void)state;
    set(&promised, 7, 0, 0, 0, 0, 1u << 26 | 1u << 27);
    set(&promised, 0x80000008, 0, 0, 1u << 12 | 1u << 14 | 1u << 15, 0, 0);
    assert_missing("ibrs, stibp, ibpb");
}

static void count(void *opaque, const struct stasis_x86_feature *feature)
{
    unsigned *total = opaque;

    assert_in_range(feature->bit, 0, 31);
    ++*total;
}

static void many_are_counted(void **state)
{
    unsigned total = 0;

    (void)state;
    set(&promised, 7, 0, 0, UINT32_MAX, 0, 0);
    assert_missing("fsgsbase, tsc_adjust, sgx, bmi1, hle, avx2, CPUID 7.0 EBX bit 6, smep, bmi2, "
                   "erms, invpcid, rtm, cqm, CPUID 7.0 EBX bit 13, mpx, rdt_a and 16 more");
    stasis_x86_features_missing(&host, &promised, count, &total);
    assert_int_equal(total, 32);
}

/* The longest that can be said fits, and stays one line. */
static void everything_missing_fits_into_a_message(void **state)
{
    static const uint32_t leaves[][2] = {{7, 2},          {0xd, 0},        {0x40000001, 0},
                                         {0x80000001, 0}, {0x80000008, 0}, {1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
        set(&promised, leaves[i][0], leaves[i][1], UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    assert_int_equal(stasis_x86_features_check(&host, &promised, NULL, &err), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, " more; guests started with --cpu baseline thaw on any host"));
    assert_null(strchr(err.msg, '\n'));
    promised.leaves_count = 0;
    set(&promised, 0x40000001, 0, UINT32_MAX, 0, 0, 0);
    assert_int_equal(stasis_x86_features_check(&host, &promised, NULL, &err), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, "CPUID 0x40000001.0 EAX bit 15 and 16 more; guests"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bits_have_the_names_of_cpuinfo, setup),
        cmocka_unit_test_setup(a_host_with_more_lacks_nothing, setup),
        cmocka_unit_test_setup(all_missing_features_are_named, setup),
        cmocka_unit_test_setup(bits_without_a_name_are_numbered, setup),
        cmocka_unit_test_setup(feature_without_cpu_support_is_not_missing, setup),
        cmocka_unit_test_setup(names_come_once, setup),
        cmocka_unit_test_setup(many_are_counted, setup),
        cmocka_unit_test_setup(everything_missing_fits_into_a_message, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
