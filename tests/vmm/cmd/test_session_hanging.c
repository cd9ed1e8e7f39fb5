/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The end of a thawed guest whose file no longer answers, as on a network file system that is gone:
 * reads by the threads that load memory (--wrap) never return.
 */
#include "vmm/session_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In the child, that is from the fork on. */
static atomic_bool hangs, hangs_once_started;
static atomic_bool pauses_shortly; /* a freeze waits 0.2 s for the vCPU, else as long as it takes */

ssize_t __real_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
int __real_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err);
int __wrap_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err);
int __real_stasis_machine_start(struct stasis_machine *machine, struct stasis_error *err);
int __wrap_stasis_machine_start(struct stasis_machine *machine, struct stasis_error *err);

/* The main thread opens the file. */
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    if (hangs && gettid() != getpid())
        (void)!write(STDERR_FILENO, "hanging\n", 8);
    while (hangs && gettid() != getpid())
        (void)poll(NULL, 0, -1); /* a call that the sandbox lets every thread make */
    return __real_stasis_io_pread(fd, buf, len, offset);
}

/* KVM has touched what it needs for the thaw, and no vCPU runs yet. */
int __wrap_stasis_machine_start(struct stasis_machine *machine, struct stasis_error *err)
{
    if (hangs_once_started)
        hangs = true;
    machine->end_limit_ms = 1000; /* nothing ends in order here */
    return __real_stasis_machine_start(machine, err);
}

/* The test waits for the freeze to have begun. */
int __wrap_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err)
{
    int rc;

    fputs("freezing\n", stderr);
    machine->pause_limit_ms = pauses_shortly && hangs ? 200 : 600000;
    rc = __real_stasis_machine_pause_while(machine, go_on, ctx, err);
    if (!rc && pauses_shortly && hangs)
        fputs("did stop\n", stderr);
    return rc;
}

static struct session session;
static struct session_folder folder;

static void thaw(const char *memory, bool once_started)
{
    static char out[256], from[256], again[128];

    session_folder_init(&folder);
    snprintf(out, sizeof(out), "%s,on_output=tick 3 ", folder.file);
    hangs = hangs_once_started = false;
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--demo", "--memory", "8",
                                                                 "--snapshot-out", out},
                                                        .program = session_main}),
        0);
    snprintf(from, sizeof(from), "path=%s,memory=%s", folder.file, memory);
    hangs = !once_started;
    hangs_once_started = once_started;
    snprintf(again, sizeof(again), "%s.again", folder.file);
    session_start(&session, &(struct session_options){.args = {"--restore", from, "--ignore",
                                                               "tsc-rate", "--snapshot-out", again},
                                                      .program = session_main});
    session_wait_err(&session, "thawed ");
}

/* Its end is announced in a line, and is the one that was asked for. */
static void ends_with(int status)
{
    int ended = session_end(&session);

    if (ended != status || !strstr(session.err_text, "a read of the snapshot does not return"))
        fail_msg("status %d instead of %d: %s", ended, status, session.err_text);
    session_folder_fini(&folder);
}

static void sigterm_ends_a_guest_that_runs(void)
{
    thaw("map", false);
    session_wait_out(&session, "tick ");
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    ends_with(128 + SIGTERM);
}

/* Its vCPU is inside KVM_RUN, and KVM waits for memory. */
static void sigterm_ends_a_guest_that_waits_for_memory(void)
{
    thaw("lazy,prefetch=off", true);
    session_wait_err(&session, "hanging");
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    ends_with(128 + SIGTERM);
}

/* By the signal, which is heard while the freeze waits for a vCPU or for a thread of the engine. */
static void freeze_is_ended(void)
{
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "freezing");
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    session_wait_err(&session, "cancelled");
    ends_with(128 + SIGTERM);
}

static void sigterm_ends_a_freeze_that_waits_for_the_vcpu(void)
{
    thaw("lazy,prefetch=off", true);
    session_wait_err(&session, "hanging");
    freeze_is_ended();
}

static void sigterm_ends_a_freeze_that_waits_for_the_verification(void)
{
    thaw("map", false);
    session_wait_out(&session, "tick ");
    freeze_is_ended();
}

/* Each time in one line; the guest waits on for its memory. KVM lets a vCPU that could take an
 * interrupt wait outside KVM_RUN (an asynchronous page fault): that one stops. */
static void freeze_fails_if_the_vcpu_does_not_stop(void)
{
    bool stopped = false;

    pauses_shortly = true;
    thaw("lazy,prefetch=off", true);
    session_wait_err(&session, "hanging");
    for (int i = 0; i < 2; i++) {
        session_forget(&session);
        assert_int_equal(kill(session.pid, SIGUSR1), 0);
        session_wait_err(&session, " stop");
        stopped = strstr(session.err_text, "did stop") != NULL;
        if (stopped)
            break;
        session_wait_err(&session, "vCPU 0 did not stop within 0.2 s: the host waits for a disk");
        session_wait_err(&session, "; the guest keeps running");
    }
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    ends_with(128 + SIGTERM);
    if (stopped)
        kvm_case_skip("the vCPU waits for its memory outside KVM_RUN");
}

/* Twice: a save that was given up leaves nothing that the next one would wait for. */
static void freeze_is_cancelled_and_the_guest_runs_on(void)
{
    thaw("map", false);
    for (int i = 0; i < 2; i++) {
        session_wait_out(&session, "tick ");
        assert_int_equal(kill(session.pid, SIGUSR1), 0);
        session_wait_err(&session, "freezing");
        assert_int_equal(kill(session.pid, SIGINT), 0);
        session_wait_err(&session, "cancelled");
        session_forget(&session);
    }
    session_wait_out(&session, "tick ");
    session_type(&session, "q");
    ends_with(0);
}

static void guest_that_resets_keeps_its_status(void)
{
    thaw("map", false);
    session_wait_out(&session, "tick ");
    session_type(&session, "q");
    ends_with(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(sigterm_ends_a_guest_that_runs),
        KVM_CASE(sigterm_ends_a_guest_that_waits_for_memory),
        KVM_CASE(sigterm_ends_a_freeze_that_waits_for_the_vcpu),
        KVM_CASE(sigterm_ends_a_freeze_that_waits_for_the_verification),
        KVM_CASE(freeze_fails_if_the_vcpu_does_not_stop),
        KVM_CASE(freeze_is_cancelled_and_the_guest_runs_on),
        KVM_CASE(guest_that_resets_keeps_its_status),
    };

    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
