/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A freeze that was asked for happens, or is an error: guests that end as soon as they can.
 */
#include "vmm/session_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define OLD_BYTES "yesterday's"

static struct session session;
static struct session_folder folder;
static char kernel[128], arg[256];

/* ud2, and no IDT: a triple fault */
static const uint8_t crash[] = {0x0f, 0x0b};

static void setup(const char *text, const void *tail, size_t len)
{
    session_folder_init(&folder);
    snprintf(kernel, sizeof(kernel), "%s/kernel", folder.path);
    session_write_kernel(kernel, text, tail, len);
}

static int run(const char *keys)
{
    snprintf(arg, sizeof(arg), "%s,%s", folder.file, keys);
    return session_run(&session, &(struct session_options){.args = {"--kernel", kernel, "--memory",
                                                                    "32", "--snapshot-out", arg}});
}

static void assert_status(int got, int status, const char *words)
{
    if (got != status || !strstr(session.err_text, words))
        fail_msg("status %d, \"%s\" lacks \"%s\"", got, session.err_text, words);
}

static void write_old_file(void)
{
    int fd = open(folder.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, OLD_BYTES, strlen(OLD_BYTES)), strlen(OLD_BYTES));
    close(fd);
}

static bool is_old_file(void)
{
    char bytes[64];
    int fd = open(folder.file, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, bytes, sizeof(bytes));

    close(fd);
    return len == (ssize_t)strlen(OLD_BYTES) && !memcmp(bytes, OLD_BYTES, strlen(OLD_BYTES));
}

/* The vCPU that prints the text does nothing after it, and the snapshot is of that moment: the
 * reset is still to come. */
static void guest_that_resets_after_the_text_is_frozen(void)
{
    setup("is READY", kvm_resetting, sizeof(kvm_resetting));
    for (unsigned i = 0; i < 20; i++) {
        write_old_file();
        assert_status(run(i % 2 ? "on_output=READY" : "on_output=READY,then=resume"),
                      i % 2 ? 0 : SESSION_RESET, "frozen to ");
        assert_false(is_old_file());
        assert_string_equal(session.out_text, "is READY");
    }
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--restore", folder.file}}),
        SESSION_RESET);
    assert_int_equal(session.out_len, 0);
    session_folder_fini(&folder);
}

/* Text that waits in the port, behind a reader that comes late, is printed by the event loop. */
static void text_that_a_slow_reader_held_back_is_frozen_or_missed(void)
{
    char filler[4096] = "";
    int fds[2];
    int status;

    setup("READY", kvm_resetting, sizeof(kvm_resetting));
    write_old_file();
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    while (write(fds[1], filler, sizeof(filler)) > 0)
        ;
    assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
    snprintf(arg, sizeof(arg), "%s,on_output=READY", folder.file);
    session_start(&session, &(struct session_options){.args = {"--kernel", kernel, "--memory", "32",
                                                               "--snapshot-out", arg},
                                                      .out = fds[1]});
    close(fds[1]);
    session.out = fds[0];
    for (size_t len = 0; session.out >= 0; len = 0) {
        session_pump(&session, 1000);
        session.out_len = len;
    }
    status = session_end(&session);
    if (status)
        assert_status(status, 8, folder.file);
    assert_int_equal(status != 0, is_old_file());
    session_folder_fini(&folder);
}

static void text_that_never_comes_is_an_error(void)
{
    setup("hello", kvm_resetting, sizeof(kvm_resetting));
    write_old_file();
    assert_status(run("on_output=READY"), 8, "on_output");
    session_assert_one_line(&session, folder.file);
    assert_true(is_old_file());
    assert_status(run("on_output=READY,then=resume"), 8, "on_output");
    session_folder_fini(&folder);
}

static void end_before_after_ms_is_an_error(void)
{
    setup("hello", kvm_resetting, sizeof(kvm_resetting));
    write_old_file();
    assert_status(run("after_ms=3600000"), 8, "after_ms");
    session_assert_one_line(&session, folder.file);
    assert_true(is_old_file());
    session_folder_fini(&folder);
}

/* The death has its status, and the freeze that it prevented a line. */
static void death_before_the_freeze_says_both(void)
{
    setup("hello", crash, sizeof(crash));
    write_old_file();
    assert_status(run("on_output=READY"), 6, "triple fault");
    assert_status(6, 6, "no snapshot was written to ");
    assert_true(is_old_file());
    session_folder_fini(&folder);
}

/* Comes while the file is read, so that the loop finds both the signal and the end of the guest,
 * whichever it sees first. */
static void signal_beside_the_end_is_obeyed_or_an_error(void)
{
    static char stream[4 << 20];
    size_t len;

    setup("READY", kvm_resetting, sizeof(kvm_resetting));
    assert_int_equal(run("on_output=READY"), 0);
    len = session_read_file(folder.file, stream, sizeof(stream));
    for (unsigned i = 0; i < 8; i++) {
        int status, unread;

        write_old_file();
        snprintf(arg, sizeof(arg), "%s,then=resume", folder.file);
        session_start(&session, &(struct session_options){.args = {"--restore", "-", "--serial",
                                                                   "none", "--snapshot-out", arg}});
        assert_int_equal(write(session.in, stream, len - 1), len - 1);
        kvm_wait(!ioctl(session.in, FIONREAD, &unread) && !unread); /* it is past main()'s start */
        assert_int_equal(kill(session.pid, SIGUSR1), 0);
        assert_int_equal(write(session.in, stream + len - 1, 1), 1);
        close(session.in);
        session.in = -1;
        status = session_end(&session);
        if (status != SESSION_RESET)
            assert_status(status, 8, "before it could be frozen");
        assert_int_equal(status != SESSION_RESET, is_old_file());
    }
    session_folder_fini(&folder);
}

/* Who ends the guest by a key has called off what the options would have done later. */
static void no_option_no_error(void)
{
    setup("hello", kvm_resetting, sizeof(kvm_resetting));
    assert_int_equal(
        session_run(&session,
                    &(struct session_options){.args = {"--kernel", kernel, "--memory", "32",
                                                       "--snapshot-out", folder.file}}),
        SESSION_RESET);
    assert_int_equal(session.err_len, 0);
    session_folder_fini(&folder);
}

/* What the threads for metrics and for RAM ask the kernel for, the sandbox lets through; those for
 * RAM are started by the one that opens the VM, and, for a save, by others. */
static void metrics_are_written_every_so_often(void)
{
    char metrics[160], snapshot[160], restore[160];
    const char *const sources[] = {"--demo", "--restore"};

    session_folder_init(&folder);
    snprintf(metrics, sizeof(metrics), "%s/metrics,every_ms=10", folder.path);
    snprintf(snapshot, sizeof(snapshot), "%s,after_ms=100", folder.file);
    snprintf(restore, sizeof(restore), "%s,memory=lazy", folder.file);
    for (size_t i = 0; i < 2; i++) {
        struct session_options options = {
            .args = {"--metrics", metrics, "--snapshot-out", snapshot, sources[i]}};

        if (i)
            options.args[5] = restore;
        else
            options.args[5] = "--memory", options.args[6] = "16";
        assert_status(session_run(&session, &options), 0, "frozen to ");
    }
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(guest_that_resets_after_the_text_is_frozen),
        KVM_CASE(text_that_a_slow_reader_held_back_is_frozen_or_missed),
        KVM_CASE(text_that_never_comes_is_an_error),
        KVM_CASE(metrics_are_written_every_so_often),
        KVM_CASE(end_before_after_ms_is_an_error),
        KVM_CASE(death_before_the_freeze_says_both),
        KVM_CASE(signal_beside_the_end_is_obeyed_or_an_error),
        KVM_CASE(no_option_no_error),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
