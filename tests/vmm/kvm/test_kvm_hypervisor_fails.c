/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * /dev/kvm that is not there, is none, or does not open: without KVM.
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

static void every_call_of_opening_and_duplicating_fails_once(void **state)
{
    (void)state;
    failing_run(use_handle, 0);
    failing_run(use_handle, FAKE_KVM_LONG_CPUID);
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
    if (!groups || strcmp(path, "/etc/group") != 0)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_opening_and_duplicating_fails_once),
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
