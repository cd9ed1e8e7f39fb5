/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * `vmm ctl SOCK snapshot` on a terminal of its own: what the test does next depends on what the
 * terminal shows, and on what the machine was asked.
 */
#include "ctl_rig.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/control/control_internal.h"

#define MIB UINT64_C(1048576)

/* Runs `vmm ctl SOCK snapshot name=x`, acting on what the terminal shows (text[0]). */
static int save_on_terminal(struct run *run, void (*act)(struct run *run, int terminal))
{
    char path[512];
    char *args[] = {"vmm", "ctl", run->rig.path, "snapshot", "path=/tmp/x", NULL};
    struct pollfd polls[2] = {{.events = POLLIN}, {.events = POLLIN}};
    int terminal;
    int status;
    ssize_t got = 1;
    pid_t child;

    run_find_vmm(path);
    run->len[0] = 0;
    memset(run->text, 0, sizeof(run->text));
    child = forkpty(&terminal, NULL, NULL, NULL);
    assert_true(child >= 0);
    if (!child) {
        execv(path, args);
        _exit(127);
    }
    while (got > 0) {
        polls[0].fd = terminal;
        polls[1].fd = stasis_control_fd(run->rig.control);
        assert_true(poll(polls, 2, 60000) > 0);
        if (polls[1].revents)
            stasis_control_dispatch(run->rig.control);
        if (polls[0].revents)
            got =
                read(terminal, run->text[0] + run->len[0], sizeof(run->text[0]) - 1 - run->len[0]);
        run->len[0] += polls[0].revents && got > 0 ? (size_t)got : 0;
        act(run, terminal);
    }
    close(terminal);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static bool is_shown(const struct run *run, const char *text)
{
    return strstr(run->text[0], text) != NULL;
}

/* True once, when the progress is on the terminal, after it was told of it. */
static bool shows_progress(struct run *run)
{
    if (run->vm.state == STASIS_VMM_IS_SAVING && !run->stage &&
        stasis_control_server_has_subscribers(run->rig.control->server)) {
        run->stage = 1;
        fake_vm_progress(&run->vm, 25 * MIB, 100 * MIB);
    }
    if (run->stage != 1 || !is_shown(run, "vmm: saving: 25 of 100 MiB (25 %)"))
        return false;
    run->stage = 2;
    return true;
}

static void finish(struct run *run, int terminal)
{
    (void)terminal;
    if (shows_progress(run))
        fake_vm_end_snapshot(&run->vm, 0);
}

static void progress_of_a_snapshot_is_shown(void **state)
{
    struct run run;
    const char *cleared;
    int status;

    (void)state;
    run_begin(&run);
    status = save_on_terminal(&run, finish);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    cleared = strstr(run.text[0], "   \r");
    assert_non_null(cleared);
    assert_non_null(strstr(cleared, "file_bytes: 70\r\n"));
    run_end(&run);
}

static void interrupt(struct run *run, int terminal)
{
    if (shows_progress(run))
        assert_int_equal(write(terminal, "\x03", 1), 1);
}

static void ctrl_c_cancels_the_snapshot(void **state)
{
    struct run run;
    int status;

    (void)state;
    run_begin(&run);
    status = save_on_terminal(&run, interrupt);
    assert_int_equal(run.vm.cancels, 1);
    assert_int_equal(run.vm.state, STASIS_VMM_RUNNING);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(is_shown(&run, "vmm: x: it was given up"));
    run_end(&run);
}

static void interrupt_twice(struct run *run, int terminal)
{
    interrupt(run, terminal);
    if (run->stage == 2 && run->vm.cancels == 1) {
        run->stage = 3;
        assert_int_equal(write(terminal, "\x03", 1), 1);
    }
}

/* The second one ends the program where the VM does not answer. */
static void ctrl_c_twice_ends_the_client(void **state)
{
    struct run run;
    int status;

    (void)state;
    run_begin(&run);
    run.vm.slow = true;
    status = save_on_terminal(&run, interrupt_twice);
    assert_int_equal(run.vm.cancels, 1);
    assert_int_equal(run.vm.state, STASIS_VMM_IS_SAVING);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
    run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_of_a_snapshot_is_shown),
        cmocka_unit_test(ctrl_c_cancels_the_snapshot),
        cmocka_unit_test(ctrl_c_twice_ends_the_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
