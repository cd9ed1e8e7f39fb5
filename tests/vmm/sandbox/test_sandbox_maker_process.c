/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The process that makes files in folders: what it holds, when it ends, and what becomes of it when
 * a file system does not answer.
 */
#include "maker_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stasis_options.h"
#include "vmm/sandbox/attacks.h"
#include "vmm/sandbox/child.h"
#include "vmm/sandbox/filter.h"
#include "vmm/sandbox/maker_message.h"
#include "vmm/sandbox/privileges.h"

static size_t count_descriptors(pid_t pid)
{
    char name[64];
    size_t count = 0;
    DIR *list;

    snprintf(name, sizeof(name), "/proc/%d/fd", (int)pid);
    list = opendir(name);
    assert_non_null(list);
    for (const struct dirent *entry; (entry = readdir(list));)
        count += entry->d_name[0] != '.';
    closedir(list);
    return count;
}

/* What it was sent it closes after the answer. */
static void assert_holds_descriptors(pid_t pid, size_t count)
{
    for (int tries = 0; count_descriptors(pid) != count && tries < 60000; tries++)
        poll(NULL, 0, 1);
    assert_int_equal(count_descriptors(pid), count);
}

static void it_holds_nothing_and_may_do_nothing(void **state)
{
    char name[64], text[4096] = "";
    FILE *file;

    (void)state;
    assert_holds_descriptors(maker.pid, 2); /* its socket, and one of signals */
    snprintf(name, sizeof(name), "/proc/%d/status", (int)maker.pid);
    file = fopen(name, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    (void)fclose(file);
    assert_non_null(strstr(text, "Name:\tvmm-files\n"));
    assert_non_null(strstr(text, "CapPrm:\t0000000000000000\n"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1\n"));
    if (STASIS_WITH_SANDBOX)
        assert_non_null(strstr(text, "Seccomp:\t2\n"));
}

/* What code in it can do: it handles no signal, so that each call is that of a process of its own.
 */
static void be_confined(void)
{
    if (stasis_sandbox_no_new_privileges(NULL) ||
        stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, NULL) ||
        stasis_sandbox_filter(STASIS_SANDBOX_MAKER, NULL))
        _exit(CHILD_SKIPS);
}

static int attacks(void *arg)
{
    be_confined();
    (void)attacks_succeed(*(const size_t *)arg);
    return 1;
}

static int calls(void *arg)
{
    be_confined();
    (void)syscall(*(const long *)arg, 0, 0, 0, 0, 0, 0);
    return 1;
}

static void no_call_is_made_but_those_that_it_needs(void **state)
{
    static const char letters[] = {ATTACK_MAKER, '\0'};
    unsigned made = 0;

    (void)state;
    if (!STASIS_WITH_SANDBOX)
        skip();
    attacks_set_target("/nowhere", "/nowhere/file");
    for (size_t i = 0; i < attacks_count(); i++)
        if (!attacks_are_allowed(i, letters) && in_child(attacks, &i) != 128 + SIGSYS)
            fail_msg("it could %s", attacks_name(i));
    for (long call = 0; call < ATTACK_CALLS; call++) {
        if (attacks_have_row(call, letters))
            continue;
        if (in_child(calls, &call) != 128 + SIGSYS)
            fail_msg("it could make the system call %ld", call);
        made++;
    }
    print_message("F: %u calls that are in no row of it, all refused\n", made);
}

/* Also while somebody else holds the socket. */
static void it_ends_with_its_parent(void **state)
{
    struct stasis_sandbox_maker other;
    struct pollfd end = {.events = POLLIN};
    int fds[STASIS_MAKER_FDS_MAX], pair[2];
    size_t count;
    pid_t pid;
    char byte;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid = fork();
    if (!pid) {
        if (stasis_sandbox_maker_start(&makes, &other, NULL) ||
            stasis_maker_send(pair[1], &other.pid, sizeof(pid), &other.fd, 1))
            _exit(1);
        (void)!read(pair[1], &byte, 1);
        _exit(0);
    }
    assert_int_equal(stasis_maker_receive(pair[0], &other.pid, sizeof(pid), fds, &count),
                     sizeof(pid));
    assert_int_equal(count, 1);
    end.fd = (int)syscall(SYS_pidfd_open, other.pid, 0);
    assert_true(end.fd >= 0);
    assert_int_equal(write(pair[0], "", 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(poll(&end, 1, 60000), 1);
    close(end.fd);
    close(fds[0]);
    close(pair[0]);
    close(pair[1]);
}

static void maker_that_has_ended_is_told(void **state)
{
    struct stasis_sandbox_maker other;

    (void)state;
    assert_int_equal(stasis_sandbox_maker_start(&makes, &other, NULL), 0);
    assert_int_equal(kill(other.pid, SIGKILL), 0);
    assert_int_equal(waitpid(other.pid, NULL, 0), other.pid);
    assert_refused(stasis_sandbox_maker_open((void *)(intptr_t)other.fd, folder_fd), EPIPE);
    close(other.fd);
}

/* ---- a file system that does not answer ---- */

/* The process that serves the folder: who sends its answers. */
static pid_t find_child(int served)
{
    const struct stasis_maker_request request = {.what = STASIS_MAKER_NAME};
    struct stasis_maker_answer answer;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec vector = {&answer, sizeof(answer)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct ucred sender;

    assert_int_equal(setsockopt(served, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), 0);
    assert_int_equal(stasis_maker_send(served, &request, sizeof(request), NULL, 0), 0);
    assert_int_equal(recvmsg(served, &message, 0), sizeof(answer));
    assert_non_null(CMSG_FIRSTHDR(&message));
    memcpy(&sender, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(sender));
    assert_int_not_equal(sender.pid, maker.pid);
    return sender.pid;
}

/* Other folders are served, and it ends with its maker. */
static void child_that_is_held_up_holds_up_nobody(void **state)
{
    struct pollfd end = {.events = POLLIN};
    int held = stasis_sandbox_maker_open(maker_handle(), folder_fd);
    pid_t child = find_child(held);
    int fd;

    (void)state;
    end.fd = (int)syscall(SYS_pidfd_open, child, 0);
    assert_true(end.fd >= 0);
    assert_int_equal(kill(child, SIGSTOP), 0);
    fd = stasis_sandbox_maker_make(folder, NULL);
    assert_true(fd >= 0);
    close(fd);
    fd = stasis_sandbox_maker_open(maker_handle(), folder_fd);
    assert_true(fd >= 0);
    close(fd);
    assert_true(stasis_sandbox_maker_stop(&maker, 60000));
    assert_int_equal(poll(&end, 1, 60000), 1);
    close(end.fd);
    close(held);
}

/* At the end it is not waited for without limit. */
static void one_that_is_held_up_itself_is_left(void **state)
{
    struct stasis_sandbox_maker other;

    (void)state;
    assert_int_equal(stasis_sandbox_maker_start(&makes, &other, NULL), 0);
    assert_int_equal(kill(other.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(other.pid, NULL, WUNTRACED), other.pid);
    assert_false(stasis_sandbox_maker_stop(&other, 10));
    assert_int_equal(other.fd, -1);
    assert_int_equal(kill(other.pid, SIGKILL), 0);
    assert_int_equal(waitpid(other.pid, NULL, 0), other.pid);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, maker_set_up, maker_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_holds_nothing_and_may_do_nothing),
        cmocka_unit_test(no_call_is_made_but_those_that_it_needs),
        CASE(it_ends_with_its_parent),
        CASE(maker_that_has_ended_is_told),
        CASE(child_that_is_held_up_holds_up_nobody),
        CASE(one_that_is_held_up_itself_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
