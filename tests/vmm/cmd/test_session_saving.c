/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the loop does while the guest, keys and signals do something else. The save is ours
 * (--wrap): it reports progress, as the engine does, until the test lets it go on. So is the loop's
 * request to pause, which can come as late as can be.
 */
#include "vmm/session_rig.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stasis/output.h"
#include "stasis/snap.h"

/* Shared with the program in the child. */
static struct shared {
    _Atomic unsigned saves;    /* that have begun */
    _Atomic unsigned reports;  /* of progress, since the last one began */
    _Atomic unsigned given_up; /* saves that were told to stop */
    _Atomic unsigned smaps;    /* opens of /proc/self/smaps, for which page tables are walked */
    _Atomic bool go_on;
    _Atomic bool fails;
    _Atomic bool
        pause_late; /* not before the vCPU has stopped, by itself or with the guest's end */
} * shared;

int __real_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err);
int __wrap_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err);

static bool has_stopped(struct stasis_vcpu_thread *thread)
{
    bool paused;

    pthread_mutex_lock(&thread->lock);
    paused = thread->paused;
    pthread_mutex_unlock(&thread->lock);
    return paused;
}

int __wrap_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err)
{
    while (atomic_load(&shared->pause_late) && !has_stopped(&machine->threads[0]))
        kvm_sleep_us(1000);
    return __real_stasis_machine_pause_while(machine, go_on, ctx, err);
}

int __real_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode)
{
    if (strcmp(path, "/proc/self/smaps") == 0)
        atomic_fetch_add(&shared->smaps, 1);
    return __real_stasis_io_open(dir, path, flags, mode);
}

int __real_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err);
int __wrap_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err);

int __wrap_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err)
{
    atomic_store(&shared->reports, 0);
    atomic_fetch_add(&shared->saves, 1);
    if (atomic_load(&shared->fails))
        return stasis_fail(err, STASIS_ERR_WRITE, "%s: no space", stasis_output_path(output));
    while (!atomic_load(&shared->go_on)) {
        if (!opts->progress(opts->ctx, 1 << 20, 4 << 20)) {
            atomic_fetch_add(&shared->given_up, 1);
            return stasis_fail(err, STASIS_ERR_CANCELLED, "%s: cancelled",
                               stasis_output_path(output));
        }
        atomic_fetch_add(&shared->reports, 1);
        kvm_sleep_us(1000);
    }
    return __real_stasis_snap_save_output(snap, output, opts, ret_stats, err);
}

static struct session session;
static struct session_folder folder;
static int terminal;

static void start(void)
{
    static char arg[256];
    int ours;

    memset(shared, 0, sizeof(*shared));
    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,then=resume", folder.file);
    assert_int_equal(openpty(&ours, &terminal, NULL, NULL, NULL), 0);
    session_start(&session, &(struct session_options){
                                .args = {"--demo", "--memory", "8", "--snapshot-out", arg},
                                .in = terminal,
                                .out = terminal,
                                .terminal = true,
                                .program = session_main});
    session.in = dup(ours);
    session.out = ours;
    session_wait_out(&session, "tick 1 ");
    session_wait_err(&session, "Ctrl-A h lists the other keys\n");
    session_forget(&session);
}

/* The terminal is open here too: only standard error ends. */
static int end(void)
{
    int status;

    while (session.err >= 0)
        session_pump(&session, -1);
    close(session.out);
    session.out = -1;
    status = session_end(&session);
    close(terminal);
    return status;
}

/* What was sent before has been looked at: the save has reported twice since. */
static void wait_for_reports(void)
{
    unsigned before = atomic_load(&shared->reports);

    kvm_wait(atomic_load(&shared->reports) >= before + 2);
}

static void begin_to_save(void)
{
    unsigned before = atomic_load(&shared->saves);

    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    kvm_wait(atomic_load(&shared->saves) == before + 1);
    wait_for_reports();
}

static void keys_are_kept_and_run_in_order(void)
{
    const char *first, *help, *second;

    start();
    begin_to_save();
    session_type(&session, "\x01h\x01s\x01x\x01s");
    wait_for_reports();
    assert_int_equal(atomic_load(&shared->saves), 1);
    assert_null(strstr(session.err_text, "Ctrl-A"));
    atomic_store(&shared->go_on, true);
    assert_int_equal(end(), 0);
    first = strstr(session.err_text, "frozen to ");
    help = strstr(session.err_text, "Ctrl-A");
    assert_non_null(first);
    assert_non_null(help);
    second = strstr(help, "frozen to ");
    assert_non_null(second);
    assert_true(first < help);
    assert_int_equal(atomic_load(&shared->saves), 2);
    assert_int_equal(atomic_load(&shared->smaps), 0);
    session_folder_fini(&folder);
}

static void text_reaches_the_guest_afterwards(void)
{
    start();
    begin_to_save();
    session_type(&session, "ABC");
    wait_for_reports();
    assert_null(strstr(session.out_text, "ABC"));
    atomic_store(&shared->go_on, true);
    session_wait_out(&session, "ABC");
    session_type(&session, "q");
    assert_int_equal(end(), 0);
    session_folder_fini(&folder);
}

static void sigusr1_makes_another_snapshot(void)
{
    start();
    begin_to_save();
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    wait_for_reports();
    assert_int_equal(atomic_load(&shared->saves), 1);
    atomic_store(&shared->go_on, true);
    kvm_wait(atomic_load(&shared->saves) == 2);
    session_type(&session, "\x01x");
    assert_int_equal(end(), 0);
    session_folder_fini(&folder);
}

/* Gives the save up, in a guest that runs on and can be frozen again. */
static void give_up(const char *keys, int number)
{
    start();
    begin_to_save();
    if (keys)
        session_type(&session, keys);
    else
        assert_int_equal(kill(session.pid, number), 0);
    kvm_wait(atomic_load(&shared->given_up) == 1);
    session_wait_err(&session, "cancelled; the guest keeps running\n");
    assert_int_equal(access(folder.file, F_OK), -1);
    session_wait_out(&session, "tick 3 ");
    atomic_store(&shared->go_on, true);
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "frozen to ");
    assert_int_equal(access(folder.file, F_OK), 0);
    session_type(&session, "q");
    assert_int_equal(end(), 0);
    session_folder_fini(&folder);
}

static void cancel_key_stops_the_save(void)
{
    give_up("\x01"
            "c",
            0);
}

static void sigint_stops_the_save(void)
{
    give_up(NULL, SIGINT);
}

/* A save that was given up does not make up for one that has failed. */
static void cancelled_save_after_a_failed_one(void)
{
    start();
    atomic_store(&shared->fails, true);
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "no space; the guest keeps running\n");
    atomic_store(&shared->fails, false);
    begin_to_save();
    assert_int_equal(kill(session.pid, SIGINT), 0);
    session_wait_err(&session, "cancelled; the guest keeps running\n");
    session_type(&session, "q");
    assert_int_equal(end(), 7);
    session_folder_fini(&folder);
}

/* Nobody says that the guest keeps running. */
static void ending_signals_stop_the_save(void)
{
    static const int numbers[] = {SIGTERM, SIGHUP, SIGQUIT};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        start();
        begin_to_save();
        assert_int_equal(kill(session.pid, numbers[i]), 0);
        assert_int_equal(end(), 128 + numbers[i]);
        assert_int_equal(atomic_load(&shared->given_up), 1);
        session_assert_one_line(&session, "cancelled; the guest is ended");
        assert_int_equal(access(folder.file, F_OK), -1);
        session_folder_fini(&folder);
    }
}

/* However late the loop comes, the guest has got no further than the text. */
static void guest_waits_for_a_late_loop(void)
{
    static char kernel[128], arg[256];
    int status;

    memset(shared, 0, sizeof(*shared));
    atomic_store(&shared->go_on, true);
    atomic_store(&shared->pause_late, true);
    session_folder_init(&folder);
    snprintf(kernel, sizeof(kernel), "%s/kernel", folder.path);
    snprintf(arg, sizeof(arg), "%s,on_output=READY", folder.file);
    session_write_kernel(kernel, "READY", kvm_resetting, sizeof(kvm_resetting));
    status =
        session_run(&session, &(struct session_options){.args = {"--kernel", kernel, "--memory",
                                                                 "32", "--snapshot-out", arg},
                                                        .program = session_main});
    if (status || !strstr(session.err_text, "frozen to "))
        fail_msg("status %d, \"%s\"", status, session.err_text);
    assert_int_equal(access(folder.file, F_OK), 0);
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(keys_are_kept_and_run_in_order), KVM_CASE(text_reaches_the_guest_afterwards),
        KVM_CASE(sigusr1_makes_another_snapshot), KVM_CASE(cancel_key_stops_the_save),
        KVM_CASE(sigint_stops_the_save),          KVM_CASE(ending_signals_stop_the_save),
        KVM_CASE(guest_waits_for_a_late_loop),    KVM_CASE(cancelled_save_after_a_failed_one),
    };
    int missing = kvm_missing();
    int ours, theirs;

    if (missing)
        return missing;
    if (openpty(&ours, &theirs, NULL, NULL, NULL) < 0) {
        printf("skipped: no pseudo terminals; mount devpts on /dev/pts\n");
        return STASIS_TEST_SKIPPED;
    }
    close(ours);
    close(theirs);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
