/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Terminal mode. What signal handlers need is in one static struct, written before they are
 * installed; tcsetattr(), tcgetpgrp(), sigaction() and raise() are async-signal-safe (POSIX.1-2017,
 * XSH 2.4.3).
 */
#include "vmm/host/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "stasis/fault_signals.h"
#include "vmm/base/chain.h"

/* Whether the signal ends a process that does nothing about it: all do but these (signal(7)).
 * SIGKILL does too, and leaves nobody to restore anything. */
static bool ends_process(int number)
{
    switch (number) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT:
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGKILL:
        return false;
    default:
        return true;
    }
}

static struct {
    int fd;
    struct termios found;
    struct termios raw;
    volatile sig_atomic_t active; /* from raw() until restore() */
    struct sigaction before[NSIG];
    bool in_chain[NSIG]; /* our handler is installed, perhaps below another that calls it */
} terminal;

/* A process in the background that changes the terminal's mode would be stopped by SIGTTOU, and
 * would spoil it for the program in front. Without job control (tcgetpgrp fails) it is ours. */
static bool in_foreground(void)
{
    pid_t front = tcgetpgrp(terminal.fd);

    return front < 0 || front == getpgrp();
}

static void set_mode(const struct termios *mode)
{
    int saved = errno;

    /* A failure means that the terminal has gone, and there is nothing left to set. */
    if (in_foreground())
        (void)tcsetattr(terminal.fd, TCSANOW, mode);
    errno = saved;
}

void stasis_terminal_restore(void)
{
    if (!terminal.active)
        return;
    set_mode(&terminal.found);
    terminal.active = 0;
}

/* Gives the signal to whom it would have gone without us: an outer handler or the kernel. From the
 * kernel nobody returns: the signal is blocked until we do; a fault then happens again, raise()
 * covers the sent ones. A handler may return and the program go on, unless it has put the default
 * in our place or abort() called it. */
static void on_deadly_signal(int number, siginfo_t *info, void *context)
{
    const struct sigaction *before = &terminal.before[number];
    struct sigaction now;

    if (terminal.active)
        set_mode(&terminal.found);
    if (((unsigned)before->sa_flags & SA_RESETHAND) ||
        !stasis_signal_chain(before, number, info, context)) {
        terminal.active = 0;
        (void)sigaction(number, before, NULL);
        (void)stasis_signal_raise(number);
    } else if (terminal.active && number != SIGABRT && !sigaction(number, NULL, &now) &&
               now.sa_handler != SIG_DFL) {
        set_mode(&terminal.raw);
    }
}

static void on_stop(int number, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)number, (void)info, (void)context;
    if (terminal.active)
        set_mode(&terminal.found);
    (void)stasis_signal_raise(SIGSTOP);
    errno = saved;
}

/* Also after a SIGSTOP that nobody can catch; after `bg` it comes again with `fg`. */
static void on_continue(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    if (terminal.active)
        set_mode(&terminal.raw);
}

static void install(int number, void (*handler)(int, siginfo_t *, void *), bool only_default)
{
    /* SIGTTIN: a read that goes on where it was stopped would wait for what others have read. */
    struct sigaction action = {.sa_sigaction = handler,
                               .sa_flags = SA_SIGINFO | (number == SIGTTIN ? 0 : SA_RESTART)};
    struct sigaction *before = &terminal.before[number];

    sigemptyset(&action.sa_mask);
    if (terminal.in_chain[number] || sigaction(number, NULL, before))
        return;
    if (only_default && (before->sa_flags & SA_SIGINFO || before->sa_handler != SIG_DFL))
        return;
    terminal.in_chain[number] = !sigaction(number, &action, NULL);
}

static bool is_ours(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO &&
           (action->sa_sigaction == on_deadly_signal || action->sa_sigaction == on_stop ||
            action->sa_sigaction == on_continue);
}

/* What another handler was put on top of stays below it, and does nothing but hand on. */
static void uninstall(int number)
{
    struct sigaction now;

    if (!terminal.in_chain[number] || sigaction(number, NULL, &now) || !is_ours(&now))
        return;
    (void)sigaction(number, &terminal.before[number], NULL);
    terminal.in_chain[number] = false;
}

void stasis_terminal_close(void)
{
    stasis_terminal_restore();
    for (int number = 1; number <= SIGRTMAX; number++)
        uninstall(number);
}

static void install_handlers(void)
{
    for (int number = 1; number <= SIGRTMAX; number++)
        if (ends_process(number))
            install(number, on_deadly_signal, !stasis_signal_is_fault(number));
    install(SIGTSTP, on_stop, true);
    install(SIGTTIN, on_stop, true);
    install(SIGCONT, on_continue, true);
}

/* Output processing stays on: a guest that prints bare newlines, and our own lines on standard
 * error, stay readable; the terminal takes a guest's "\r\n" as it comes. */
static void make_raw(struct termios *mode)
{
    tcflag_t output = mode->c_oflag;

    cfmakeraw(mode);
    mode->c_oflag = output;
    mode->c_cc[VMIN] = 1;
    mode->c_cc[VTIME] = 0;
}

int stasis_terminal_raw(int fd, struct stasis_error *err)
{
    static bool at_exit;

    if (!isatty(fd) || terminal.active)
        return 0;
    if (tcgetattr(fd, &terminal.found))
        return stasis_fail_errno(err, STASIS_ERR_IO, "cannot read the terminal's mode");
    terminal.fd = fd;
    terminal.raw = terminal.found;
    make_raw(&terminal.raw);
    terminal.active = 1;
    install_handlers();
    if (!at_exit)
        at_exit = atexit(stasis_terminal_restore) == 0;
    set_mode(&terminal.raw);
    return 0;
}
