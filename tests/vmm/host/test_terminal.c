/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "vmm/base/fault_signals.h"
#include "vmm/host/terminal.h"

#define HANG_SECONDS 300
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- escape keys ---- */

static void filters_escape_keys_at_every_split(void **state)
{
    static const struct {
        const char *typed;
        const char *guest;
        enum stasis_keys_command commands[4];
    } cases[] = {
        {"plain text\r", "plain text\r", {0}},
        {"ab\001xcd", "abcd", {STASIS_KEYS_QUIT}},
        {"\001s", "", {STASIS_KEYS_SNAPSHOT}},
        {"\001h\001s", "", {STASIS_KEYS_HELP, STASIS_KEYS_SNAPSHOT}},
        {"\001sa\001c\001s", "a", {STASIS_KEYS_SNAPSHOT, STASIS_KEYS_CANCEL, STASIS_KEYS_SNAPSHOT}},
        {"a\001\001b", "a\001b", {0}},
        {"a\001ab", "a\001b", {0}},
        {"\001\001x", "\001x", {0}},
        {"\001\001\001x", "\001", {STASIS_KEYS_QUIT}},
        {"a\001?b", "ab", {0}},
        {"a\001", "a", {0}},
        {"x\003s\001X", "x\003s", {0}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].typed);

        for (size_t split = 0; split <= len; split++) {
            struct stasis_keys_filter filter = {0};
            struct stasis_keys_queue commands = {0};
            uint8_t bytes[32];
            uint8_t guest[32];
            size_t first;
            size_t second;

            memcpy(bytes, cases[i].typed, len);
            first = stasis_keys_filter(&filter, bytes, split, &commands);
            memcpy(guest, bytes, first);
            second = stasis_keys_filter(&filter, bytes + split, len - split, &commands);
            memcpy(guest + first, bytes + split, second);
            assert_int_equal(first + second, strlen(cases[i].guest));
            assert_memory_equal(guest, cases[i].guest, first + second);
            for (const enum stasis_keys_command *next = cases[i].commands; *next; next++)
                assert_int_equal(stasis_keys_queue_take(&commands), *next);
            assert_int_equal(stasis_keys_queue_take(&commands), STASIS_KEYS_NONE);
        }
    }
}

static void queue_keeps_order_and_drops_what_it_cannot_hold(void **state)
{
    struct stasis_keys_queue queue = {0};

    (void)state;
    assert_false(stasis_keys_queue_remove(&queue, STASIS_KEYS_CANCEL));
    for (int i = 0; i < STASIS_KEYS_QUEUE_MAX; i++)
        stasis_keys_queue_put(&queue, i % 2 ? STASIS_KEYS_CANCEL : STASIS_KEYS_SNAPSHOT);
    stasis_keys_queue_put(&queue, STASIS_KEYS_QUIT);
    assert_int_equal(queue.len, STASIS_KEYS_QUEUE_MAX);
    assert_true(stasis_keys_queue_remove(&queue, STASIS_KEYS_CANCEL));
    stasis_keys_queue_put(&queue, STASIS_KEYS_QUIT);
    for (int i = 0; i < STASIS_KEYS_QUEUE_MAX / 2; i++)
        assert_int_equal(stasis_keys_queue_take(&queue), STASIS_KEYS_SNAPSHOT);
    assert_int_equal(stasis_keys_queue_take(&queue), STASIS_KEYS_QUIT);
    assert_int_equal(stasis_keys_queue_take(&queue), STASIS_KEYS_NONE);
}

/* ---- reading ---- */

static void reads_a_pipe_as_far_as_there_is_room(void **state)
{
    static struct stasis_keys_input input;
    uint8_t bytes[16];
    struct stasis_keys_queue commands = {0};
    size_t len;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    stasis_keys_input_init(&input, fds[0]);
    alarm(HANG_SECONDS); /* a read that waits */
    assert_true(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    assert_int_equal(len, 0);
    assert_int_equal(write(fds[1], "a\001xbcd", 6), 6);
    assert_true(stasis_keys_read(&input, bytes, 0, &len, &commands));
    assert_int_equal(len, 0);
    assert_true(stasis_keys_read(&input, bytes, 4, &len, &commands));
    assert_int_equal(len, 4);
    assert_memory_equal(bytes, "a\001xb", 4); /* no terminal, no escape keys */
    assert_int_equal(commands.len, 0);
    close(fds[1]);
    assert_true(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    assert_int_equal(len, 2);
    assert_false(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    assert_int_equal(len, 0);
    alarm(0);
    close(fds[0]);
}

static void ends_on_null_a_closed_descriptor_and_a_file(void **state)
{
    static struct stasis_keys_input input;
    char path[] = "/tmp/stasis-console-XXXXXX";
    uint8_t bytes[16];
    struct stasis_keys_queue commands = {0};
    size_t len;
    int fd = open("/dev/null", O_RDONLY);

    (void)state;
    stasis_keys_input_init(&input, fd);
    assert_false(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    close(fd);
    assert_false(stasis_keys_read(&input, bytes, sizeof(bytes), &len, &commands));
    fd = mkstemp(path);
    unlink(path);
    assert_int_equal(pwrite(fd, "abc", 3, 0), 3);
    stasis_keys_input_init(&input, fd);
    assert_true(stasis_keys_read(&input, bytes, 2, &len, &commands));
    assert_true(stasis_keys_read(&input, bytes, 2, &len, &commands));
    assert_int_equal(len, 1);
    assert_false(stasis_keys_read(&input, bytes, 2, &len, &commands));
    close(fd);
}

/* ---- terminals ---- */

static struct termios mode_of(int fd)
{
    struct termios mode;

    assert_int_equal(tcgetattr(fd, &mode), 0);
    return mode;
}

static bool is_raw(int fd)
{
    struct termios mode = mode_of(fd);

    return !(mode.c_lflag & (ICANON | ECHO | ISIG | IEXTEN)) && !(mode.c_iflag & (ICRNL | IXON));
}

static bool same_mode(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

/* Of a child that has an alarm. */
static void wait_raw(int fd)
{
    for (int i = 0; i < HANG_SECONDS * 100 && !is_raw(fd); i++)
        poll(NULL, 0, 10);
    assert_true(is_raw(fd));
}

struct terminal {
    int master;
    int slave;
    struct termios found;
};

static struct terminal open_terminal(void)
{
    struct terminal terminal;

    assert_int_equal(openpty(&terminal.master, &terminal.slave, NULL, NULL, NULL), 0);
    terminal.found = mode_of(terminal.slave);
    assert_true(terminal.found.c_lflag & ICANON);
    return terminal;
}

static void close_terminal(const struct terminal *terminal)
{
    close(terminal->master);
    close(terminal->slave);
}

/* Forks. In the child faults have their default action, not the test program's or a sanitizer's. */
static pid_t fork_bare(void)
{
    const struct rlimit no_core = {0};
    pid_t child = fork();

    assert_true(child >= 0);
    if (child)
        return child;
    alarm(HANG_SECONDS);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (stasis_signal_is_fault(number))
            (void)signal(number, SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    return 0;
}

/* Starts a child with a raw terminal, its own session's if it is to `control` it, that then waits
 * for a signal or does `then`. */
static pid_t start_raw(const struct terminal *terminal, bool control, void (*then)(void))
{
    pid_t child = fork_bare();

    if (child)
        return child;
    if (control && login_tty(dup(terminal->slave)))
        _exit(91);
    if (stasis_terminal_raw(terminal->slave, NULL) || !is_raw(terminal->slave))
        _exit(92);
    if (then)
        then();
    for (;;)
        pause();
}

static int end_of(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Asked of the kernel: whether a process that does nothing about the signal is ended by it. */
static bool ends_a_process(int number)
{
    struct sigaction action;
    pid_t child;
    int status;

    if (number == SIGKILL || sigaction(number, NULL, &action)) /* 32 and 33 are the C library's */
        return false;
    child = fork_bare();
    if (!child) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) {
        kill(child, SIGKILL);
        (void)end_of(child);
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

/* It ends by that very signal, with the terminal as it was found. */
static void assert_restored(const struct terminal *terminal, pid_t child, int number)
{
    int status = end_of(child);
    struct termios after = mode_of(terminal->slave);

    if (!same_mode(&after, &terminal->found))
        fail_msg("signal %d leaves the terminal raw", number);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != number)
        fail_msg("wait status 0x%x after signal %d", (unsigned)status, number);
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
        terminal = open_terminal();
        child = start_raw(&terminal, true, NULL);
        wait_raw(terminal.slave);
        kill(child, number);
        assert_restored(&terminal, child, number);
        close_terminal(&terminal);
        count++;
    }
    assert_in_range(count, 22 + SIGRTMAX - SIGRTMIN, 64);
}

static void do_exit(void)
{
    exit(3);
}

static void exit_restores_the_terminal(void **state)
{
    struct terminal terminal = open_terminal();
    int status = end_of(start_raw(&terminal, false, do_exit));
    struct termios after = mode_of(terminal.slave);

    (void)state;
    assert_true(same_mode(&after, &terminal.found));
    assert_int_equal(WEXITSTATUS(status), 3);
    close_terminal(&terminal);
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
        struct terminal terminal = open_terminal();
        pid_t child;

        thread_fault = cases[i / 2].fault;
        child = start_raw(&terminal, false, i % 2 ? fault_on_a_thread : thread_fault);
        assert_restored(&terminal, child, cases[i / 2].number);
        close_terminal(&terminal);
    }
}

static void stopping_hands_the_terminal_back(void **state)
{
    struct terminal terminal = open_terminal();
    pid_t child = start_raw(&terminal, true, NULL);
    int status;

    (void)state;
    wait_raw(terminal.slave);
    kill(child, SIGTSTP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_false(is_raw(terminal.slave));
    kill(child, SIGCONT);
    wait_raw(terminal.slave);

    /* A stop that cannot be caught, and a shell that sets its own mode meanwhile. */
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_int_equal(tcsetattr(terminal.slave, TCSANOW, &terminal.found), 0);
    kill(child, SIGCONT);
    wait_raw(terminal.slave);
    kill(child, SIGTERM);
    status = end_of(child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_false(is_raw(terminal.slave));
    close_terminal(&terminal);
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
    if (handled != SIGTERM || !is_raw(STDIN_FILENO))
        _exit(1);
    stasis_terminal_restore();
    stasis_terminal_restore();
    if (is_raw(STDIN_FILENO) || stasis_terminal_raw(STDIN_FILENO, NULL) || !is_raw(STDIN_FILENO))
        _exit(2);
    exit(0);
}

static void leaves_signals_that_have_an_owner(void **state)
{
    struct terminal terminal = open_terminal();
    pid_t child;

    (void)state;
    signal(SIGTERM, own_handler);
    signal(SIGHUP, SIG_IGN);
    child = start_raw(&terminal, true, use_own_handlers);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    assert_int_equal(end_of(child), 0);
    assert_false(is_raw(terminal.slave));
    close_terminal(&terminal);
}

static void output_processing_stays(void **state)
{
    struct terminal terminal = open_terminal();
    pid_t child = start_raw(&terminal, true, NULL);

    (void)state;
    wait_raw(terminal.slave);
    assert_true(mode_of(terminal.slave).c_oflag & OPOST);
    kill(child, SIGTERM);
    end_of(child);
    close_terminal(&terminal);
}

static void what_is_no_terminal_stays_as_it_is(void **state)
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

/* The guest takes nothing: keys wait, further ones are dropped, and Ctrl-A x still works. */
static void keys_wait_and_commands_do_not(void **state)
{
    static struct stasis_keys_input input;
    struct terminal terminal = open_terminal();
    uint8_t bytes[4096];
    uint8_t typed[1000];
    struct stasis_keys_queue commands = {0};
    size_t len;
    size_t sum = 0;

    (void)state;
    cfmakeraw(&terminal.found);
    assert_int_equal(tcsetattr(terminal.slave, TCSANOW, &terminal.found), 0);
    stasis_keys_input_init(&input, terminal.slave);
    assert_true(input.is_terminal);
    memset(typed, 'k', sizeof(typed));
    typed[0] = '1';
    for (int i = 0; i < 70; i++) {
        assert_int_equal(write(terminal.master, typed, sizeof(typed)), sizeof(typed));
        assert_true(stasis_keys_read(&input, bytes, 0, &len, &commands));
        assert_int_equal(len + commands.len, 0);
    }
    while (!commands.len) { /* what the terminal still holds, too */
        assert_int_equal(write(terminal.master, "\001x", 2), 2);
        assert_true(stasis_keys_read(&input, bytes, 0, &len, &commands));
    }
    assert_int_equal(stasis_keys_queue_take(&commands), STASIS_KEYS_QUIT);
    assert_int_equal(input.held_len, STASIS_KEYS_HELD_MAX);
    do {
        assert_true(stasis_keys_read(&input, bytes, 100, &len, &commands));
        if (len)
            assert_int_equal(bytes[0], sum % 1000 == 0 ? '1' : 'k');
        sum += len;
    } while (len);
    assert_int_equal(sum, STASIS_KEYS_HELD_MAX);
    close(terminal.master); /* hung up */
    assert_false(stasis_keys_read(&input, bytes, 100, &len, &commands));
    stasis_keys_input_fini(&input);
    close(terminal.slave);
}

/* ---- closed descriptors ---- */

static void fills_closed_descriptors(void **state)
{
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (!child) {
        int fd;

        close(0);
        close(1);
        if (stasis_terminal_fill_fds(NULL) || fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0)
            _exit(1);
        fd = open("/dev/null", O_RDONLY);
        _exit(fd > 2 && write(1, "x", 1) < 0 && read(0, &fd, 1) < 0 ? 0 : 2);
    }
    assert_int_equal(end_of(child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_escape_keys_at_every_split),
        cmocka_unit_test(queue_keeps_order_and_drops_what_it_cannot_hold),
        cmocka_unit_test(reads_a_pipe_as_far_as_there_is_room),
        cmocka_unit_test(ends_on_null_a_closed_descriptor_and_a_file),
        cmocka_unit_test(every_signal_that_ends_a_process_restores_the_terminal),
        cmocka_unit_test(exit_restores_the_terminal),
        cmocka_unit_test(faults_on_any_thread_restore_the_terminal),
        cmocka_unit_test(stopping_hands_the_terminal_back),
        cmocka_unit_test(leaves_signals_that_have_an_owner),
        cmocka_unit_test(output_processing_stays),
        cmocka_unit_test(what_is_no_terminal_stays_as_it_is),
        cmocka_unit_test(keys_wait_and_commands_do_not),
        cmocka_unit_test(fills_closed_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
