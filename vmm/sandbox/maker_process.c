/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The process that makes files, and a child of it for each folder. It holds nothing but its socket,
 * and the folder of the name that it removes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
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

static void close_between(unsigned first, unsigned end)
{
    if (first < end && syscall(SYS_close_range, first, end - 1, 0))
        _exit(1);
}

/* The socket, and, unless that is -1, the folder of the name. */
static void keep_only(int fd, int dir)
{
    const unsigned low = (unsigned)(dir >= 0 && dir < fd ? dir : fd);
    const unsigned high = (unsigned)(dir > fd ? dir : fd);

    close_between(0, low);
    close_between(low + 1, high);
    close_between(high + 1, UINT_MAX);
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

static void remove_name(const struct stasis_sandbox_maker_opts *opts)
{
    struct stat st;

    if (opts->dir >= 0 && !fstatat(opts->dir, opts->name, &st, AT_SYMLINK_NOFOLLOW) &&
        st.st_dev == opts->dev && st.st_ino == opts->ino)
        unlinkat(opts->dir, opts->name, 0);
}

static void serve(int fd, const int fds[2], const struct stasis_sandbox_maker_opts *opts,
                  unsigned *children)
{
    if (opts->makes)
        start(fd, fds, children);
    else
        refuse(fds[1], EAGAIN);
}

/* False: the parent has gone, or wants it to end. */
static bool serve_one(int fd, const struct stasis_sandbox_maker_opts *opts, unsigned *children)
{
    int fds[STASIS_MAKER_FDS_MAX];
    size_t count;
    char order;

    if (stasis_maker_receive(fd, &order, 1, fds, &count) <= 0)
        return false;
    if (order == STASIS_MAKER_SERVE && count == 2)
        serve(fd, fds, opts, children);
    else if (order == STASIS_MAKER_END)
        remove_name(opts);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    return order != STASIS_MAKER_END;
}

static void reap(int signals, unsigned *children)
{
    struct signalfd_siginfo info;

    (void)!read(signals, &info, sizeof(info));
    while (*children && waitpid(-1, NULL, WNOHANG) > 0)
        --*children;
}

static void loop(int fd, int signals, const struct stasis_sandbox_maker_opts *opts)
{
    struct pollfd ready[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    unsigned children = 0;
    bool goes_on = true;

    while (goes_on && poll(ready, 2, -1) > 0) {
        if (ready[1].revents)
            reap(signals, &children);
        if (ready[0].revents)
            goes_on = serve_one(fd, opts, &children);
    }
    while (children && waitpid(-1, NULL, WNOHANG) > 0)
        children--;
}

/* The end of a child is all that it is told of: what is sent to all that are called vmm, or to all
 * of a cgroup, shall not end it before vmm. Whoever started vmm may have ignored SIGCHLD, and then
 * no end would be told. -1 with errno. */
static int open_signals(void)
{
    sigset_t mask;

    (void)signal(SIGCHLD, SIG_DFL);
    sigfillset(&mask);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

_Noreturn void stasis_maker_run(int fd, pid_t parent, const struct stasis_sandbox_maker_opts *opts)
{
    int signals;

    end_with_parent();
    if (getppid() != parent)
        _exit(0);
    keep_only(fd, opts->dir);
    (void)setsid(); /* no signals of the terminal */
    (void)prctl(PR_SET_NAME, "vmm-files", 0, 0, 0);
    signals = open_signals();
    if (signals < 0 || chdir("/")) /* keeps no file system busy */
        _exit(1);
    give_up_rights();
    loop(fd, signals, opts);
    _exit(0);
}
