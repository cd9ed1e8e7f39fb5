/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The program on a terminal: raw while it runs, its keys, and the terminal as it was afterwards.
 */
#include "vmm/session_rig.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static struct session session;
static struct session_folder folder;
static struct termios cooked;
static int terminal;

static bool is_raw(void)
{
    struct termios now;

    assert_int_equal(tcgetattr(terminal, &now), 0);
    return !(now.c_lflag & (ICANON | ECHO | ISIG));
}

/* Starts on a new terminal, whose other side is session.in and session.out. */
static void start(const char *option, const char *value)
{
    int ours;

    if (openpty(&ours, &terminal, NULL, NULL, NULL) < 0)
        fail_msg("no pseudo terminals: is /dev/pts mounted?");
    assert_int_equal(tcgetattr(terminal, &cooked), 0);
    assert_false(is_raw());
    session_start(&session,
                  &(struct session_options){.args = {"--demo", "--memory", "8", option, value},
                                            .in = terminal,
                                            .out = terminal,
                                            .terminal = true});
    session.in = dup(ours);
    session.out = ours;
    session_wait_out(&session, "tick 1 ");
    session_wait_err(&session, "vmm: Ctrl-A x ends the VM; Ctrl-A h lists the other keys\n");
    assert_true(is_raw());
}

/* The terminal is open here too, so its other side sees no end: only standard error does. */
static int end(void)
{
    struct termios now = {0}; /* musl's has room for more than the kernel fills */
    int status;

    while (session.err >= 0)
        session_pump(&session, -1);
    close(session.out);
    session.out = -1;
    assert_int_equal(tcgetattr(terminal, &now), 0);
    status = session_end(&session);
    close(terminal);
    assert_int_equal(now.c_lflag, cooked.c_lflag);
    assert_int_equal(now.c_iflag, cooked.c_iflag);
    assert_int_equal(now.c_oflag, cooked.c_oflag);
    assert_memory_equal(now.c_cc, cooked.c_cc, sizeof(now.c_cc));
    return status;
}

static void quit_key(void)
{
    start(NULL, NULL);
    session_type(&session, "\x01x");
    assert_int_equal(end(), 0);
}

static void snapshot_key(void)
{
    struct stat stat_buf;

    session_folder_init(&folder);
    start("--snapshot-out", folder.file);
    session_type(&session, "\x01s");
    assert_int_equal(end(), 0);
    assert_non_null(strstr(session.err_text, "frozen to "));
    assert_int_equal(stat(folder.file, &stat_buf), 0);
    assert_int_equal(stat_buf.st_mode & 0777, 0600);
    session_folder_fini(&folder);
}

static void help_key(void)
{
    start(NULL, NULL);
    session_type(&session, "\x01h");
    session_wait_err(&session, "Ctrl-A c       cancel the freeze");
    session_type(&session, "\x01x");
    assert_int_equal(end(), 0);
}

/* Everything else is the guest's, Ctrl-C and Ctrl-A itself too. */
static void other_keys_go_to_the_guest(void)
{
    start(NULL, NULL);
    session_type(&session, "a\x03z\x1a\x1c\x01\x01.");
    session_wait_out(&session, "a\x03z\x1a\x1c\x01.");
    session_type(&session, "q");
    assert_int_equal(end(), 0);
}

static void terminal_comes_back_from_signals(void)
{
    start(NULL, NULL);
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    assert_int_equal(end(), 128 + SIGTERM);
}

/* With the terminal stuck the keys still work. */
static void keys_work_while_output_is_stopped(void)
{
    start(NULL, NULL);
    assert_int_equal(tcflow(terminal, TCOOFF), 0);
    kvm_sleep_us(500000);
    session_type(&session, "\x01x");
    assert_int_equal(tcflow(terminal, TCOON), 0);
    assert_int_equal(end(), 0);
}

static int with_errors_on_the_terminal(int argc, char **argv)
{
    dup2(STDIN_FILENO, STDERR_FILENO);
    return session_main(argc, argv);
}

static void a_load_is_shown(void)
{
    char arg[160];
    int ours;

    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,after_ms=1", folder.file);
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--demo", "--memory", "16",
                                                                 "--snapshot-out", arg}}),
        0);
    snprintf(arg, sizeof(arg), "%s,memory=copy", folder.file);
    assert_int_equal(openpty(&ours, &terminal, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(terminal, &cooked), 0);
    session_start(&session, &(struct session_options){.args = {"--restore", arg},
                                                      .in = terminal,
                                                      .out = terminal,
                                                      .terminal = true,
                                                      .program = with_errors_on_the_terminal});
    session.in = dup(ours);
    session.out = ours;
    session_wait_out(&session, "vmm: loading: 16 of 16 MiB (100 %)");
    session_wait_out(&session, "vmm: Ctrl-A x ends the VM");
    session_wait_out(&session, "tick ");
    session_type(&session, "\x01x");
    assert_int_equal(end(), 0);
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(quit_key),
        KVM_CASE(snapshot_key),
        KVM_CASE(help_key),
        KVM_CASE(other_keys_go_to_the_guest),
        KVM_CASE(terminal_comes_back_from_signals),
        KVM_CASE(keys_work_while_output_is_stopped),
        KVM_CASE(a_load_is_shown),
    };
    int missing = kvm_missing(), ours, theirs;

    if (missing)
        return missing;
    if (openpty(&ours, &theirs, NULL, NULL, NULL) < 0) {
        printf("skipped: no pseudo terminals; mount devpts on /dev/pts\n");
        return STASIS_TEST_SKIPPED;
    }
    close(ours);
    close(theirs);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
