/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What can be known of an output when vmm starts is said then, before /dev/kvm is asked for: these
 * cases need no KVM.
 */
#include "tests/vmm/session_rig.h"

#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/state-ser/snap/fixture.h"

static struct session_folder folder;
static struct image snapshot; /* folder.file */

static int setup(void **state)
{
    struct built built;

    (void)state;
    session_folder_init(&folder);
    built_small(&built);
    if (stasis_snap_save(built.snap, folder.file, NULL, NULL, NULL))
        return 1;
    built_fini(&built);
    snapshot = image_read(folder.file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    image_fini(&snapshot);
    session_folder_fini(&folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[2][160 + NAME_MAX];
    static unsigned turn;

    turn ^= 1;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder.path, name);
    return path[turn];
}

/* Ends with status 2 and one line with these words, and the snapshot is what it was. */
static void refused(const struct session_options *options, const char *words)
{
    struct session session;
    struct image after;

    assert_int_equal(session_run(&session, options), 2);
    session_assert_one_line(&session, words);
    after = image_read(folder.file);
    assert_int_equal(after.len, snapshot.len);
    assert_memory_equal(after.bytes, snapshot.bytes, snapshot.len);
    image_fini(&after);
}

static void refused_demo(const char *option, const char *path, const char *words)
{
    refused(&(struct session_options){.args = {"--demo", option, path}}, words);
}

static void refused_restore(const char *option, const char *value, const char *words)
{
    refused(&(struct session_options){.args = {"--restore", folder.file, option, value}}, words);
}

static void places_that_take_nothing(void **state)
{
    static const char *const options[] = {"--snapshot-out", "--metrics"};
    char name[NAME_MAX + 2];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < 2; i++) {
        refused_demo(options[i], "/nodir/x", "opening its folder: No such file or directory; name");
        refused_demo(options[i], in_folder("none/x"), "opening its folder");
        refused_demo(options[i], "/proc/x", "name a file that can be written");
        refused_demo(options[i], in_folder(name), "the name is too long");
        refused_demo(options[i], folder.path, i ? "it is a folder" : "not a regular file");
        refused_demo(options[i], in_folder("file/"), "it names a folder");
    }
}

static void descriptors_that_take_no_line(void **state)
{
    int fd = open("/dev/null", O_RDONLY); /* for vmm */
    char number[16], words[128];

    (void)state;
    assert_true(fd > STDERR_FILENO);
    snprintf(number, sizeof(number), "%d", fd);
    snprintf(words, sizeof(words),
             "--ready-fd=%d: descriptor %d is not open for writing; open it in the shell", fd, fd);
    refused(&(struct session_options){.args = {"--demo", "--ready-fd", number}}, words);
    close(fd);
}

/* The lines would go into the file that is read, or that is emptied later. */
static void a_log_in_a_file_that_is_used(void **state)
{
    char log[32], ready[16], output[512];
    int fd = open(folder.file, O_WRONLY | O_APPEND); /* for vmm */

    (void)state;
    assert_true(fd > STDERR_FILENO);
    snprintf(log, sizeof(log), "info,fd=%d", fd);
    snprintf(ready, sizeof(ready), "%d", fd);
    refused_restore("--log", log, "it is the same file as that of --log fd; name another file");
    refused_restore("--ready-fd", ready, "it is the same file as that of --ready-fd; name another");
    refused(
        &(struct session_options){.args = {"--demo", "--log", log, "--snapshot-out", folder.file}},
        "it is the same file as that of --log fd; name another file");
    close(fd);
    fd = open(in_folder("used"), O_WRONLY | O_CREAT, 0600);
    assert_true(fd > STDERR_FILENO);
    snprintf(log, sizeof(log), "info,fd=%d", fd);
    snprintf(output, sizeof(output), "file:%s", in_folder("used"));
    refused(
        &(struct session_options){.args = {"--demo", "--log", log, "--metrics", in_folder("used")}},
        "it is the same file as that of --log fd; name another file");
    refused(&(struct session_options){.args = {"--demo", "--log", log, "--serial", output}},
            "it is the same file as that of --log fd; name another file");
    close(fd);
}

static void refused_serial(const char *kind, const char *path, const char *words)
{
    char value[512];

    snprintf(value, sizeof(value), "%s:%s", kind, path);
    refused_demo("--serial", value, words);
    refused_demo("--serial", value, path);
}

static void places_that_take_no_serial_output(void **state)
{
    static const char *const kinds[] = {"file", "ring", "pipe"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        refused_serial(kinds[i], "/nodir/x", "No such file or directory; name a file");
        refused_serial(kinds[i], "/proc/x", "name a file that can be written");
        refused_serial(kinds[i], folder.path, "it is a folder");
    }
}

/* Whatever else is wrong: the kernel here, or that there is no KVM. */
static void serial_output_of_a_vm_that_does_not_run(void **state)
{
    static const char *const kinds[] = {"file", "ring", "pipe"};
    const char *kernel = "/nodir/kernel";
    char value[512], text[8];
    struct session session;
    FILE *old = fopen(in_folder("old"), "w");

    (void)state;
    assert_true(fputs("mine", old) >= 0);
    assert_int_equal(fclose(old), 0);
    for (size_t i = 0; i < 5; i++) {
        const struct session_options options = {.args = {"--kernel", kernel, "--serial", value}};

        snprintf(value, sizeof(value), "%s:%s", kinds[i % 3], in_folder(i < 3 ? "new" : "old"));
        assert_int_not_equal(session_run(&session, &options), 0);
        assert_int_not_equal(access(in_folder("new"), F_OK), 0);
        assert_int_equal(session_read_file(in_folder("old"), text, sizeof(text)), 4);
        assert_memory_equal(text, "mine", 4);
    }
}

static void a_fifo_without_a_reader(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    refused_demo("--metrics", in_folder("fifo"), "start its reader first");
}

static void files_in_use(void **state)
{
    char value[256];

    (void)state;
    assert_int_equal(link(folder.file, in_folder("hard")), 0);
    assert_int_equal(symlink(folder.file, in_folder("soft")), 0);
    refused_restore("--metrics", folder.file, "the same file as that of --restore");
    refused_restore("--metrics", in_folder("hard"), "the same file as that of --restore");
    refused_restore("--metrics", in_folder("soft"), "the same file as that of --restore");
    for (size_t i = 0; i < 4; i++) {
        snprintf(value, sizeof(value), "%s:%s", i & 1 ? "ring" : "file",
                 i & 2 ? in_folder("hard") : folder.file);
        refused_restore("--serial", value, "the same file as that of --restore");
    }
    refused(&(struct session_options){.args = {"--demo", "--initrd", folder.file, "--snapshot-out",
                                               in_folder("soft")}},
            "the same file as that of --initrd");
    refused(&(struct session_options){.args = {"--kernel", folder.file, "--snapshot-out",
                                               in_folder("soft")}},
            "the same file as that of --kernel");
    refused(&(struct session_options){.args = {"--demo", "--metrics", in_folder("new"),
                                               "--snapshot-out", in_folder("./new")}},
            "the same file as that of --snapshot-out");
    assert_int_not_equal(access(in_folder("new"), F_OK), 0);
}

static void standard_output_that_takes_no_snapshot(void **state)
{
    struct session_options options = {.args = {"--demo", "--serial", "none", "--snapshot-out", "-"},
                                      .out_closed = true};
    int ours, terminal;

    (void)state;
    refused(&options, "--snapshot-out=-: standard output is closed or cannot be written to; redir");
    options.out_closed = false;
    options.out = open(folder.file, O_RDONLY | O_CLOEXEC);
    assert_true(options.out > STDERR_FILENO);
    refused(&options, "--snapshot-out=-: standard output is closed or cannot be written to; redir");
    close(options.out);
    assert_int_equal(openpty(&ours, &terminal, NULL, NULL, NULL), 0);
    options.out = terminal;
    refused(&options, "--snapshot-out=-: standard output is a terminal; redirect it to a file or");
    close(terminal);
    close(ours);
}

/* Nobody's input, but a snapshot. */
static void a_snapshot_is_no_place_for_metrics(void **state)
{
    (void)state;
    refused_demo("--metrics", folder.file, "it is a snapshot; name another file");
}

static void files_that_cannot_be_booted(void **state)
{
    static const char *const options[] = {"kernel", "initrd"};
    const char *demo = "--demo";
    FILE *file = fopen(in_folder("text"), "w");
    char words[400];

    (void)state;
    assert_true(fputs("hello", file) >= 0);
    assert_int_equal(fclose(file), 0);
    for (size_t i = 0; i < 2; i++) {
        struct session_options start = {
            .args = {i ? "--initrd" : "--kernel", "/nodir/x", i ? demo : NULL}};

        snprintf(words, sizeof(words), "cannot open the %s /nodir/x", options[i]);
        refused(&start, words);
        start.args[1] = folder.path;
        refused(&start, "is a directory: give a regular file");
        start.args[1] = in_folder("fifo");
        if (!i)
            assert_int_equal(mkfifo(start.args[1], 0600), 0);
        refused(&start, "is not a regular file: give a regular file");
    }
    refused(&(struct session_options){.args = {"--kernel", in_folder("text")}},
            "text is not a kernel: give a");
}

static void wait_until_asleep(pid_t pid)
{
    char path[64], stat[512];
    const char *behind_name;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    do {
        stat[session_read_file(path, stat, sizeof(stat) - 1)] = '\0';
        behind_name = strrchr(stat, ')');
        assert_non_null(behind_name);
    } while (strncmp(behind_name, ") S", 3) != 0);
}

/* Nobody writes to it: the program waits, and ends as signals end any program. */
static void a_fifo_to_restore_from_is_waited_for_until_a_signal(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    const char *fifo = in_folder("fifo");

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    for (size_t i = 0; i < 4; i++) {
        const struct session_options options = {.args = {"--restore", fifo}};
        struct session session;

        session_start(&session, &options);
        wait_until_asleep(session.pid);
        assert_int_equal(kill(session.pid, signals[i]), 0);
        assert_int_equal(session_end(&session), 128 + signals[i]);
        assert_int_equal(session.err_len, 0);
    }
}

static int with_errors_on_the_terminal(int argc, char **argv)
{
    dup2(STDIN_FILENO, STDERR_FILENO);
    return session_main(argc, argv);
}

/* What comes through a FIFO is read before KVM is asked for; it is no machine. */
static void progress_of_a_restore_from_a_pipe(void **state)
{
    struct session session;
    const char *fifo = in_folder("stream");
    int ours, theirs;
    pid_t child;

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        int fd = open(fifo, O_WRONLY | O_CLOEXEC);

        _exit(write(fd, snapshot.bytes, snapshot.len) == (ssize_t)snapshot.len ? 0 : 1);
    }
    assert_int_equal(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
    session_start(&session, &(struct session_options){.args = {"--restore", fifo},
                                                      .in = theirs,
                                                      .out = theirs,
                                                      .terminal = true,
                                                      .program = with_errors_on_the_terminal});
    session.in = dup(ours);
    session.out = ours;
    session_wait_out(&session, "\rvmm: loading: ");
    while (session.err >= 0) /* the terminal is open here, too */
        session_pump(&session, -1);
    close(session.out);
    session.out = -1;
    assert_int_not_equal(session_end(&session), 0);
    child_wait(child);
    close(theirs);
    unlink(fifo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(descriptors_that_take_no_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_in_a_file_that_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(places_that_take_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(places_that_take_no_serial_output, setup, teardown),
        cmocka_unit_test_setup_teardown(serial_output_of_a_vm_that_does_not_run, setup, teardown),
        cmocka_unit_test_setup_teardown(standard_output_that_takes_no_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fifo_without_a_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(files_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_booted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fifo_to_restore_from_is_waited_for_until_a_signal, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(progress_of_a_restore_from_a_pipe, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_no_place_for_metrics, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
