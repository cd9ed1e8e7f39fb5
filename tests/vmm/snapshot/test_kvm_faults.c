/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every ioctl that a freeze, a thaw and the start of a new guest ask of KVM fails once.
 */
#include "vmm/snapshot/kvm_faults.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stasis/snap.h"
#include "vmm/base/clock.h"

#define CALLS_MAX   1000
#define PATIENCE_US 300000000 /* that a guest may be silent */

static struct session session; /* pid 0: none runs */

static int end(void)
{
    int status = session_end(&session);

    session.pid = 0;
    return status;
}

/* A test that failed has left its guest running. */
static int end_by_force(void **state)
{
    (void)state;
    if (session.pid) {
        kill(session.pid, SIGKILL);
        (void)end();
    }
    return 0;
}

/* ---- the file ---- */

static struct session_folder folder;
static char old_bytes[2 << 20], now_bytes[2 << 20];
static size_t old_len;

static void read_old(void)
{
    old_len = session_read_file(folder.file, old_bytes, sizeof(old_bytes));
}

static bool is_old(void)
{
    size_t len = session_read_file(folder.file, now_bytes, sizeof(now_bytes));

    return len == old_len && !memcmp(now_bytes, old_bytes, len);
}

static void assert_is_whole(void)
{
    struct stasis_snap *snap;
    struct stasis_error err;

    kvm_ok(stasis_snap_open(folder.file, NULL, &snap, &err), &err);
    kvm_ok(stasis_snap_verify(snap, 1, NULL, NULL, &err), &err);
    stasis_snap_free(snap);
}

/* A folder can be removed only when nothing but the snapshot was in it. */
static void assert_nothing_else_is_there(void)
{
    assert_int_equal(unlink(folder.file), 0);
    assert_int_equal(rmdir(folder.path), 0);
}

/* What KVM is asked whether it has, and says it has not, is done without. The rest has nobody to
 * fail for: a guest may have no kvmclock, and a line cannot fail where there are chips. */
static void assert_may_pass(unsigned number)
{
    unsigned long request = atomic_load(&kvm_faults->failed);

    if (request != KVM_CHECK_EXTENSION && request != KVM_HAS_DEVICE_ATTR &&
        request != KVM_KVMCLOCK_CTRL && request != KVM_IRQ_LINE)
        fail_msg("ioctl 0x%lx, number %u, failed, and nobody noticed", request, number);
}

/* ---- freezing ---- */

static void start_demo(void)
{
    static char out[128];
    static const char *const argv[] = {"vmm", "--demo", "--memory", "8", "--snapshot-out", out};

    session_folder_init(&folder);
    snprintf(out, sizeof(out), "%s,then=resume", folder.file);
    kvm_faults_start(&session, 6, argv);
    session_wait_out(&session, "tick 1 ");
}

/* Asks for a snapshot and waits for the one line about it, and then for the guest to go on. */
static void ask_for_snapshot(void)
{
    uint64_t begin;
    unsigned tick;

    session.err_len = 0;
    memset(session.err_text, 0, sizeof(session.err_text));
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "\n");
    begin = stasis_monotonic_us();
    for (tick = session_last_tick(&session); session_last_tick(&session) == tick;) {
        if (session.out < 0 || stasis_monotonic_us() - begin > PATIENCE_US)
            fail_msg("the guest does not go on after \"%s\"", session.err_text);
        session_pump(&session, 1000);
    }
}

/* The guest counted on, from its first tick to the last, as if nothing had been. */
static void end_demo(void)
{
    char nonce[33] = "";

    session_type(&session, "q");
    assert_int_equal(end(), 0);
    assert_true(session_check_ticks(session.out_text, session.out_len, 1, nonce) >= 1);
    assert_nothing_else_is_there();
}

/* Returns whether the freeze with the n-th call failing did fail. */
static bool freeze_with_fault(unsigned number)
{
    atomic_store(&kvm_faults->left, number);
    ask_for_snapshot();
    if (is_old()) {
        session_assert_one_line(&session, "cannot freeze the guest: ");
        session_assert_one_line(&session, strerror(EIO));
        session_assert_one_line(&session, "; the guest keeps running");
        return true;
    }
    session_assert_one_line(&session, "frozen to ");
    assert_is_whole();
    read_old();
    return false;
}

static void every_ioctl_of_a_freeze_fails_once(void **state)
{
    unsigned number = 1;
    unsigned refused = 0;

    (void)state;
    start_demo();
    ask_for_snapshot();
    assert_is_whole();
    read_old();
    for (;; number++) {
        bool failed = freeze_with_fault(number);

        assert_in_range(number, 1, CALLS_MAX);
        refused += failed;
        if (atomic_exchange(&kvm_faults->left, 0))
            break; /* there were not that many */
        if (!failed)
            assert_may_pass(number);
    }
    end_demo();
    printf("  EIO at each of %u ioctls of a freeze: %u refused, the guest went on each time\n",
           number - 1, refused);
    assert_true(refused >= 15);
}

static void a_freeze_bears_interrupted_ioctls(void **state)
{
    (void)state;
    start_demo();
    atomic_store(&kvm_faults->interrupted, 0);
    atomic_store(&kvm_faults->interrupt_each, true);
    ask_for_snapshot();
    atomic_store(&kvm_faults->interrupt_each, false);
    session_assert_one_line(&session, "frozen to ");
    assert_is_whole();
    end_demo();
    assert_true(atomic_load(&kvm_faults->interrupted) >= 15);
}

/* ---- thawing ---- */

static void make_snapshot(void)
{
    start_demo();
    ask_for_snapshot();
    session_type(&session, "q");
    assert_int_equal(end(), 0);
    read_old();
}

static void start_thaw(const char *memory)
{
    static char path[128];
    static const char *const argv[] = {"vmm", "--restore", path};

    snprintf(path, sizeof(path), "path=%s,memory=%s", folder.file, memory);
    kvm_faults_start(&session, 3, argv);
}

/* Waits until the guest prints or the program ends. False: it ends. */
static bool goes_on(void)
{
    while (session.out >= 0 && !session.out_len)
        session_pump(&session, 1000);
    return session.out_len > 0;
}

static void assert_clean_refusal(int status, unsigned long request)
{
    session_assert_one_line(&session, "vmm: ");
    assert_int_equal(session.out_len, 0);
    if (request == KVM_CHECK_EXTENSION || request == KVM_GET_API_VERSION) {
        assert_int_equal(status, stasis_err_exit_status(STASIS_ERR_UNAVAILABLE));
        return;
    }
    session_assert_one_line(&session, strerror(EIO));
    assert_true(status == stasis_err_exit_status(STASIS_ERR_KVM) ||
                status == stasis_err_exit_status(STASIS_ERR_UNAVAILABLE));
}

/* Returns whether what began with the n-th call failing was refused: the thaw of the snapshot, or,
 * with no way to serve its memory, a new guest. */
static bool begin_with_fault(unsigned number, const char *memory)
{
    static const char *const demo[] = {"vmm", "--demo", "--memory", "8"};
    bool refused;
    int status;

    atomic_store(&kvm_faults->failed, 0);
    atomic_store(&kvm_faults->left, number);
    if (memory)
        start_thaw(memory);
    else
        kvm_faults_start(&session, 4, demo);
    refused = !goes_on();
    if (!refused)
        session_type(&session, "q");
    status = end();
    if (refused)
        assert_clean_refusal(status, atomic_load(&kvm_faults->failed));
    else
        assert_int_equal(status, 0);
    assert_true(!memory || is_old());
    return refused;
}

/* What comes after the first KVM_RUN is the guest's. */
static void fail_each_ioctl(const char *memory, unsigned refused_min)
{
    unsigned number = 1;
    unsigned refused = 0;

    atomic_store(&kvm_faults->until_run, true);
    for (;; number++) {
        bool failed = begin_with_fault(number, memory);

        assert_in_range(number, 1, CALLS_MAX);
        if (!atomic_load(&kvm_faults->failed))
            break;
        if (!failed)
            assert_may_pass(number);
        refused += failed;
    }
    atomic_store(&kvm_faults->until_run, false);
    printf("  EIO at each of %u ioctls of a %s%s: %u refused, %u done without\n", number - 1,
           memory ? "thaw, memory=" : "new guest", memory ? memory : "", refused,
           number - 1 - refused);
    assert_true(refused >= refused_min);
}

static void every_ioctl_of_a_thaw_fails_once(void **state)
{
    make_snapshot();
    fail_each_ioctl(*state, 40);
    assert_nothing_else_is_there();
}

static void every_ioctl_of_a_new_guest_fails_once(void **state)
{
    (void)state;
    fail_each_ioctl(NULL, 20);
}

static void a_thaw_bears_interrupted_ioctls(void **state)
{
    make_snapshot();
    atomic_store(&kvm_faults->interrupted, 0);
    atomic_store(&kvm_faults->interrupt_each, true);
    start_thaw(*state);
    assert_true(goes_on());
    atomic_store(&kvm_faults->interrupt_each, false);
    session_type(&session, "q");
    assert_int_equal(end(), 0);
    assert_true(is_old());
    assert_nothing_else_is_there();
    assert_true(atomic_load(&kvm_faults->interrupted) >= 40);
}

/* What takes KVM long is asked once, and memory is given to it while that is quick (machine.c). */
static void a_thaw_does_not_wait_for_kvm(void **state)
{
    make_snapshot();
    atomic_store(&kvm_faults->cpuid_asked, 0);
    atomic_store(&kvm_faults->has_chips, false);
    atomic_store(&kvm_faults->early_slots, 0);
    atomic_store(&kvm_faults->late_slots, 0);
    start_thaw(*state);
    assert_true(goes_on());
    session_type(&session, "q");
    assert_int_equal(end(), 0);
    assert_int_equal(atomic_load(&kvm_faults->cpuid_asked), 1);
    assert_int_equal(atomic_load(&kvm_faults->early_slots), 1);
    assert_int_equal(atomic_load(&kvm_faults->late_slots), 0);
    assert_nothing_else_is_there();
}

/* Its watchdogs must not take a pause for a hang: KVM_KVMCLOCK_CTRL at each resume, and in a thaw
 * before the first run. */
static void the_guest_is_told_of_pauses(void **state)
{
    atomic_store(&kvm_faults->told_later, 0);
    start_demo();
    ask_for_snapshot();
    assert_true(atomic_load(&kvm_faults->told_later) >= 1);
    end_demo();

    make_snapshot();
    atomic_store(&kvm_faults->has_run, false);
    atomic_store(&kvm_faults->told_new, 0);
    start_thaw(*state);
    assert_true(goes_on());
    assert_int_equal(atomic_load(&kvm_faults->told_new), 1);
    session_type(&session, "q");
    assert_int_equal(end(), 0);
    assert_nothing_else_is_there();
}

static unsigned count_in(const char *text, const char *word)
{
    unsigned count = 0;

    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        count++;
    return count;
}

static void a_tsc_that_is_not_set_is_said_once(void **state)
{
    make_snapshot();
    atomic_store(&kvm_faults->drops_tsc, true);
    start_thaw(*state);
    assert_true(goes_on());
    atomic_store(&kvm_faults->drops_tsc, false);
    session_type(&session, "q");
    assert_int_equal(end(), 0);
    assert_int_equal(count_in(session.err_text, "cannot set the guest's time stamp counter"), 1);
    assert_nothing_else_is_there();
}

static struct CMUnitTest test(const char *name, CMUnitTestFunction function, const char *memory)
{
    return (struct CMUnitTest){.name = name,
                               .test_func = function,
                               .teardown_func = end_by_force,
                               .initial_state = (void *)(uintptr_t)memory};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test("every_ioctl_of_a_freeze_fails_once", every_ioctl_of_a_freeze_fails_once, NULL),
        test("a_freeze_bears_interrupted_ioctls", a_freeze_bears_interrupted_ioctls, NULL),
        test("every_ioctl_of_a_thaw_fails_once_copied", every_ioctl_of_a_thaw_fails_once, "copy"),
        test("every_ioctl_of_a_thaw_fails_once_lazy", every_ioctl_of_a_thaw_fails_once, "lazy"),
        test("every_ioctl_of_a_new_guest_fails_once", every_ioctl_of_a_new_guest_fails_once, NULL),
        test("a_thaw_bears_interrupted_ioctls", a_thaw_bears_interrupted_ioctls, "map"),
        test("a_tsc_that_is_not_set_is_said_once", a_tsc_that_is_not_set_is_said_once, "map"),
        test("a_thaw_does_not_wait_for_kvm", a_thaw_does_not_wait_for_kvm, "map"),
        test("the_guest_is_told_of_pauses", the_guest_is_told_of_pauses, "copy"),
    };
    int missing = kvm_missing();

    if (missing)
        return missing;
    if (!kvm_faults_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
