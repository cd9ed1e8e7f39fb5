/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/terminal_rig.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include "stasis/fault_signals.h"
#include "vmm/host/terminal.h"

#define KERNEL_CCS 19 /* special characters that the kernel knows; libraries have room for more */

struct termios terminal_mode(int fd)
{
    struct termios mode;

    assert_int_equal(tcgetattr(fd, &mode), 0);
    return mode;
}

bool terminal_is_raw(int fd)
{
    struct termios mode = terminal_mode(fd);

    return !(mode.c_lflag & (ICANON | ECHO | ISIG | IEXTEN)) && !(mode.c_iflag & (ICRNL | IXON));
}

bool terminal_same_mode(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && !memcmp(a->c_cc, b->c_cc, KERNEL_CCS);
}

void terminal_wait_raw(int fd)
{
    for (int i = 0; i < TERMINAL_HANG_SECONDS * 100 && !terminal_is_raw(fd); i++)
        poll(NULL, 0, 10);
    assert_true(terminal_is_raw(fd));
}

struct terminal terminal_open(void)
{
    struct terminal terminal;

    assert_int_equal(openpty(&terminal.master, &terminal.slave, NULL, NULL, NULL), 0);
    terminal.found = terminal_mode(terminal.slave);
    assert_true(terminal.found.c_lflag & ICANON);
    return terminal;
}

void terminal_close(const struct terminal *terminal)
{
    close(terminal->master);
    close(terminal->slave);
}

pid_t terminal_fork_bare(void)
{
    const struct rlimit no_core = {0};
    pid_t child = fork();

    assert_true(child >= 0);
    if (child)
        return child;
    alarm(TERMINAL_HANG_SECONDS);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (stasis_signal_is_fault(number))
            (void)signal(number, SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    return 0;
}

/* Starts a child with a raw terminal, its own session's if it is to `control` it, that then waits
 * for a signal or does `then`. */
pid_t terminal_start_raw(const struct terminal *terminal, bool control, void (*then)(void))
{
    pid_t child = terminal_fork_bare();

    if (child)
        return child;
    if (control && login_tty(dup(terminal->slave)))
        _exit(91);
    if (stasis_terminal_raw(terminal->slave, NULL) || !terminal_is_raw(terminal->slave))
        _exit(92);
    if (then)
        then();
    for (;;)
        pause();
}

int terminal_end_of(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

void terminal_assert_restored(const struct terminal *terminal, pid_t child, int number)
{
    int status = terminal_end_of(child);
    struct termios after = terminal_mode(terminal->slave);

    if (!terminal_same_mode(&after, &terminal->found))
        fail_msg("signal %d leaves the terminal raw", number);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != number)
        fail_msg("wait status 0x%x after signal %d", (unsigned)status, number);
}
