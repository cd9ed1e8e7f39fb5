/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/terminal_rig.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/host/terminal.h"

static void do_exit(void)
{
    exit(3);
}

static void exit_restores_the_terminal(void **state)
{
    struct terminal terminal = terminal_open();
    int status = terminal_end_of(terminal_start_raw(&terminal, false, do_exit));
    struct termios after = terminal_mode(terminal.slave);

    (void)state;
    assert_true(terminal_same_mode(&after, &terminal.found));
    assert_int_equal(WEXITSTATUS(status), 3);
    terminal_close(&terminal);
}

static void output_processing_stays(void **state)
{
    struct terminal terminal = terminal_open();
    pid_t child = terminal_start_raw(&terminal, true, NULL);

    (void)state;
    terminal_wait_raw(terminal.slave);
    assert_true(terminal_mode(terminal.slave).c_oflag & OPOST);
    kill(child, SIGTERM);
    terminal_end_of(child);
    terminal_close(&terminal);
}

static void descriptor_that_is_no_terminal_stays_as_it_is(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(stasis_terminal_raw(fds[0], NULL), 0);
    assert_int_equal(stasis_terminal_raw(-1, NULL), 0);
    stasis_terminal_restore();
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_restores_the_terminal),
        cmocka_unit_test(output_processing_stays),
        cmocka_unit_test(descriptor_that_is_no_terminal_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
