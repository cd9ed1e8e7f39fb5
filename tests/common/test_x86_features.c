/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Names and places of CPU features, and which are missing, by made-up tables.
 */
#include "common/x86_features.h"

#include "support/cmocka_all.h"

#include <string.h>

static struct stasis_x86_cpuid_state host, promised;

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

static void places_are_as_the_manuals_write_them(void **state)
{
    static const struct {
        struct stasis_x86_feature feature;
        const char *place;
    } rows[] = {
        {{1, 0, STASIS_X86_EDX, 26, NULL}, "CPUID 1.0 EDX bit 26"},
        {{0xd, 1, STASIS_X86_EAX, 3, NULL}, "CPUID 0xd.1 EAX bit 3"},
        {{UINT32_MAX, UINT32_MAX, STASIS_X86_ECX, 31, NULL},
         "CPUID 0xffffffff.4294967295 ECX bit 31"},
    };
    char place[STASIS_X86_PLACE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        stasis_x86_feature_place(&rows[i].feature, place);
        assert_string_equal(place, rows[i].place);
    }
}

static void a_vendor_has_twelve_characters(void **state)
{
    char vendor[13] = "x";

    (void)state;
    promised = (struct stasis_x86_cpuid_state){
        .leaves_count = 1, .leaves = {{.ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69}}};
    assert_true(stasis_x86_cpuid_vendor(&promised, vendor));
    assert_string_equal(vendor, "GenuineIntel");
    promised.leaves[0].function = 1;
    assert_false(stasis_x86_cpuid_vendor(&promised, vendor));
}

static void components_have_names(void **state)
{
    (void)state;
    assert_string_equal(stasis_x86_component_name(0), "x87");
    assert_string_equal(stasis_x86_component_name(2), "AVX");
    assert_string_equal(stasis_x86_component_name(9), "PKRU");
    assert_string_equal(stasis_x86_component_name(18), "TILEDATA");
    assert_null(stasis_x86_component_name(19));
    assert_null(stasis_x86_component_name(63));
}

static void count(void *opaque, const struct stasis_x86_feature *feature)
{
    unsigned *total = opaque;

    assert_in_range(feature->bit, 0, 31);
    ++*total;
}

/* Of one register and of several; by a host with none; and bits that follow other state. */
static void each_missing_bit_is_reported(void **state)
{
    unsigned total = 0;

    (void)state;
    promised = (struct stasis_x86_cpuid_state){
        .leaves_count = 2,
        .leaves = {{.function = 1, .ecx = 1u << 31 | 1u << 27 | 1u << 28},
                   {.function = 7, .ebx = UINT32_MAX}}};
    host = (struct stasis_x86_cpuid_state){.leaves_count = 1,
                                           .leaves = {{.function = 7, .ebx = 0xff}}};
    stasis_x86_features_missing(&host, &promised, count, &total);
    assert_int_equal(total, 1 + 24);
    total = 0;
    stasis_x86_features_missing(NULL, &promised, count, &total);
    assert_int_equal(total, 1 + 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_have_the_names_of_cpuinfo),
        cmocka_unit_test(places_are_as_the_manuals_write_them),
        cmocka_unit_test(a_vendor_has_twelve_characters),
        cmocka_unit_test(components_have_names),
        cmocka_unit_test(each_missing_bit_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
