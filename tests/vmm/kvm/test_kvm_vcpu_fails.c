/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vCPUs without KVM: how they are made and duplicated, who may run them, and what is left when any
 * call fails.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "stasis/kvm_vcpu.h"

static struct stasis_kvm kvm;
static struct stasis_vm vm;
static struct stasis_vcpu first, second;
static struct stasis_error err;

/* The fake's run pages say nothing (reason 0), and that is fine with us. */
static enum stasis_vcpu_next run_on(void *ctx, struct stasis_vcpu *vcpu,
                                    const struct stasis_vcpu_exit *exit)
{
    (void)ctx;
    (void)vcpu;
    return exit->reason == STASIS_VCPU_EXIT_shutdown ? STASIS_VCPU_END : STASIS_VCPU_RUN_ON;
}

static const struct stasis_exit_ops ops = {.event = run_on};

static void make(struct stasis_vcpu *vcpu, uint32_t id)
{
    assert_int_equal(stasis_vcpu_init(vcpu, &vm, id, &ops, NULL, &err), 0);
}

static int set_up(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.flaws = 0};
    if (stasis_kvm_open(&kvm, &err) || stasis_vm_create(&vm, &kvm, NULL, &err))
        return -1;
    make(&first, 0);
    make(&second, 1);
    fake_kvm.count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.flaws = 0};
    stasis_vcpu_fini(&first);
    stasis_vcpu_fini(&second);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
    return 0;
}

/* ---- life ---- */

static unsigned run_pages(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned count = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        count += strstr(line, "memfd:kvm") != NULL;
    fclose(file);
    return count;
}

static void assert_not_made(unsigned call, enum stasis_err code, const char *text)
{
    const struct stasis_vcpu before = {.fd = 77, .id = 5};
    struct stasis_vcpu vcpu = before;
    unsigned pages = run_pages();
    int rc;

    fake_kvm = (struct fake_kvm){.fail_at = call, .fail_errno = EEXIST, .counts_system = true};
    rc = stasis_vcpu_init(&vcpu, &vm, 2, &ops, NULL, &err);
    fake_kvm.counts_system = false;
    assert_int_equal(rc, code);
    assert_non_null(strstr(err.msg, text));
    assert_memory_equal(&vcpu, &before, sizeof(vcpu));
    assert_int_equal(run_pages(), pages);
}

static void a_vcpu_that_is_not_made_says_why(void **state)
{
    (void)state;
    assert_not_made(1, STASIS_ERR_UNAVAILABLE, "KVM cannot make vCPU 2");
    assert_int_equal(err.os_errno, EEXIST);
    assert_not_made(2, STASIS_ERR_NOMEM, "no memory for vCPU 2");
    assert_not_made(3, STASIS_ERR_KVM, "struct kvm_run of vCPU 2");
}

/* What a VMM does with vCPUs, from opening KVM to closing it. */
static int use_vcpus(struct stasis_error *error)
{
    struct stasis_kvm device = {.fd = -1};
    struct stasis_vm machine = {.fd = -1};
    struct stasis_vcpu vcpu, twin;
    bool made = false, doubled = false;
    int rc = stasis_kvm_open(&device, error);

    if (!rc)
        rc = stasis_vm_create(&machine, &device, NULL, error);
    if (!rc) {
        failing_fill(vcpu);
        rc = stasis_vcpu_init(&vcpu, &machine, 0, &ops, NULL, error);
        failing_unchanged(rc, vcpu);
        made = !rc;
    }
    if (!rc) {
        failing_fill(twin);
        rc = stasis_vcpu_dup(&vcpu, &twin, error);
        failing_unchanged(rc, twin);
        doubled = !rc;
    }
    if (!rc)
        rc = stasis_vcpu_set_signal_mask(&twin, NULL, error);
    if (!rc)
        rc = stasis_vcpu_kvmclock_ctrl(&twin, error);
    if (!rc)
        rc = stasis_vcpu_interrupt(&twin, 0x20, error);
    if (!rc)
        rc = stasis_vcpu_nmi(&twin, error);
    if (doubled)
        stasis_vcpu_fini(&twin);
    if (made)
        stasis_vcpu_fini(&vcpu);
    stasis_vm_fini(&machine);
    stasis_kvm_close(&device);
    return rc;
}

static void every_call_of_using_vcpus_fails_once(void **state)
{
    unsigned pages = run_pages();

    (void)state;
    failing_run(use_vcpus, 0);
    assert_int_equal(run_pages(), pages);
}

static void duplicates_share_the_run_page_and_end_in_any_order(void **state)
{
    struct stasis_vcpu original, duplicate, third;
    unsigned pages;

    (void)state;
    make(&original, 2);
    pages = run_pages();
    assert_int_equal(stasis_vcpu_dup(&original, &duplicate, &err), 0);
    assert_int_equal(stasis_vcpu_dup(&duplicate, &third, &err), 0);
    assert_int_not_equal(duplicate.fd, original.fd);
    assert_ptr_equal(duplicate.run, original.run);
    assert_int_equal(duplicate.id, 2);
    assert_int_equal(run_pages(), pages);
    stasis_vcpu_fini(&original);
    stasis_vcpu_set_immediate_exit(&duplicate, true);
    assert_int_equal(third.run->immediate_exit, 1);
    stasis_vcpu_fini(&third);
    assert_int_equal(run_pages(), pages);
    assert_int_equal(stasis_vcpu_run_once(&duplicate), 0);
    assert_int_equal(stasis_vcpu_exit_count(&duplicate, STASIS_VCPU_EXIT_unknown), 1);
    stasis_vcpu_fini(&duplicate);
    assert_int_equal(run_pages(), pages - 1);
}

static void a_duplicate_without_a_descriptor_is_none(void **state)
{
    const struct stasis_vcpu before = {.fd = 77};
    struct stasis_vcpu duplicate = before;
    struct rlimit limit, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(stasis_vcpu_dup(&first, &duplicate, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_non_null(strstr(err.msg, "duplicate the descriptor of vCPU 0"));
    assert_memory_equal(&duplicate, &before, sizeof(before));
}

/* ---- run handles ---- */

static void assert_busy(struct stasis_vcpu *vcpu, const char *text)
{
    struct stasis_run_handle handle = {.vcpu = &second};

    assert_int_equal(stasis_run_handle_take(&handle, vcpu, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EBUSY);
    assert_non_null(strstr(err.msg, text));
    assert_ptr_equal(handle.vcpu, &second);
}

static void take(struct stasis_run_handle *handle, struct stasis_vcpu *vcpu)
{
    assert_int_equal(stasis_run_handle_take(handle, vcpu, &err), 0);
    assert_ptr_equal(handle->vcpu, vcpu);
}

static void give_back(struct stasis_run_handle *handle)
{
    assert_int_equal(stasis_run_handle_give_back(handle, &err), 0);
    assert_null(handle->vcpu);
}

static void a_handle_can_be_taken_again(void **state)
{
    struct stasis_run_handle handle;

    (void)state;
    for (int i = 0; i < 3; i++) {
        take(&handle, &first);
        assert_int_equal(stasis_run_handle_run(&handle, &err), 0);
        give_back(&handle);
    }
}

static void a_taken_vcpu_is_busy(void **state)
{
    struct stasis_run_handle handle;
    struct stasis_vcpu duplicate;

    (void)state;
    take(&handle, &first);
    assert_int_equal(stasis_vcpu_dup(&first, &duplicate, &err), 0);
    assert_busy(&first, "its run handle is in use");
    assert_busy(&duplicate, "its run handle is in use");
    give_back(&handle);
    take(&handle, &duplicate);
    assert_busy(&first, "its run handle is in use");
    give_back(&handle);
    stasis_vcpu_fini(&duplicate);
}

/* The vCPU that a busy thread could not take is as it was. */
static void a_thread_has_one_handle(void **state)
{
    struct stasis_run_handle handle, other;

    (void)state;
    take(&handle, &first);
    assert_busy(&second, "this thread has the run handle of another");
    give_back(&handle);
    take(&other, &second);
    assert_int_equal(stasis_run_handle_run(&other, &err), 0);
    give_back(&other);
}

static void assert_refused(struct stasis_run_handle *handle, const char *text)
{
    struct stasis_error why = {.code = STASIS_OK};
    size_t calls = fake_kvm.count;

    assert_int_equal(stasis_run_handle_run(handle, &why), STASIS_ERR_ARG);
    assert_int_equal(why.os_errno, EPERM);
    assert_non_null(strstr(why.msg, text));
    assert_int_equal(stasis_run_handle_give_back(handle, &why), STASIS_ERR_ARG);
    assert_int_equal(why.os_errno, EPERM);
    assert_int_equal(fake_kvm.count, calls); /* nothing was run */
}

static void a_handle_that_was_given_back_is_refused(void **state)
{
    struct stasis_run_handle handle;

    (void)state;
    take(&handle, &first);
    give_back(&handle);
    assert_refused(&handle, "the run handle has been given back");
}

static void *use_of_another_thread(void *handle)
{
    struct stasis_run_handle mine;

    assert_refused(handle, "the run handle of vCPU 0 is another thread's");
    assert_busy(&first, "its run handle is in use");
    take(&mine, &second); /* this thread has none yet */
    assert_refused(handle, "the run handle of vCPU 0 is another thread's");
    assert_int_equal(stasis_run_handle_run(&mine, &err), 0);
    give_back(&mine);
    return NULL;
}

static void in_a_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void another_thread_is_refused(void **state)
{
    struct stasis_run_handle handle;

    (void)state;
    take(&handle, &first);
    in_a_thread(use_of_another_thread, &handle);
    assert_int_equal(stasis_run_handle_run(&handle, &err), 0);
    give_back(&handle);
}

static void *take_and_give_back(void *arg)
{
    struct stasis_run_handle handle;

    (void)arg;
    take(&handle, &first);
    assert_int_equal(stasis_run_handle_run(&handle, &err), 0);
    give_back(&handle);
    return NULL;
}

static void a_vcpu_moves_from_thread_to_thread(void **state)
{
    (void)state;
    in_a_thread(take_and_give_back, NULL);
    in_a_thread(take_and_give_back, NULL);
    (void)take_and_give_back(NULL);
}

static void a_vcpu_that_ends_gives_its_handle_back(void **state)
{
    struct stasis_run_handle handle;
    struct stasis_vcpu vcpu;

    (void)state;
    make(&vcpu, 2);
    take(&handle, &vcpu);
    stasis_vcpu_fini(&vcpu);
    stasis_vcpu_set_local_immediate_exit(true); /* touches nothing */
    take(&handle, &first);
    give_back(&handle);
}

static void the_end_of_the_guest_is_an_error(void **state)
{
    struct stasis_run_handle handle;

    (void)state;
    take(&handle, &first);
    first.run->exit_reason = KVM_EXIT_SHUTDOWN;
    assert_int_equal(stasis_run_handle_run(&handle, &err), STASIS_ERR_GUEST);
    assert_string_equal(err.msg, "the guest ended on vCPU 0");
    fake_kvm.fail_at = (unsigned)fake_kvm.count + 1;
    fake_kvm.fail_errno = EINTR;
    assert_int_equal(stasis_run_handle_run(&handle, &err), 1);
    give_back(&handle);
}

static void immediate_exit_is_set_for_the_thread_that_runs(void **state)
{
    struct stasis_run_handle handle;

    (void)state;
    stasis_vcpu_set_local_immediate_exit(true);
    take(&handle, &second);
    stasis_vcpu_set_local_immediate_exit(true);
    assert_int_equal(second.run->immediate_exit, 1);
    assert_int_equal(first.run->immediate_exit, 0);
    stasis_vcpu_set_local_immediate_exit(false);
    assert_int_equal(second.run->immediate_exit, 0);
    give_back(&handle);
    stasis_vcpu_set_local_immediate_exit(true);
    assert_int_equal(second.run->immediate_exit, 0);
}

/* ---- single calls ---- */

static int signal_mask(void)
{
    const uint64_t none = 0;

    return stasis_vcpu_set_signal_mask(&first, &none, &err);
}

static int no_signal_mask(void)
{
    return stasis_vcpu_set_signal_mask(&first, NULL, &err);
}

static int kvmclock_ctrl(void)
{
    return stasis_vcpu_kvmclock_ctrl(&first, &err);
}

static int interrupt(void)
{
    return stasis_vcpu_interrupt(&first, 0x20, &err);
}

static int nmi(void)
{
    return stasis_vcpu_nmi(&first, &err);
}

static void each_call_is_one_ioctl_and_names_it_when_it_fails(void **state)
{
    static const struct {
        int (*call)(void);
        unsigned long request;
        const char *name;
    } calls[] = {
        {signal_mask, KVM_SET_SIGNAL_MASK, "KVM_SET_SIGNAL_MASK"},
        {no_signal_mask, KVM_SET_SIGNAL_MASK, "KVM_SET_SIGNAL_MASK"},
        {kvmclock_ctrl, KVM_KVMCLOCK_CTRL, "KVM_KVMCLOCK_CTRL"},
        {interrupt, KVM_INTERRUPT, "KVM_INTERRUPT"},
        {nmi, KVM_NMI, "KVM_NMI"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        fake_kvm = (struct fake_kvm){.flaws = 0};
        assert_int_equal(calls[i].call(), 0);
        assert_int_equal(fake_kvm.count, 1);
        assert_int_equal(fake_kvm.calls[0], calls[i].request);
        fake_kvm = (struct fake_kvm){.fail_at = 1, .fail_errno = ENXIO};
        assert_int_equal(calls[i].call(), STASIS_ERR_KVM);
        assert_int_equal(err.os_errno, ENXIO);
        assert_non_null(strstr(err.msg, calls[i].name));
    }
}

static void a_guest_without_kvmclock_has_nothing_to_be_told(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.fail_at = 1, .fail_errno = EINVAL};
    assert_int_equal(kvmclock_ctrl(), 0);
}

static void the_interrupt_window_is_in_the_run_page(void **state)
{
    (void)state;
    stasis_vcpu_request_interrupt_window(&first, true);
    assert_int_equal(first.run->request_interrupt_window, 1);
    stasis_vcpu_request_interrupt_window(&first, false);
    assert_int_equal(first.run->request_interrupt_window, 0);
    assert_false(stasis_vcpu_is_ready_for_interrupt(&first));
    first.run->ready_for_interrupt_injection = 1;
    assert_true(stasis_vcpu_is_ready_for_interrupt(&first));
}

/* Each part of an access is an exit; immediate_exit is not left behind, whatever happens. */
static void io_is_completed_part_by_part(void **state)
{
    (void)state;
    fake_kvm.fail_at = 3;
    fake_kvm.fail_errno = EINTR;
    assert_int_equal(stasis_vcpu_complete_io(&first, &err), 0);
    assert_int_equal(fake_kvm.count, 3);
    assert_int_equal(first.run->immediate_exit, 0);
    first.run->exit_reason = KVM_EXIT_SHUTDOWN;
    assert_int_equal(stasis_vcpu_complete_io(&first, &err), STASIS_ERR_GUEST);
    assert_non_null(strstr(err.msg, "while vCPU 0 completed an access"));
    assert_int_equal(first.run->immediate_exit, 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_vcpu_that_is_not_made_says_why),
        CASE(every_call_of_using_vcpus_fails_once),
        CASE(duplicates_share_the_run_page_and_end_in_any_order),
        CASE(a_duplicate_without_a_descriptor_is_none),
        CASE(a_handle_can_be_taken_again),
        CASE(a_taken_vcpu_is_busy),
        CASE(a_thread_has_one_handle),
        CASE(a_handle_that_was_given_back_is_refused),
        CASE(another_thread_is_refused),
        CASE(a_vcpu_moves_from_thread_to_thread),
        CASE(a_vcpu_that_ends_gives_its_handle_back),
        CASE(the_end_of_the_guest_is_an_error),
        CASE(immediate_exit_is_set_for_the_thread_that_runs),
        CASE(each_call_is_one_ioctl_and_names_it_when_it_fails),
        CASE(a_guest_without_kvmclock_has_nothing_to_be_told),
        CASE(the_interrupt_window_is_in_the_run_page),
        CASE(io_is_completed_part_by_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
