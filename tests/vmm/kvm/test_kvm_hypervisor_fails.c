/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * /dev/kvm that is not there, is none, or fails: without KVM.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/kvm.h"

static int use_handle(struct stasis_error *err)
{
    struct stasis_kvm kvm = {.fd = -1}, twin = {.fd = -1};
    int rc = stasis_kvm_open(&kvm, err);

    if (!rc) {
        failing_fill(twin);
        rc = stasis_kvm_dup(&kvm, &twin, err);
        failing_unchanged(rc, twin);
        if (rc)
            twin = (struct stasis_kvm){.fd = -1};
    }
    stasis_kvm_close(&kvm);
    stasis_kvm_close(&twin);
    return rc;
}

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

static void every_call_of_opening_and_duplicating_fails_once(void **state)
{
    (void)state;
    failing_run(use_handle, 0);
    failing_run(use_handle, FAKE_KVM_LONG_CPUID);
}

static void every_call_of_reading_the_lists_fails_once(void **state)
{
    (void)state;
    failing_run(use_lists, 0);
    failing_run(use_lists, FAKE_KVM_LONG_CPUID);
}

static void open_failing(int number, const char *text)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    fake_kvm = (struct fake_kvm){.fail_at = 1, .fail_errno = number, .counts_system = true};
    failing_fill(kvm);
    assert_int_equal(stasis_kvm_open(&kvm, &err), STASIS_ERR_UNAVAILABLE);
    failing_check(&kvm, sizeof(kvm));
    assert_int_equal(err.os_errno, number);
    assert_non_null(strstr(err.msg, text));
}

static void a_device_that_does_not_open_says_what_to_do(void **state)
{
    (void)state;
    open_failing(ENOENT, "load kvm_intel or kvm_amd");
    open_failing(ENODEV, "load kvm_intel or kvm_amd");
    open_failing(ENXIO, "load kvm_intel or kvm_amd");
    open_failing(EACCES, "may not be opened");
    open_failing(EPERM, "may not be opened");
    open_failing(EMFILE, "/dev/kvm does not open");
}

static void refused_by_rights(const char *path, const char *words)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    fake_kvm =
        (struct fake_kvm){.path = path, .fail_at = 1, .fail_errno = EACCES, .counts_system = true};
    assert_int_equal(stasis_kvm_open_path(path, &kvm, &err), STASIS_ERR_UNAVAILABLE);
    fake_kvm.path = NULL; /* the caller's, which ends before the fake does */
    assert_int_equal(err.os_errno, EACCES);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
}

/* What /etc/group holds; NULL: what it holds on this host. */
static const char *groups;

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode) __attribute__((alias("__wrap_fopen")));

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (!groups || strcmp(path, "/etc/group"))
        return __real_fopen(path, mode);
    return *groups ? fmemopen((void *)(uintptr_t)groups, strlen(groups), "r") : NULL;
}

static void a_device_that_may_not_be_opened_names_its_group(void **state)
{
    static const mode_t none[] = {0600, 0640, 0620, 0606}, some[] = {0660, 0671, 0060, 0666};
    char path[] = "/tmp/stasis-kvm-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(fchmod(fd, none[i]), 0);
        refused_by_rights(path, "no group may");
        assert_int_equal(fchmod(fd, some[i]), 0);
        refused_by_rights(path, "join its group, which is ");
    }
    if (!fchown(fd, (uid_t)-1, 987654321)) /* as root; it has no name */
        refused_by_rights(path, "join its group, which is 987654321,");
    if (!fchown(fd, (uid_t)-1, 0)) /* that of root has the same everywhere */
        refused_by_rights(path, "join its group, which is root,");
    close(fd);
    unlink(path);
    refused_by_rights(path, "no group may");
}

/* The text, with the number in place of each 107. */
static const char *with_number(const char *text, gid_t gid)
{
    static char made[512];
    const char *at;
    size_t len = 0;

    while ((at = strstr(text, "107"))) {
        len += (size_t)snprintf(made + len, sizeof(made) - len, "%.*s%u", (int)(at - text), text,
                                (unsigned)gid);
        text = at + 3;
    }
    snprintf(made + len, sizeof(made) - len, "%s", text);
    return made;
}

/* Lines as group(5) has them, and some that it has not. */
static void the_group_is_found_by_its_number_only(void **state)
{
    static const struct {
        const char *lines, *name; /* of group 107, which root has and others need not have */
    } cases[] = {
        {"root:x:0:\nkvm:x:107:a,b\n", "kvm,"},
        {"kvm::107:\n", "kvm,"},
        {"kvm:x:107", "kvm,"},
        {"one:x:107:\ntwo:x:107:\n", "one,"},
        {"a:x:10:\nb:x:1071:\nc:107:7:\n107:x:108:\n", "107,"},
        {"a:x:107:\nb", "a,"},
        {"no colon\n:x:107:\n+:x::\nx:\nfar:x:107:", "far,"},
        {"minus:x:-18446744073709551509:\nspace:x: 107:\nplus:x:+107:\n", "107,"},
        {"", "107,"}, /* no file */
    };
    char path[] = "/tmp/stasis-kvm-XXXXXX";
    int fd = mkstemp(path);
    struct stat file;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0660), 0);
    (void)!fchown(fd, (uid_t)-1, 107);
    assert_int_equal(fstat(fd, &file), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char words[64];

        snprintf(words, sizeof(words), "join its group, which is %s",
                 with_number(cases[i].name, file.st_gid));
        groups = with_number(cases[i].lines, file.st_gid);
        refused_by_rights(path, words);
    }
    groups = NULL;
    close(fd);
    unlink(path);
}

static bool answers_no_tty(unsigned long request, void *arg, int *ret_result)
{
    (void)arg;
    *ret_result = -1;
    errno = ENOTTY;
    return request == KVM_GET_API_VERSION;
}

static void a_passed_descriptor_is_kvm_or_refused(void **state)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct stasis_kvm kvm;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_no_tty};
    failing_fill(kvm);
    assert_int_equal(stasis_kvm_open_fd(null, &kvm, &err), STASIS_ERR_UNAVAILABLE);
    failing_check(&kvm, sizeof(kvm));
    assert_non_null(strstr(err.msg, "is not /dev/kvm; open that"));
    close(null);
    assert_int_equal(stasis_kvm_open_fd(null, &kvm, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, EBADF);
    failing_check(&kvm, sizeof(kvm));
}

static int use_descriptor(struct stasis_error *err)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    struct stasis_kvm kvm = {.fd = -1};
    int rc = fd < 0 ? stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "the test's open")
                    : stasis_kvm_open_fd(fd, &kvm, err);

    if (!rc)
        assert_int_not_equal(kvm.fd, fd);
    stasis_kvm_close(&kvm);
    if (fd >= 0)
        assert_int_equal(close(fd), 0); /* it is ours still */
    return rc;
}

static void every_call_of_taking_a_descriptor_fails_once(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){0};
    failing_run(use_descriptor, 0);
}

static void another_path_is_named(void **state)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){0};
    assert_int_equal(stasis_kvm_open_path("/nowhere/kvm", &kvm, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, ENOENT);
    assert_non_null(strstr(err.msg, "no /nowhere/kvm"));
}

static void another_api_is_no_kvm(void **state)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_OTHER_API};
    assert_int_equal(stasis_kvm_open(&kvm, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "API version 11, not 12"));
}

static int run_size;

static bool answers_run_size(unsigned long request, void *arg, int *ret_result)
{
    (void)arg;
    *ret_result = run_size;
    return request == KVM_GET_VCPU_MMAP_SIZE;
}

static void a_run_structure_that_is_too_small_is_refused(void **state)
{
    struct stasis_kvm kvm;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_run_size};
    run_size = sizeof(struct kvm_run) - 1;
    assert_int_equal(stasis_kvm_open(&kvm, &err), STASIS_ERR_KVM);
    assert_non_null(strstr(err.msg, "KVM_GET_VCPU_MMAP_SIZE gives "));
    run_size++;
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(kvm.run_size, sizeof(struct kvm_run));
    stasis_kvm_close(&kvm);
}

static void a_duplicate_has_all_that_the_handle_has(void **state)
{
    struct stasis_kvm kvm, twin;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){0};
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(stasis_kvm_dup(&kvm, &twin, &err), 0);
    assert_int_not_equal(twin.fd, kvm.fd);
    assert_ptr_not_equal(twin.cpuid, kvm.cpuid);
    assert_in_range(kvm.cpuid->nent, 10, 100);
    assert_memory_equal(twin.cpuid, kvm.cpuid,
                        sizeof(*kvm.cpuid) + kvm.cpuid->nent * sizeof(kvm.cpuid->entries[0]));
    assert_int_equal(twin.run_size, kvm.run_size);
    assert_true(twin.has_xcrs && twin.has_tsc_control);
    stasis_kvm_close(&kvm);
    stasis_kvm_close(&twin);
}

/* The second time the number may be that of another file. */
static void a_handle_may_be_closed_twice(void **state)
{
    struct stasis_kvm kvm;
    int other;

    (void)state;
    fake_kvm = (struct fake_kvm){0};
    assert_int_equal(stasis_kvm_open(&kvm, NULL), 0);
    stasis_kvm_close(&kvm);
    other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(other >= 0);
    stasis_kvm_close(&kvm);
    assert_int_equal(close(other), 0);
    assert_null(kvm.cpuid);
}

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
        cmocka_unit_test(every_call_of_opening_and_duplicating_fails_once),
        cmocka_unit_test(every_call_of_reading_the_lists_fails_once),
        cmocka_unit_test(a_device_that_does_not_open_says_what_to_do),
        cmocka_unit_test(a_device_that_may_not_be_opened_names_its_group),
        cmocka_unit_test(the_group_is_found_by_its_number_only),
        cmocka_unit_test(a_passed_descriptor_is_kvm_or_refused),
        cmocka_unit_test(every_call_of_taking_a_descriptor_fails_once),
        cmocka_unit_test(another_path_is_named),
        cmocka_unit_test(another_api_is_no_kvm),
        cmocka_unit_test(a_run_structure_that_is_too_small_is_refused),
        cmocka_unit_test(a_duplicate_has_all_that_the_handle_has),
        cmocka_unit_test(a_handle_may_be_closed_twice),
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
