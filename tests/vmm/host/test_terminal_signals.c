/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The terminal comes back whatever ends the process.
 */
#include "vmm/host/terminal_rig.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include "stasis/fault_signals.h"
#include "vmm/host/terminal.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Asked of the kernel: whether a process that does nothing about the signal is ended by it. */
static bool ends_a_process(int number)
{
    struct sigaction action;
    pid_t child;
    int status;

    if (number == SIGKILL || sigaction(number, NULL, &action)) /* 32 and 33 are the C library's */
        return false;
    child = terminal_fork_bare();
    if (!child) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) {
        kill(child, SIGKILL);
        (void)terminal_end_of(child);
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

static void every_signal_that_ends_a_process_restores_the_terminal(void **state)
{
    unsigned count = 0;

    (void)state;
    for (int number = 1; number <= SIGRTMAX; number++) {
        struct terminal terminal;
        pid_t child;

        if (!ends_a_process(number))
            continue;
        terminal = terminal_open();
        child = terminal_start_raw(&terminal, true, NULL);
        terminal_wait_raw(terminal.slave);
        kill(child, number);
        terminal_assert_restored(&terminal, child, number);
        terminal_close(&terminal);
        count++;
    }
    assert_in_range(count, 22 + SIGRTMAX - SIGRTMIN, 64);
}

/* ---- faults, each of a thread's own doing ---- */

static void fault_segv(void)
{
    volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *page = 1;
}

/* Memory of a file that has none there. */
static void fault_bus(void)
{
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, memfd_create("empty", 0), 0);

    (void)page[0];
}

static void fault_sys(void)
{
    struct sock_filter trap = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1), trap, allow};
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
        _exit(93);
    (void)getppid();
}

#ifdef __x86_64__
static void fault_ill(void)
{
    __asm__ volatile("ud2");
}

static void fault_fpe(void)
{
    __asm__ volatile("xorl %%ecx, %%ecx\n\tmovl $1, %%eax\n\tcltd\n\tidivl %%ecx" ::
                         : "eax", "ecx", "edx");
}

static void fault_trap(void)
{
    __asm__ volatile("int3");
}
#endif

static void (*thread_fault)(void);

static void *fault_thread(void *arg)
{
    (void)arg;
    thread_fault();
    _exit(94);
}

/* On a thread that leaves all other signals to the first, as a vCPU's does. */
static void fault_on_a_thread(void)
{
    pthread_t thread;
    sigset_t mask, before;

    stasis_signals_all_but_faults(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    if (pthread_create(&thread, NULL, fault_thread, NULL))
        _exit(95);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_join(thread, NULL);
}

static void faults_on_any_thread_restore_the_terminal(void **state)
{
    static const struct {
        void (*fault)(void);
        int number;
    } cases[] = {
        {fault_segv, SIGSEGV}, {fault_bus, SIGBUS}, {abort, SIGABRT},      {fault_sys, SIGSYS},
#ifdef __x86_64__
        {fault_ill, SIGILL},   {fault_fpe, SIGFPE}, {fault_trap, SIGTRAP},
#endif
    };

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        struct terminal terminal = terminal_open();
        pid_t child;

        thread_fault = cases[i / 2].fault;
        child = terminal_start_raw(&terminal, false, i % 2 ? fault_on_a_thread : thread_fault);
        terminal_assert_restored(&terminal, child, cases[i / 2].number);
        terminal_close(&terminal);
    }
}

static void stopping_hands_the_terminal_back(void **state)
{
    struct terminal terminal = terminal_open();
    pid_t child = terminal_start_raw(&terminal, true, NULL);
    int status;

    (void)state;
    terminal_wait_raw(terminal.slave);
    kill(child, SIGTSTP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_false(terminal_is_raw(terminal.slave));
    kill(child, SIGCONT);
    terminal_wait_raw(terminal.slave);

    /* A stop that cannot be caught, and a shell that sets its own mode meanwhile. */
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_int_equal(tcsetattr(terminal.slave, TCSANOW, &terminal.found), 0);
    kill(child, SIGCONT);
    terminal_wait_raw(terminal.slave);
    kill(child, SIGTERM);
    status = terminal_end_of(child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_false(terminal_is_raw(terminal.slave));
    terminal_close(&terminal);
}

static void read_nothing(void)
{
    int fds[2];
    char byte;

    if (pipe(fds))
        _exit(1);
    while (read(fds[0], &byte, 1) >= 0 || errno != EINTR)
        ;
    exit(0);
}

/* In the background of a shell a read stops us; what it was to read is then read by others. It may
 * be stopped before it reads, so this is tried again. */
static void a_read_that_was_stopped_does_not_wait(void **state)
{
    struct terminal terminal = terminal_open();
    pid_t child = terminal_start_raw(&terminal, false, read_nothing);
    bool has_ended = false;
    int status = -1;

    (void)state;
    terminal_wait_raw(terminal.slave);
    for (unsigned tries = 0; tries < 20 && !has_ended; tries++) {
        kill(child, SIGTTIN);
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        has_ended = !WIFSTOPPED(status);
        kill(child, SIGCONT);
        for (unsigned ms = 0; ms < 500 && !has_ended; ms++) {
            usleep(1000);
            has_ended = waitpid(child, &status, WNOHANG) == child;
        }
    }
    if (!has_ended) {
        kill(child, SIGKILL);
        (void)terminal_end_of(child);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    terminal_close(&terminal);
}

static volatile sig_atomic_t handled;

static void own_handler(int number)
{
    handled = number;
}

static void use_own_handlers(void)
{
    raise(SIGTERM);
    raise(SIGHUP);
    if (handled != SIGTERM || !terminal_is_raw(STDIN_FILENO))
        _exit(1);
    stasis_terminal_restore();
    stasis_terminal_restore();
    if (terminal_is_raw(STDIN_FILENO) || stasis_terminal_raw(STDIN_FILENO, NULL) ||
        !terminal_is_raw(STDIN_FILENO))
        _exit(2);
    exit(0);
}

static void leaves_signals_that_have_an_owner(void **state)
{
    struct terminal terminal = terminal_open();
    pid_t child;

    (void)state;
    signal(SIGTERM, own_handler);
    signal(SIGHUP, SIG_IGN);
    child = terminal_start_raw(&terminal, true, use_own_handlers);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    assert_int_equal(terminal_end_of(child), 0);
    assert_false(terminal_is_raw(terminal.slave));
    terminal_close(&terminal);
}

static volatile char *missing_page;

/* Puts memory where there was none: the fault does not happen again. */
static void mend_page(int number)
{
    handled += number == SIGSEGV && !terminal_is_raw(STDIN_FILENO);
    (void)mprotect((void *)(uintptr_t)missing_page, 4096, PROT_READ | PROT_WRITE);
}

static void fault_and_go_on(void)
{
    struct sigaction now;

    for (int i = 1; i <= 2; i++) {
        missing_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *missing_page = 1;
        if (handled != i || !terminal_is_raw(STDIN_FILENO))
            _exit(i);
    }
    stasis_terminal_close();
    if (terminal_is_raw(STDIN_FILENO))
        _exit(3);
    if (sigaction(SIGSEGV, NULL, &now) || now.sa_handler != mend_page)
        _exit(4);
    if (sigaction(SIGTERM, NULL, &now) || now.sa_handler != SIG_DFL)
        _exit(5);
    exit(0);
}

static void set_mending_handler_and_raw(void)
{
    const struct sigaction action = {.sa_handler = mend_page};

    if (sigaction(SIGSEGV, &action, NULL) || stasis_terminal_raw(STDIN_FILENO, NULL))
        _exit(6);
    fault_and_go_on();
}

/* A handler that repairs a fault is called each time, and the terminal is raw again; in the end all
 * signals are their owners'. */
static void program_that_survives_its_faults(void **state)
{
    struct terminal terminal = terminal_open();
    pid_t child = terminal_fork_bare();

    (void)state;
    if (!child) {
        if (login_tty(dup(terminal.slave)))
            _exit(7);
        set_mending_handler_and_raw();
    }
    assert_int_equal(terminal_end_of(child), 0);
    terminal_close(&terminal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_signal_that_ends_a_process_restores_the_terminal),
        cmocka_unit_test(faults_on_any_thread_restore_the_terminal),
        cmocka_unit_test(stopping_hands_the_terminal_back),
        cmocka_unit_test(a_read_that_was_stopped_does_not_wait),
        cmocka_unit_test(leaves_signals_that_have_an_owner),
        cmocka_unit_test(program_that_survives_its_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
