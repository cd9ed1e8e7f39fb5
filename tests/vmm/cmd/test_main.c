/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The first moments of the program, watched as a debugger does. The program lies beside the test.
 */
#include "support/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

/* Becomes vmm with one argument. */
static void become_vmm(const char *arg)
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
    execl(path, "vmm", arg, (char *)NULL);
    _exit(91);
}

static void become_traced_vmm(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(77);
    (void)raise(SIGSTOP);
    become_vmm("--version");
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
        become_traced_vmm();
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

/* Runs vmm with standard output to a file, and returns its exit status and its message. */
static int run_vmm(const char *arg, const char *output, char *ret_text, size_t size)
{
    int fds[2];
    int status;
    size_t len = 0;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        dup2(open(output, O_WRONLY), STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        become_vmm(arg);
    }
    close(fds[1]);
    for (ssize_t n = 1; n > 0; len += (size_t)n) {
        n = read(fds[0], ret_text + len, size - 1 - len);
        assert_true(n >= 0);
    }
    ret_text[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool fails_with(const char *text, int error)
{
    char expected[200];

    snprintf(expected, sizeof(expected), "vmm: standard output: %s; make room or write elsewhere\n",
             strerror(error));
    return !strcmp(text, expected);
}

static void text_for_a_full_device_is_an_error(void **state)
{
    static const char *const options[] = {"--help", "--version"};
    char text[1024];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run_vmm(options[i], "/dev/full", text, sizeof(text)), 7);
        /* Not every stdio still has the reason after a text that is longer than its buffer. */
        assert_true(fails_with(text, ENOSPC) || fails_with(text, EIO));
        assert_int_equal(run_vmm(options[i], "/dev/null", text, sizeof(text)), 0);
        assert_string_equal(text, "");
    }
}

static void arguments_reach_the_terminal_escaped(void **state)
{
    char text[1024];

    (void)state;
    assert_int_equal(run_vmm("--\n\x1b[2J\xe2\x80\x8e", "/dev/null", text, sizeof(text)), 2);
    assert_string_equal(text, "vmm: --\\x0a\\x1b[2J\\xe2\\x80\\x8e is not an option; see --help\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigusr1_is_blocked_before_anything_else),
        cmocka_unit_test(text_for_a_full_device_is_an_error),
        cmocka_unit_test(arguments_reach_the_terminal_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
