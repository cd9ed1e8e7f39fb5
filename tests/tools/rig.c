/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include "support/messages.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 16

static const char *folder;

static char *slurp(int fd, size_t *ret_len)
{
    struct stat st;
    char *text;

    assert_int_equal(fstat(fd, &st), 0);
    text = malloc((size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)st.st_size, 0), st.st_size);
    text[st.st_size] = '\0';
    if (ret_len)
        *ret_len = (size_t)st.st_size;
    close(fd);
    return text;
}

static void child(const struct setup *setup, const char *const *argv, int out, int err)
{
    int in = setup && setup->in ? setup->in : open("/dev/null", O_RDONLY);
    char *const *args;

    memcpy(&args, &argv, sizeof(args)); /* execv() changes nothing */
    dup2(in, STDIN_FILENO);
    dup2(err, STDERR_FILENO);
    if (setup && setup->out < 0)
        close(STDOUT_FILENO);
    else
        dup2(setup && setup->out ? setup->out : out, STDOUT_FILENO);
    if (setup && setup->ignore_sigpipe)
        (void)signal(SIGPIPE, SIG_IGN);
    execv(args[0], args);
    _exit(126);
}

void run_program(struct run *run, const struct setup *setup, const char *const *argv)
{
    int out = memfd_create("out", MFD_CLOEXEC);
    int err = memfd_create("err", MFD_CLOEXEC);
    int status;
    pid_t pid;

    run_fini(run);
    assert_true(out >= 0 && err >= 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        child(setup, argv, out, err);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    run->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    run->out = slurp(out, &run->out_len);
    run->err = slurp(err, NULL);
    messages_note_lines(run->err);
}

const char *inspect_path(void)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("snapshot-inspect"));
    char *slash;

    assert_true(len > 0);
    path[len] = '\0';
    slash = strrchr(path, '/');
    assert_non_null(slash);
    memcpy(slash + 1, "snapshot-inspect", sizeof("snapshot-inspect"));
    return path;
}

static void take_arguments(va_list args, const char *ret_argv[ARGS_MAX])
{
    size_t count = 1;

    ret_argv[0] = inspect_path();
    do {
        assert_true(count < ARGS_MAX);
        ret_argv[count] = va_arg(args, const char *);
    } while (ret_argv[count++]);
}

void run_inspect(struct run *run, const struct setup *setup, ...)
{
    const char *argv[ARGS_MAX];
    va_list args;

    va_start(args, setup);
    take_arguments(args, argv);
    va_end(args);
    run_program(run, setup, argv);
}

int run_on_terminal(char *ret_text, size_t size, ...)
{
    const char *argv[ARGS_MAX];
    size_t used = 0;
    va_list args;
    int master;
    int status;
    ssize_t n;
    pid_t pid;

    va_start(args, size);
    take_arguments(args, argv);
    va_end(args);
    pid = forkpty(&master, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (!pid) {
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(126);
    }
    while (used < size - 1 && (n = read(master, ret_text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    ret_text[used] = '\0';
    close(master);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void run_fini(struct run *run)
{
    free(run->out);
    free(run->err);
    *run = (struct run){0};
}

void assert_has(const char *all, const char *text)
{
    if (!strstr(all, text))
        fail_msg("not there: %s\nin: %s", text, all);
}

void assert_ended(const struct run *run, int status, const char *text)
{
    if (run->status != status)
        fail_msg("status %d, expected %d: %s", run->status, status, run->err);
    if (!text) {
        assert_string_equal(run->err, "");
        return;
    }
    assert_has(run->err, text);
    assert_has(run->err, "snapshot-inspect: ");
    assert_ptr_equal(strchr(run->err, '\n'), run->err + strlen(run->err) - 1);
}

const char *in_folder(const char *name)
{
    static char paths[2][256];
    static unsigned next;

    snprintf(paths[++next % 2], sizeof(paths[0]), "%s/%s", folder, name);
    return paths[next % 2];
}

void write_file(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

int setup_folder(void **state)
{
    (void)state;
    folder = folder_make();
    return 0;
}

int teardown_folder(void **state)
{
    (void)state;
    folder_remove();
    return 0;
}

void add_state(struct built *built, const struct stasis_schema *schema, const char *instance,
               const void *state)
{
    struct stasis_error err;

    if (stasis_records_add(stasis_snap_records(built->snap), schema, instance, state, &err))
        fail_msg("%s", err.msg);
}

static void add_board(struct built *built)
{
    struct stasis_board_state board;

    stasis_state_init(&stasis_board_schema, &board);
    strcpy(board.name, "microvm");
    strcpy(board.release, "0.0.1");
    board.ram_count = 1;
    board.ram[0].size = 8192;
    board.devices_count = 3;
    board.devices[0] =
        (struct stasis_board_device_state){"stasis.serial", "com1", 1, 0, 0x3f8, 8, 4};
    board.devices[1] =
        (struct stasis_board_device_state){"stasis.pl031", "rtc", 1, 1, 0xc0000000, 0x1000, 8};
    board.devices[2] =
        (struct stasis_board_device_state){"stasis.i8042", "kbd", 1, 0, 0x60, 5, UINT32_MAX};
    add_state(built, &stasis_board_schema, "vm", &board);
}

static void add_machine(struct built *built)
{
    struct stasis_machine_state machine;
    struct stasis_pl031_state rtc;
    struct stasis_i8042_state i8042;

    stasis_state_init(&stasis_machine_schema, &machine);
    machine.generation = 7;
    machine.frozen_realtime_ns = UINT64_C(1700000000) * 1000000000;
    strcpy(machine.host_kernel, "6.1.0-test");
    strcpy(machine.host_cpu, "Analytical Engine");
    add_state(built, &stasis_machine_schema, "vm", &machine);
    stasis_state_init(&stasis_pl031_schema, &rtc);
    rtc.counter_ns = UINT64_C(86400) * 1000000000;
    rtc.imsc = 1;
    rtc.mr = 86460;
    add_state(built, &stasis_pl031_schema, "rtc", &rtc);
    stasis_state_init(&stasis_i8042_schema, &i8042);
    add_state(built, &stasis_i8042_schema, "kbd", &i8042);
}

static void add_vcpu(struct built *built)
{
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_mp_state_state mp;

    stasis_state_init(&stasis_x86_regs_schema, &regs);
    regs.rip = UINT64_C(0xffffffff81000000);
    regs.rsp = UINT64_MAX;
    regs.rflags = 0x246;
    add_state(built, &stasis_x86_regs_schema, "cpu0", &regs);
    stasis_state_init(&stasis_x86_sregs_schema, &sregs);
    sregs.cr0 = 0x80000001;
    sregs.cr3 = 0x1234000;
    sregs.efer = 0x500;
    sregs.cs.l = 1;
    add_state(built, &stasis_x86_sregs_schema, "cpu0", &sregs);
    stasis_state_init(&stasis_x86_mp_state_schema, &mp);
    mp.mp_state = 3;
    add_state(built, &stasis_x86_mp_state_schema, "cpu0", &mp);
}

void built_machine(struct built *built)
{
    built_small(built);
    add_board(built);
    add_machine(built);
    add_vcpu(built);
}

void save_to(struct built *built, const char *path)
{
    struct stasis_error err;

    if (stasis_snap_save(built->snap, path, NULL, NULL, &err))
        fail_msg("%s", err.msg);
}
