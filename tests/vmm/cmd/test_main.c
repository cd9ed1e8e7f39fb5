/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The first moments of the program, watched as a debugger does. The program lies beside the test.
 */
#include "support/cmocka_all.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

static void become_vmm(void)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 8);
    char *slash;

    if (len < 0)
        _exit(90);
    path[len] = 0;
    slash = strrchr(path, '/');
    memcpy(slash + 1, "vmm", 4);
    alarm(120);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(77);
    (void)raise(SIGSTOP);
    execl(path, "vmm", "--version", (char *)NULL);
    _exit(91);
}

/* Runs to the next entry into, or return from, a system call. */
static bool next_stop(pid_t child, struct __ptrace_syscall_info *ret_info)
{
    int status;

    if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) || waitpid(child, &status, 0) != child)
        return false;
    memset(ret_info, 0, sizeof(*ret_info));
    return WIFSTOPPED(status) &&
           ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof(*ret_info), ret_info) >= 0;
}

/* The first system call of main() behind the one that blocks SIGUSR1. */
static bool is_first_of_main(const struct __ptrace_syscall_info *info)
{
    return info->op == PTRACE_SYSCALL_INFO_ENTRY && info->entry.nr == SYS_rt_sigaction &&
           info->entry.args[0] == SIGPIPE && info->entry.args[1];
}

static void sigusr1_is_blocked_before_anything_else(void **state)
{
    struct __ptrace_syscall_info info = {0};
    pid_t child = fork();
    int status;

    (void)state;
    assert_true(child >= 0);
    if (!child)
        become_vmm();
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(WIFSTOPPED(status));
    assert_int_equal(
        ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
        0);
    while (!is_first_of_main(&info))
        assert_true(next_stop(child, &info));
    assert_int_equal(kill(child, SIGUSR1), 0);
    assert_int_equal(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("wait status 0x%x", (unsigned)status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigusr1_is_blocked_before_anything_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
