/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What goes wrong around a guest must not harm it: saves that fail, readers that stall or leave,
 * files that are no snapshots.
 */
#include "vmm/base/clock.h"
#include "vmm/session_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct session session;
static struct session_folder folder;
static char arg[256];
static char before[2 << 20], after[2 << 20];

/* Guests with this much in their RAM make files above the limit below. */
#define FILE_LIMIT 65536

/* Freezes a small guest to folder.file. */
static void make_snapshot(void)
{
    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,on_output=tick 1", folder.file);
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--demo", "--memory", "8",
                                                                 "--snapshot-out", arg}}),
        0);
}

/* The guest's snapshot cannot be written: tries, and sees the guest go on to its end. */
static void fail_to_save(int status, const char *words)
{
    char nonce[33] = "";

    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "\n");
    if (!strstr(session.err_text, words) || !strstr(session.err_text, "the guest keeps running"))
        fail_msg("\"%s\" lacks \"%s\"", session.err_text, words);
    session_wait_out(&session, "tick 4 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), status);
    assert_true(session_check_ticks(session.out_text, session.out_len, 1, nonce) >= 3);
}

static void start_demo(const char *snapshot, rlim_t file_limit)
{
    session_start(&session, &(struct session_options){
                                .args = {"--demo", "--memory", "8", "--snapshot-out", snapshot},
                                .file_limit = file_limit});
    session_wait_out(&session, "tick 1 ");
}

/* Hidden ones, such as what a save has left, included. */
static unsigned files_in_folder(void)
{
    DIR *dir = opendir(folder.path);
    unsigned count = 0;

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static void folder_goes_away(void)
{
    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s/new/guest.snap", folder.path);
    *strrchr(arg, '/') = 0;
    assert_int_equal(mkdir(arg, 0700), 0);
    arg[strlen(arg)] = '/';
    start_demo(arg, 0);
    *strrchr(arg, '/') = 0;
    assert_int_equal(rmdir(arg), 0);
    fail_to_save(7, arg);
    session_folder_fini(&folder);
}

/* What can be known at the start is said then (test_vmm_outputs.c has more). */
static void not_a_regular_file(void)
{
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--demo", "--memory", "8",
                                                                 "--snapshot-out", "/dev/full"}}),
        2);
    session_assert_one_line(&session, "/dev/full");
    assert_int_equal(session.out_len, 0);
}

static void file_too_large_keeps_the_old_one(void)
{
    size_t len;

    make_snapshot();
    len = session_read_file(folder.file, before, sizeof(before));
    start_demo(folder.file, FILE_LIMIT);
    fail_to_save(7, folder.file);
    assert_int_equal(session_read_file(folder.file, after, sizeof(after)), len);
    assert_memory_equal(before, after, len);
    assert_int_equal(files_in_folder(), 1);
    session_folder_fini(&folder);
}

/* A stream whose reader is gone: as after_ms tells it, and with status 7 in the end. */
static void stream_without_reader(void)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    session_start(&session,
                  &(struct session_options){.args = {"--demo", "--memory", "8", "--serial", "none",
                                                     "--snapshot-out", "-,after_ms=300"},
                                            .out = fds[1]});
    close(fds[1]);
    session_wait_err(&session, "the guest keeps running");
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    assert_int_equal(session_end(&session), 128 + SIGTERM);
}

static void later_success_makes_up_for_a_failure(void)
{
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

    session_folder_init(&folder);
    start_demo(folder.file, FILE_LIMIT);
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "the guest keeps running");
    assert_int_equal(prlimit(session.pid, RLIMIT_FSIZE, &none, NULL), 0);
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    assert_int_equal(session_end(&session), 0);
    session_folder_fini(&folder);
}

/* ---- restoring what is none ---- */

static void refuse(const char *path, int status, const char *words)
{
    int got = session_run(&session, &(struct session_options){.args = {"--restore", path}});

    if (got != status)
        fail_msg("%s: status %d, \"%s\"", path, got, session.err_text);
    session_assert_one_line(&session, words);
    assert_int_equal(session.out_len, 0);
}

static void no_snapshots(void)
{
    char other[256];

    make_snapshot();
    snprintf(other, sizeof(other), "%s,root=%064d", folder.file, 0);
    refuse(other, 3, "its root is ");
    refuse("/nonexistent/guest.snap", 2, "/nonexistent/guest.snap");
    refuse(folder.path, 2, folder.path);
    refuse("/proc/self/exe", 3, "/proc/self/exe");
    refuse("/dev/null", 3, "/dev/null");
    session_folder_fini(&folder);
}

static void damaged_snapshots(void)
{
    char path[96], restore[128];
    size_t len;
    FILE *file;

    make_snapshot();
    len = session_read_file(folder.file, before, sizeof(before));
    snprintf(path, sizeof(path), "%s/damaged.snap", folder.path);
    snprintf(restore, sizeof(restore), "path=%s,memory=copy", path);
    for (unsigned i = 0; i < 6; i++) {
        static const size_t parts[] = {0, 40, 1000, 2000, 3000, 4000};
        size_t at = i ? len / 6 * i + parts[i] % 7 : 0;

        memcpy(after, before, len);
        after[at] = (char)(after[at] ^ 0x10);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(after, 1, len, file), len);
        fclose(file);
        refuse(restore, 3, path);
        assert_int_equal(truncate(path, (off_t)at), 0);
        refuse(restore, 3, path);
    }
    session_folder_fini(&folder);
}

/* ---- output ---- */

static void stdout_reader_gone(void)
{
    char out[128];

    session_folder_init(&folder);
    snprintf(out, sizeof(out), "%s,on_output=tick 8 ", folder.file);
    session_start(&session, &(struct session_options){
                                .args = {"--demo", "--memory", "8", "--snapshot-out", out}});
    session_wait_out(&session, "tick 1 ");
    close(session.out);
    session.out = -1;
    session_wait_err(&session, "vmm: nobody reads standard output any more; the guest runs on");
    assert_int_equal(session_end(&session), 0);
    /* It lived on: the next one starts well behind. */
    session_start(&session, &(struct session_options){.args = {"--restore", folder.file}});
    while (!session_last_tick(&session))
        session_pump(&session, 50);
    assert_true(session_last_tick(&session) >= 8);
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    session_folder_fini(&folder);
}

/* What a process has used of the CPU. */
static uint64_t cpu_ms(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &used), 0);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

/* A pipe that is full from the start: the guest waits, at no cost, and nothing is lost. */
static void stdout_blocked(void)
{
    enum { WATCH_MS = 2000 };
    char nonce[33] = "", filler[4096];
    size_t full = 0;
    uint64_t spent, waited;
    int fds[2];

    memset(filler, 'x', sizeof(filler));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    for (ssize_t n; (n = write(fds[1], filler, sizeof(filler))) > 0;)
        full += (size_t)n;
    assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
    session_start(&session,
                  &(struct session_options){.args = {"--demo", "--memory", "8"}, .out = fds[1]});
    close(fds[1]);
    kvm_sleep_us(1000000);
    spent = cpu_ms(session.pid);
    waited = stasis_monotonic_us();
    kvm_sleep_us(WATCH_MS * 1000);
    spent = cpu_ms(session.pid) - spent;
    waited = (stasis_monotonic_us() - waited) / 1000;
    /* The guest itself looks at its port now and then; a loop that spins would take all. */
    if (spent > waited * 6 / 10)
        fail_msg("%u ms of CPU in %u ms of waiting", (unsigned)spent, (unsigned)waited);
    while (full)
        full -= (size_t)read(fds[0], filler, full < sizeof(filler) ? full : sizeof(filler));
    session.out = fds[0];
    session_wait_out(&session, "tick 3 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    assert_true(session_check_ticks(session.out_text, session.out_len, 1, nonce) >= 2);
}

/* Frozen while it cannot print: what it has sent comes out after the thaw. */
static void stdout_blocked_and_frozen(void)
{
    char nonce[33] = "", filler[4096];
    int fds[2];

    session_folder_init(&folder);
    memset(filler, 'x', sizeof(filler));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    while (write(fds[1], filler, sizeof(filler)) > 0)
        ;
    assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
    snprintf(arg, sizeof(arg), "%s,after_ms=700", folder.file);
    session_start(&session,
                  &(struct session_options){
                      .args = {"--demo", "--memory", "8", "--snapshot-out", arg}, .out = fds[1]});
    close(fds[1]);
    assert_int_equal(session_end(&session), 0);
    close(fds[0]);
    session_start(&session, &(struct session_options){.args = {"--restore", folder.file}});
    session_wait_out(&session, "tick 2 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    assert_true(session_check_ticks(session.out_text, session.out_len, 1, nonce) >= 1);
    session_folder_fini(&folder);
}

static void signals_end_it(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        session_start(&session, &(struct session_options){.args = {"--demo", "--memory", "8"}});
        session_wait_out(&session, "tick 1 ");
        assert_int_equal(kill(session.pid, signals[i]), 0);
        assert_int_equal(session_end(&session), 128 + signals[i]);
        assert_int_equal(session.err_len, 0);
    }
}

/* What became of the guest is the status, and each failure a line. */
static void metrics_that_fail_do_not_hide_a_missing_snapshot(void)
{
    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,on_output=NEVER", folder.file);
    session_start(&session,
                  &(struct session_options){.args = {"--demo", "--memory", "8", "--snapshot-out",
                                                     arg, "--metrics", "/dev/full"}});
    session_wait_out(&session, "tick 1 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 8);
    assert_non_null(strstr(session.err_text, "no snapshot was written"));
    assert_non_null(strstr(session.err_text, "--metrics=/dev/full"));
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(folder_goes_away),
        KVM_CASE(not_a_regular_file),
        KVM_CASE(file_too_large_keeps_the_old_one),
        KVM_CASE(stream_without_reader),
        KVM_CASE(later_success_makes_up_for_a_failure),
        KVM_CASE(no_snapshots),
        KVM_CASE(damaged_snapshots),
        KVM_CASE(stdout_reader_gone),
        KVM_CASE(stdout_blocked),
        KVM_CASE(stdout_blocked_and_frozen),
        KVM_CASE(signals_end_it),
        KVM_CASE(metrics_that_fail_do_not_hide_a_missing_snapshot),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
