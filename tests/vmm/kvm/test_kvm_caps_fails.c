/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What KVM is asked for: capabilities and lists, of a KVM that fails, or answers oddly.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/kvm.h"

/* ---- capabilities ---- */

static bool answers_caps(unsigned long request, void *arg, int *ret_result)
{
    /* A value that is not 1, as many capabilities have. */
    *ret_result = (uintptr_t)arg == KVM_CAP_NR_MEMSLOTS ? 509 : 0;
    return request == KVM_CHECK_EXTENSION;
}

static void a_capability_is_its_value(void **state)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_caps};
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(stasis_kvm_cap(kvm.fd, KVM_CAP_NR_MEMSLOTS), 509);
    assert_int_equal(stasis_kvm_cap(kvm.fd, KVM_CAP_HYPERV), 0);
    assert_int_equal(stasis_kvm_cap(-1, KVM_CAP_HYPERV), 0);
    /* What a KVM without the capability has: the default type, and no feature MSRs. */
    assert_int_equal(stasis_kvm_vm_types(&kvm), 1);
    assert_int_equal(stasis_kvm_msr_features(&kvm, NULL, &err), STASIS_ERR_UNAVAILABLE);
    stasis_kvm_close(&kvm);
}

static unsigned only_cap;

static bool answers_one_cap(unsigned long request, void *arg, int *ret_result)
{
    *ret_result = (uintptr_t)arg == only_cap;
    return request == KVM_CHECK_EXTENSION;
}

/* Which members are set, as a mask in their order in the struct. */
static unsigned members(const struct stasis_kvm *kvm)
{
    return (unsigned)kvm->has_sregs2 | (unsigned)kvm->has_exception_payload << 1 |
           (unsigned)kvm->has_triple_fault_event << 2 | (unsigned)kvm->has_xcrs << 3 |
           (unsigned)kvm->has_smm << 4 | (unsigned)kvm->has_pmu_switch << 5 |
           (unsigned)kvm->has_tsc_deadline << 6 | (unsigned)kvm->has_tsc_control << 7;
}

static void each_member_is_its_own_capability(void **state)
{
    static const unsigned caps[] = {KVM_CAP_SREGS2,
                                    KVM_CAP_EXCEPTION_PAYLOAD,
                                    KVM_CAP_X86_TRIPLE_FAULT_EVENT,
                                    KVM_CAP_XCRS,
                                    KVM_CAP_X86_SMM,
                                    KVM_CAP_PMU_CAPABILITY,
                                    KVM_CAP_TSC_DEADLINE_TIMER,
                                    KVM_CAP_TSC_CONTROL};

    (void)state;
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct stasis_kvm kvm;

        only_cap = caps[i];
        fake_kvm = (struct fake_kvm){.answer = answers_one_cap};
        assert_int_equal(stasis_kvm_open(&kvm, NULL), 0);
        assert_int_equal(members(&kvm), 1u << i);
        stasis_kvm_close(&kvm);
    }
}

static struct kvm_enable_cap enabled;

static bool answers_enable(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_ENABLE_CAP)
        enabled = *(struct kvm_enable_cap *)arg;
    *ret_result = 0;
    return request == KVM_ENABLE_CAP;
}

static void arguments_of_a_capability_are_passed_on(void **state)
{
    static const uint64_t args[4] = {1, 2, 3, 4}, none[4];

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_enable};
    assert_int_equal(stasis_kvm_enable_cap(-1, KVM_CAP_HLT, args, NULL), 0);
    assert_int_equal(enabled.cap, KVM_CAP_HLT);
    assert_int_equal(enabled.flags, 0);
    assert_memory_equal(enabled.args, args, sizeof(args));
    assert_int_equal(stasis_kvm_enable_cap(-1, KVM_CAP_HLT, NULL, NULL), 0);
    assert_memory_equal(enabled.args, none, sizeof(none));
}

static unsigned interruptions;

static bool answers_interrupted(unsigned long request, void *arg, int *ret_result)
{
    (void)request;
    (void)arg;
    errno = EINTR;
    *ret_result = interruptions ? -1 : 7;
    interruptions -= interruptions > 0;
    return true;
}

static void an_interrupted_ioctl_is_made_again(void **state)
{
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_interrupted};
    interruptions = 3;
    assert_int_equal(stasis_kvm_ioctl(-1, KVM_GET_API_VERSION, NULL), 7);
    assert_int_equal(fake_kvm.count, 4);
    assert_int_equal(STASIS_KVM(-1, KVM_GET_API_VERSION, NULL, &err), 0);
}

static void types_of_vms_have_names(void **state)
{
    (void)state;
    assert_string_equal(stasis_kvm_vm_type_name(0), "default");
    assert_string_equal(stasis_kvm_vm_type_name(1), "software-protected");
    assert_string_equal(stasis_kvm_vm_type_name(5), "TDX");
    assert_string_equal(stasis_kvm_vm_type_name(6), "unknown");
    assert_string_equal(stasis_kvm_vm_type_name(77), "unknown");
}

/* ---- lists ---- */

static int read_list(const struct stasis_kvm *kvm,
                     int (*read)(const struct stasis_kvm *kvm, struct kvm_msr_list **ret_list,
                                 struct stasis_error *err),
                     struct stasis_error *err)
{
    struct kvm_msr_list *list = NULL;
    int rc = read(kvm, &list, err);

    assert_int_equal(!list, rc != 0);
    free(list);
    return rc;
}

static int use_lists(struct stasis_error *err)
{
    struct stasis_kvm kvm = {.fd = -1};
    struct kvm_cpuid2 *cpuid = NULL;
    uint64_t value = 0;
    int rc = stasis_kvm_open(&kvm, err);

    if (!rc) {
        rc = stasis_kvm_emulated_cpuid(&kvm, &cpuid, err);
        assert_int_equal(!cpuid, rc != 0);
        free(cpuid);
    }
    if (!rc)
        rc = read_list(&kvm, stasis_kvm_msr_list, err);
    if (!rc)
        rc = read_list(&kvm, stasis_kvm_msr_features, err);
    if (!rc) {
        failing_fill(value);
        rc = stasis_kvm_msr_feature(&kvm, 0x8b, &value, err);
        failing_unchanged(rc, value);
    }
    if (!rc)
        rc = stasis_kvm_enable_cap(kvm.fd, KVM_CAP_HLT, NULL, err);
    stasis_kvm_close(&kvm);
    return rc;
}

static void every_call_of_reading_the_lists_fails_once(void **state)
{
    (void)state;
    failing_run(use_lists, 0);
    failing_run(use_lists, FAKE_KVM_LONG_CPUID);
}

static uint32_t wanted, asked_last;

static bool answers_long_cpuid(unsigned long request, void *arg, int *ret_result)
{
    struct kvm_cpuid2 *cpuid = arg;

    if (request != KVM_GET_EMULATED_CPUID)
        return false;
    asked_last = cpuid->nent;
    *ret_result = cpuid->nent < wanted ? -1 : 0;
    errno = E2BIG;
    return true;
}

static int read_emulated(uint32_t first, uint32_t count)
{
    struct kvm_cpuid2 *cpuid = NULL;
    struct stasis_error err;
    int rc;

    wanted = count;
    fake_kvm = (struct fake_kvm){.answer = answers_long_cpuid};
    rc = stasis_kvm_read_cpuid(-1, KVM_GET_EMULATED_CPUID, "KVM_GET_EMULATED_CPUID", first, &cpuid,
                               &err);
    if (rc)
        assert_int_equal(err.os_errno, E2BIG);
    free(cpuid);
    return rc;
}

static void entries_double_until_the_table_fits(void **state)
{
    (void)state;
    assert_int_equal(read_emulated(4, 4), 0);
    assert_int_equal(asked_last, 4);
    assert_int_equal(read_emulated(4, 5), 0);
    assert_int_equal(asked_last, 8);
    assert_int_equal(read_emulated(0, 257), 0);
    assert_int_equal(asked_last, 512);
    assert_int_equal(read_emulated(4, 4096), 0);
    assert_int_equal(asked_last, 4096);
}

static void a_table_without_end_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(read_emulated(4, 4097), STASIS_ERR_KVM);
    assert_int_equal(asked_last, 4096);
    /* Twice that would not fit into 32 bits. */
    assert_int_equal(read_emulated(UINT32_C(1) << 31, UINT32_MAX), STASIS_ERR_KVM);
}

static unsigned times;

/* Grows by one each time it is asked for. */
static bool answers_growing_list(unsigned long request, void *arg, int *ret_result)
{
    struct kvm_msr_list *list = arg;
    uint32_t count = wanted + times;

    if (request != KVM_GET_MSR_INDEX_LIST)
        return false;
    times++;
    errno = E2BIG;
    *ret_result = list->nmsrs < count && count ? -1 : 0;
    if (times > 3)
        *ret_result = list->nmsrs < wanted + 2 ? -1 : 0;
    list->nmsrs = count;
    return true;
}

static int read_growing(uint32_t count)
{
    struct kvm_msr_list *list = NULL;
    struct stasis_kvm kvm = {.fd = -1};
    struct stasis_error err;
    int rc;

    times = 0;
    wanted = count;
    fake_kvm = (struct fake_kvm){.answer = answers_growing_list};
    rc = stasis_kvm_msr_list(&kvm, &list, &err);
    if (rc)
        assert_int_equal(err.os_errno, E2BIG);
    free(list);
    return rc;
}

static void a_list_of_msrs_that_grows_is_read_again(void **state)
{
    (void)state;
    assert_int_equal(read_growing(300), 0);
    assert_int_equal(times, 4);
    assert_int_equal(read_growing(4097), STASIS_ERR_KVM);
    assert_int_equal(times, 1);
}

static bool answers_list_that_never_fits(unsigned long request, void *arg, int *ret_result)
{
    struct kvm_msr_list *list = arg;

    if (request != KVM_GET_MSR_INDEX_LIST)
        return false;
    list->nmsrs = 7;
    errno = E2BIG;
    *ret_result = -1;
    return true;
}

static void a_list_of_msrs_that_never_fits_is_given_up(void **state)
{
    struct kvm_msr_list *list = NULL;
    struct stasis_kvm kvm = {.fd = -1};

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_list_that_never_fits};
    assert_int_equal(stasis_kvm_msr_list(&kvm, &list, NULL), STASIS_ERR_KVM);
    assert_null(list);
}

static int msrs_answered;

static bool answers_msr(unsigned long request, void *arg, int *ret_result)
{
    struct kvm_msrs *msrs = arg;

    if (request != KVM_GET_MSRS)
        return false;
    assert_int_equal(msrs->nmsrs, 1);
    msrs->entries[0].data = msrs->entries[0].index * 2ull;
    *ret_result = msrs_answered;
    return true;
}

static void a_feature_msr_that_kvm_lacks_is_not_found(void **state)
{
    const struct stasis_kvm kvm = {.fd = -1};
    struct stasis_error err;
    uint64_t value = 5;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_msr};
    msrs_answered = 0;
    assert_int_equal(stasis_kvm_msr_feature(&kvm, 0x3f1, &value, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(value, 5);
    assert_non_null(strstr(err.msg, "0x3f1"));
    msrs_answered = 1;
    assert_int_equal(stasis_kvm_msr_feature(&kvm, 0x8b, &value, &err), 0);
    assert_int_equal(value, 0x116);
}

static unsigned bits(uint32_t function, uint32_t eax)
{
    struct stasis_kvm kvm = {.cpuid =
                                 calloc(1, sizeof(*kvm.cpuid) + 2 * sizeof(kvm.cpuid->entries[0]))};
    unsigned count;

    assert_non_null(kvm.cpuid);
    kvm.cpuid->nent = 2;
    kvm.cpuid->entries[0] = (struct kvm_cpuid_entry2){.function = 1, .eax = 99};
    kvm.cpuid->entries[1] = (struct kvm_cpuid_entry2){.function = function, .eax = eax};
    count = stasis_kvm_address_bits(&kvm);
    free(kvm.cpuid);
    return count;
}

static void address_bits_are_the_guests(void **state)
{
    (void)state;
    assert_int_equal(bits(0x80000008, 0x3028), 40);
    assert_int_equal(bits(0x80000008, 0x303034), 48); /* of 52, what a guest can map */
    assert_int_equal(bits(0x80000008, 0x3000), 36);
    assert_int_equal(bits(0x80000007, 0x28), 36);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(bits(0x80000008, 0xff00ff00 | 1u << i), 1u << i);
        assert_int_equal(bits(0x80000008, 0xff00ff28 | 1u << (16 + i)), 1u << i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_reading_the_lists_fails_once),
        cmocka_unit_test(a_capability_is_its_value),
        cmocka_unit_test(each_member_is_its_own_capability),
        cmocka_unit_test(arguments_of_a_capability_are_passed_on),
        cmocka_unit_test(an_interrupted_ioctl_is_made_again),
        cmocka_unit_test(types_of_vms_have_names),
        cmocka_unit_test(entries_double_until_the_table_fits),
        cmocka_unit_test(a_table_without_end_is_given_up),
        cmocka_unit_test(a_list_of_msrs_that_grows_is_read_again),
        cmocka_unit_test(a_list_of_msrs_that_never_fits_is_given_up),
        cmocka_unit_test(a_feature_msr_that_kvm_lacks_is_not_found),
        cmocka_unit_test(address_bits_are_the_guests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
