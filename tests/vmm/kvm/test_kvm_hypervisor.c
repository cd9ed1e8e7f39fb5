/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The handle of /dev/kvm, under real KVM.
 */
#include "vmm/kvm_guest.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct stasis_kvm kvm;
static struct stasis_error err;

static void new_opens(void)
{
    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    assert_true(kvm.fd >= 0);
    stasis_kvm_close(&kvm);
    stasis_kvm_close(&kvm);
}

static void new_with_path_opens(void)
{
    kvm_ok(stasis_kvm_open_path("/dev/kvm", &kvm, &err), &err);
    stasis_kvm_close(&kvm);
    /* Something that is no KVM, and something that is not there. */
    assert_int_equal(stasis_kvm_open_path("/dev/null", &kvm, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(stasis_kvm_open_path("/dev/null/kvm", &kvm, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, ENOTDIR);
}

static void vcpu_mmap_size_is_whole_pages(void)
{
    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    assert_true(kvm.run_size >= (size_t)sysconf(_SC_PAGESIZE));
    assert_int_equal(kvm.run_size % (size_t)sysconf(_SC_PAGESIZE), 0);
    stasis_kvm_close(&kvm);
}

static void check_capability_user_memory_is_there_and_s390_is_not(void)
{
    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    assert_true(stasis_kvm_cap(kvm.fd, KVM_CAP_USER_MEMORY));
    assert_int_equal(stasis_kvm_cap(kvm.fd, KVM_CAP_S390_USER_SIGP), 0);
    /* Values that are no flags. */
    assert_true(stasis_kvm_cap(kvm.fd, KVM_CAP_NR_MEMSLOTS) > 1);
    stasis_kvm_close(&kvm);
}

static void clone_outlives_the_original(void)
{
    struct stasis_kvm twin;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    kvm_ok(stasis_kvm_dup(&kvm, &twin, &err), &err);
    assert_int_not_equal(twin.fd, kvm.fd);
    assert_ptr_not_equal(twin.cpuid, kvm.cpuid);
    assert_int_equal(twin.cpuid->nent, kvm.cpuid->nent);
    stasis_kvm_close(&kvm);
    assert_int_equal(stasis_kvm_ioctl(twin.fd, KVM_GET_API_VERSION, NULL), KVM_API_VERSION);
    stasis_kvm_close(&twin);
}

static void get_supported_cpuid_is_not_empty(void)
{
    struct kvm_cpuid2 *cpuid;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    kvm_ok(stasis_kvm_supported_cpuid(&kvm, &cpuid, &err), &err);
    assert_true(cpuid->nent > 0);
    free(cpuid);
    stasis_kvm_close(&kvm);
}

static void get_emulated_cpuid_is_not_empty(void)
{
    struct kvm_cpuid2 *cpuid;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    kvm_ok(stasis_kvm_emulated_cpuid(&kvm, &cpuid, &err), &err);
    assert_true(cpuid->nent > 0);
    free(cpuid);
    stasis_kvm_close(&kvm);
}

static void supported_cpuid_of_4_entries_is_too_small_and_doubles(void)
{
    struct kvm_cpuid2 *small = calloc(1, sizeof(*small) + 4 * sizeof(small->entries[0]));
    struct kvm_cpuid2 *cpuid;

    assert_non_null(small);
    small->nent = 4;
    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    assert_int_equal(stasis_kvm_call(kvm.fd, KVM_GET_SUPPORTED_CPUID, "small", small, &err),
                     STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, E2BIG);
    free(small);
    kvm_ok(stasis_kvm_read_cpuid(kvm.fd, KVM_GET_SUPPORTED_CPUID, "table", 4, &cpuid, &err), &err);
    assert_true(cpuid->nent > 4);
    free(cpuid);
    stasis_kvm_close(&kvm);
}

static void msr_list_of_0_is_too_small_and_says_how_many(void)
{
    struct kvm_msr_list probe = {.nmsrs = 0};
    struct kvm_msr_list *list;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    assert_int_equal(stasis_kvm_call(kvm.fd, KVM_GET_MSR_INDEX_LIST, "small", &probe, &err),
                     STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, E2BIG);
    kvm_ok(stasis_kvm_msr_list(&kvm, &list, &err), &err);
    assert_int_equal(list->nmsrs, probe.nmsrs);
    free(list);
    stasis_kvm_close(&kvm);
}

static void get_msr_index_list_has_at_least_2(void)
{
    struct kvm_msr_list *list;
    bool has_tsc = false;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    kvm_ok(stasis_kvm_msr_list(&kvm, &list, &err), &err);
    assert_true(list->nmsrs >= 2);
    for (uint32_t i = 0; i < list->nmsrs; i++)
        has_tsc |= list->indices[i] == 0x10;
    assert_true(has_tsc);
    free(list);
    stasis_kvm_close(&kvm);
}

/* Each that is listed can be read. */
static void feature_msrs_are_read(void)
{
    struct kvm_msr_list *list;
    uint64_t value;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    if (!stasis_kvm_cap(kvm.fd, KVM_CAP_GET_MSR_FEATURES)) {
        assert_int_equal(stasis_kvm_msr_features(&kvm, &list, &err), STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_kvm_msr_features(&kvm, &list, &err), &err);
    for (uint32_t i = 0; i < list->nmsrs; i++)
        kvm_ok(stasis_kvm_msr_feature(&kvm, list->indices[i], &value, &err), &err);
    free(list);
    stasis_kvm_close(&kvm);
}

static void an_unknown_feature_msr_is_not_found(void)
{
    uint64_t value;

    kvm_skip_if_msrs_are_ignored();
    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    if (!stasis_kvm_cap(kvm.fd, KVM_CAP_GET_MSR_FEATURES))
        kvm_case_skip("this KVM has no feature MSRs");
    assert_int_equal(stasis_kvm_msr_feature(&kvm, KVM_UNKNOWN_MSR, &value, &err),
                     STASIS_ERR_NOT_FOUND);
    stasis_kvm_close(&kvm);
}

static void get_guest_phys_addr_bits_is_a_cpus(void)
{
    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    assert_in_range(stasis_kvm_address_bits(&kvm), 32, 52);
    stasis_kvm_close(&kvm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(new_opens),
        KVM_CASE(new_with_path_opens),
        KVM_CASE(vcpu_mmap_size_is_whole_pages),
        KVM_CASE(check_capability_user_memory_is_there_and_s390_is_not),
        KVM_CASE(clone_outlives_the_original),
        KVM_CASE(get_supported_cpuid_is_not_empty),
        KVM_CASE(get_emulated_cpuid_is_not_empty),
        KVM_CASE(supported_cpuid_of_4_entries_is_too_small_and_doubles),
        KVM_CASE(msr_list_of_0_is_too_small_and_says_how_many),
        KVM_CASE(get_msr_index_list_has_at_least_2),
        KVM_CASE(feature_msrs_are_read),
        KVM_CASE(an_unknown_feature_msr_is_not_found),
        KVM_CASE(get_guest_phys_addr_bits_is_a_cpus),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
