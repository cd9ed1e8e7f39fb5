/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The process that makes files, and a child of it for each folder. It holds nothing but its socket.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/sandbox/filter.h"
#include "vmm/sandbox/maker_message.h"
#include "vmm/sandbox/privileges.h"

#define FOLDERS_MAX 32 /* twice as many files as are opened at a time */

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* The end of the other side is seen at the socket, but not by one that a file system holds up. */
static void end_with_parent(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static void keep_only(int fd)
{
    if ((fd && syscall(SYS_close_range, 0, fd - 1, 0)) || syscall(SYS_close_range, fd + 1, ~0U, 0))
        _exit(1);
}

/* What this kernel lacks of it, the parent lacks as well, and says so. */
static void give_up_rights(void)
{
    (void)!stasis_sandbox_limit(NULL);
    (void)!stasis_sandbox_no_new_privileges(NULL);
    (void)!stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, NULL);
    (void)!stasis_sandbox_filter(STASIS_SANDBOX_MAKER, NULL);
}

static void refuse(int fd, int error)
{
    const struct stasis_maker_answer answer = {.error = error};

    (void)!stasis_maker_send(fd, &answer, sizeof(answer), NULL, 0);
}

/* Of a process with one thread, so that the C library need not know of it. */
static pid_t start_child(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void start(int main_fd, const int fds[2], unsigned *children)
{
    pid_t pid = *children < FOLDERS_MAX ? start_child() : -1;

    if (!pid) {
        end_with_parent();
        close(main_fd);
        stasis_maker_serve(fds[0], fds[1]);
        _exit(0);
    }
    if (pid < 0)
        refuse(fds[1], EAGAIN);
    else
        ++*children;
}

/* False: the parent has gone. */
static bool serve_one(int fd, unsigned *children)
{
    int fds[STASIS_MAKER_FDS_MAX];
    size_t count;
    char byte;

    if (stasis_maker_receive(fd, &byte, 1, fds, &count) <= 0)
        return false;
    if (count == 2)
        start(fd, fds, children);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    return true;
}

static void reap(int signals, unsigned *children)
{
    struct signalfd_siginfo info;

    (void)!read(signals, &info, sizeof(info));
    while (*children && waitpid(-1, NULL, WNOHANG) > 0)
        --*children;
}

static void loop(int fd, int signals)
{
    struct pollfd ready[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    unsigned children = 0;
    bool goes_on = true;

    while (goes_on && poll(ready, 2, -1) > 0) {
        if (ready[1].revents)
            reap(signals, &children);
        if (ready[0].revents)
            goes_on = serve_one(fd, &children);
    }
    while (children && waitpid(-1, NULL, WNOHANG) > 0)
        children--;
}

_Noreturn void stasis_maker_run(int fd, pid_t parent)
{
    sigset_t mask;
    int signals;

    end_with_parent();
    if (getppid() != parent)
        _exit(0);
    keep_only(fd);
    (void)setsid(); /* no signals of the terminal */
    (void)prctl(PR_SET_NAME, "vmm-files", 0, 0, 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || chdir("/")) /* keeps no file system busy */
        _exit(1);
    give_up_rights();
    loop(fd, signals);
    _exit(0);
}
