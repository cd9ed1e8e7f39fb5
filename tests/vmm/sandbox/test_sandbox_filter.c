/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/filter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "stasis_options.h"
#include "support/cmocka_all.h"
#include "support/messages.h"
#include "vmm/sandbox/child.h"

#define ENDED 55

/* Ends the child with this status if the message holds the words. */
static void end(void *ctx, const struct stasis_error *err)
{
    _exit(err->code == STASIS_ERR_SANDBOX && strstr(err->msg, ctx) ? ENDED : 54);
}

static int confine(enum stasis_sandbox_thread thread, const char *words)
{
    messages_stop();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        stasis_sandbox_on_refused(end, (void *)(uintptr_t)words, NULL))
        return 1;
    return stasis_sandbox_filter(STASIS_SANDBOX_OPEN, NULL) ||
                   (thread != STASIS_SANDBOX_OPEN && stasis_sandbox_filter(thread, NULL))
               ? 2
               : 0;
}

static int makes_a_refused_call(void *arg)
{
    static const char *const words[] = {
        [STASIS_SANDBOX_OPEN] =
            "refuses the thread that opens the VM the system call swapoff (168)",
        [STASIS_SANDBOX_LOOP] = "refuses the event loop the system call swapoff (168)",
        [STASIS_SANDBOX_SAVE] = "refuses the thread that saves the system call swapoff (168)",
        [STASIS_SANDBOX_VCPU] = "refuses a vCPU's thread the system call swapoff (168)",
        [STASIS_SANDBOX_IO] = "refuses a device's thread the system call swapoff (168)",
        [STASIS_SANDBOX_RAM] = "refuses a thread that loads RAM the system call swapoff (168)",
        [STASIS_SANDBOX_METRICS] =
            "refuses the thread that writes metrics the system call swapoff (168)",
    };
    const enum stasis_sandbox_thread *thread = arg;
    int rc = confine(*thread, words[*thread]);

    if (rc)
        return rc;
    (void)syscall(SYS_swapoff, "");
    return 3;
}

static void *make_one(void *arg)
{
    (void)syscall(SYS_swapoff, "");
    return arg;
}

static int helper_makes_a_refused_call(void *arg)
{
    pthread_t helper;
    int rc = confine(STASIS_SANDBOX_SAVE, "refuses a helper's thread the system call");

    if (rc || pthread_create(&helper, NULL, make_one, arg))
        return rc ? rc : 3;
    pthread_join(helper, NULL);
    return 4;
}

/* The tables that a number is looked up in besides the native one: of i386, where 20 is getpid(),
 * and of x32, where 39 is. A filter that takes their numbers for its own lets other calls in. */
static int calls_as_i386(void *arg)
{
    long number = 20;

    if (arg && confine(STASIS_SANDBOX_VCPU, ""))
        return 1;
    __asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
    return number == getpid() ? 0 : 2;
}

static int calls_as_x32(void *arg)
{
    if (arg && confine(STASIS_SANDBOX_VCPU, ""))
        return 1;
    return syscall(0x40000000L | SYS_getpid) == getpid() || errno == ENOSYS ? 0 : 2;
}

static void calls_of_other_tables_end_the_process(void **state)
{
    static char confined;
    int status = in_child(calls_as_i386, NULL);

    (void)state;
    assert_true(status == 0 || status == 128 + SIGSEGV); /* kernels without it */
    assert_int_equal(in_child(calls_as_x32, NULL), 0);
    if (status == 0)
        assert_int_equal(in_child(calls_as_i386, &confined), 128 + SIGSYS);
    assert_int_equal(in_child(calls_as_x32, &confined), 128 + SIGSYS);
}

static int makes_an_unknown_call(void *arg)
{
    int rc = confine(STASIS_SANDBOX_VCPU, "the system call without a name (100000)");

    (void)arg;
    if (rc)
        return rc;
    (void)syscall(100000);
    return 3;
}

static void refused_call_is_named(void **state)
{
    (void)state;
    for (enum stasis_sandbox_thread thread = STASIS_SANDBOX_OPEN; thread <= STASIS_SANDBOX_METRICS;
         thread++)
        assert_int_equal(in_child(makes_a_refused_call, &thread), ENDED);
    assert_int_equal(in_child(helper_makes_a_refused_call, NULL), ENDED);
    assert_int_equal(in_child(makes_an_unknown_call, NULL), ENDED);
}

/* The event loop of a VM that connects can make Unix streams alone, its vCPUs none. */
static int makes_a_socket(void *arg)
{
    const int *wanted = arg; /* family, and the kind of thread */
    const enum stasis_sandbox_thread thread = (enum stasis_sandbox_thread)wanted[1];
    const int kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const struct sockaddr_un nowhere = {.sun_family = AF_UNIX, .sun_path = "/nonexistent"};
    int fd;

    messages_stop();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        stasis_sandbox_on_refused(end, (void *)(uintptr_t) "the system call socket", NULL) ||
        stasis_sandbox_filter(STASIS_SANDBOX_OPEN_CONNECTING, NULL) ||
        stasis_sandbox_filter(thread, NULL))
        return 1;
    fd = socket(wanted[0], kind, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&nowhere, sizeof(nowhere)) &&
                   errno == ENOENT
               ? 0
               : 2;
}

static void sockets_are_the_loops_of_a_vm_that_connects(void **state)
{
    static const struct {
        int wanted[2], status;
    } cases[] = {
        {{AF_UNIX, STASIS_SANDBOX_LOOP_CONNECTING}, 0},
        {{AF_INET, STASIS_SANDBOX_LOOP_CONNECTING}, ENDED},
        {{AF_UNIX, STASIS_SANDBOX_LOOP}, ENDED},
        {{AF_UNIX, STASIS_SANDBOX_VCPU}, ENDED},
        {{AF_UNIX, STASIS_SANDBOX_SAVE}, ENDED},
        {{AF_UNIX, STASIS_SANDBOX_RAM}, ENDED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(in_child(makes_a_socket, (void *)(uintptr_t)cases[i].wanted),
                         cases[i].status);
}

/* The socket of --vsock is there before the event loop is. */
static int binds_a_socket(void *arg)
{
    const enum stasis_sandbox_thread *thread = arg;
    const struct sockaddr_un nowhere = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    messages_stop();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        stasis_sandbox_on_refused(end, (void *)(uintptr_t) "the system call bind", NULL) ||
        stasis_sandbox_filter(*thread, NULL))
        return 1;
    return bind(fd, (const struct sockaddr *)&nowhere, sizeof(nowhere)) && errno == ENOENT &&
                   listen(fd, 1)
               ? 0
               : 2;
}

static void sockets_are_bound_while_the_vm_is_opened(void **state)
{
    static enum stasis_sandbox_thread may = STASIS_SANDBOX_OPEN_CONNECTING,
                                      may_not[] = {STASIS_SANDBOX_OPEN,
                                                   STASIS_SANDBOX_LOOP_CONNECTING};

    (void)state;
    assert_int_equal(in_child(binds_a_socket, &may), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(in_child(binds_a_socket, &may_not[i]), ENDED);
}

static int is_sent_the_signal(void *arg)
{
    int rc = confine(STASIS_SANDBOX_LOOP, "");

    (void)arg;
    return rc ? rc : kill(getpid(), SIGSYS) + 3;
}

static void signal_that_somebody_sends_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(in_child(is_sent_the_signal, NULL), 128 + SIGSYS);
}

static int cannot_filter(void *arg)
{
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_seccomp, EINVAL);
    return stasis_sandbox_filter(STASIS_SANDBOX_OPEN, &err) == STASIS_ERR_UNAVAILABLE &&
                   strstr(err.msg, "system calls are not limited")
               ? 0
               : 1;
}

static int cannot_take_the_signal(void *arg)
{
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_rt_sigaction, EINVAL);
    return stasis_sandbox_on_refused(end, NULL, &err) == STASIS_ERR_UNAVAILABLE &&
                   strstr(err.msg, "SIGSYS")
               ? 0
               : 1;
}

static void what_the_kernel_lacks_is_told(void **state)
{
    (void)state;
    assert_int_equal(in_child(cannot_filter, NULL), 0);
    assert_int_equal(in_child(cannot_take_the_signal, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_call_is_named),
        cmocka_unit_test(calls_of_other_tables_end_the_process),
        cmocka_unit_test(sockets_are_the_loops_of_a_vm_that_connects),
        cmocka_unit_test(sockets_are_bound_while_the_vm_is_opened),
        cmocka_unit_test(signal_that_somebody_sends_ends_the_process),
        cmocka_unit_test(what_the_kernel_lacks_is_told),
    };

    return !STASIS_WITH_SANDBOX ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
