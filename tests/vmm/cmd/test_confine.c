/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which files --sandbox leaves to the program, option by option, and what is said of parts that are
 * missing. Each case is a child that confines itself.
 */
#include "confine_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stasis_options.h"

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(in_folder("out"), 0700), 0);
    assert_int_equal(mkdir(in_folder("links"), 0700), 0);
    assert_int_equal(mkdir(in_folder("secret"), 0700), 0);
    make_file(in_folder("kernel"));
    make_file(in_folder("secret/file"));
    assert_int_equal(symlink("../out/target", in_folder("links/link")), 0);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const made[] = {
        "kernel", "secret/file", "links/link", "out", "links", "secret", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        assert_int_equal(remove(in_folder(made[i])), 0);
    return 0;
}

static int confine(const struct stasis_vmm_config *config,
                   const struct stasis_control_config *control)
{
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_REQUIRE, .end = confine_end};
    struct stasis_error err = {0};

    return stasis_confine_begin(&confinement, config, control, &err) ? CHILD_SKIPS : 0;
}

static int limits_outputs(void *arg)
{
    const struct stasis_vmm_config config = {.kernel.path = in_folder("kernel"),
                                             .snapshot.path = in_folder("links/link")};
    int rc = confine(&config, NULL);

    (void)arg;
    if (rc)
        return rc;
    if (!opens(in_folder("kernel"), O_RDONLY) || opens(in_folder("kernel"), O_WRONLY))
        return 1;
    if (!makes_in("out/new") || opens(in_folder("links"), O_RDONLY | O_DIRECTORY))
        return 2;
    if (makes_in("links/new") || makes_in("new") || makes_in("secret/new"))
        return 3;
    if (!opens("/etc/group", O_RDONLY) || opens("/etc/group", O_WRONLY))
        return 6;
    if (opens(in_folder("secret/file"), O_RDONLY) || opens("/etc/passwd", O_RDONLY) ||
        opens("/tmp", O_RDWR | O_TMPFILE))
        return 4;
    return opens("/proc/self/maps", O_RDONLY) && opens("/proc/self/fd", O_RDONLY | O_DIRECTORY) ? 0
                                                                                                : 5;
}

static int limits_serial(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true, .serial.path = in_folder("out/serial")};
    int rc = confine(&config, &(struct stasis_control_config){.path = NULL});

    (void)arg;
    if (rc)
        return rc;
    return makes_in("out/new") && !makes_in("links/new") ? 0 : 1;
}

/* A file that is there takes no folder, unless another is put in its place. */
static int limits_to_files_that_are_there(void *arg)
{
    struct stasis_vmm_config config = {.demo = true, .serial.path = in_folder("kernel")};
    int rc;

    config.metrics_path = in_folder("secret/file");
    config.metrics_every_ms = arg ? 1000 : 0;
    rc = confine(&config, NULL);
    if (rc)
        return rc;
    if (!opens(in_folder("kernel"), O_RDWR | O_TRUNC) || makes_in("new") || makes_in("out/new"))
        return 1;
    if (!opens(in_folder("secret/file"), O_RDWR | O_TRUNC))
        return 2;
    return makes_in("secret/new") == (arg != NULL) ? 0 : 3;
}

static int limits_stream(void *arg)
{
    const struct stasis_vmm_config config = {.restore.path = "-", .snapshot.path = "-"};
    int rc;

    setenv("TMPDIR", arg, 1);
    rc = confine(&config, NULL);
    if (rc)
        return rc;
    return makes_in("out/new") && !makes_in("links/new") ? 0 : 1;
}

/* Standard streams that are regular files can be written to as far as they are open for it; the
 * others are opened once more. */
static int limits_streams(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true, .log.fd = STDERR_FILENO};
    int file = open(in_folder("secret/file"), O_RDONLY | O_CLOEXEC);
    int fds[2];
    int rc;

    (void)arg;
    if (pipe(fds) || dup2(file, STDIN_FILENO) < 0 || dup2(fds[1], STDOUT_FILENO) < 0)
        return 1;
    rc = confine(&config, NULL);
    if (rc)
        return rc;
    if (opens("/proc/self/fd/0", O_WRONLY) || opens(in_folder("secret/file"), O_WRONLY))
        return 2;
    return opens("/proc/self/fd/1", O_WRONLY | O_NONBLOCK) ? 0 : 3;
}

static int limits_nothing(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_OFF, .end = confine_end};
    struct stasis_error err = {0};

    (void)arg;
    if (stasis_confine_begin(&confinement, &config, NULL, &err) ||
        stasis_confine_opened(&confinement, &config, &err))
        return 1;
    stasis_confine_fini(&confinement);
    return makes_in("secret/new") && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : 2;
}

static void files_of_the_options_are_left(void **state)
{
    int status = in_child(limits_outputs, NULL);

    (void)state;
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
    assert_int_equal(in_child(limits_serial, NULL), 0);
    assert_int_equal(in_child(limits_to_files_that_are_there, NULL), 0);
    assert_int_equal(in_child(limits_to_files_that_are_there, folder), 0);
    assert_int_equal(in_child(limits_streams, NULL), 0);
    assert_int_equal(in_child(limits_stream, (void *)(uintptr_t)in_folder("out")), 0);
}

/* A /proc of this process's own, whose names can be forgotten without those of the host's. */
static bool mounts_proc(void)
{
    return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
           !mount("proc", "/proc", "proc", 0, NULL);
}

/* A kernel that is short of memory forgets names that nobody holds, as it does when a file system
 * is mounted again. That takes a process outside the sandbox. */
static pid_t start_forgetting(int fd)
{
    pid_t pid = fork();
    char order;

    if (pid)
        return pid;
    if (read(fd, &order, 1) != 1)
        _exit(1);
    _exit(mount(NULL, "/proc", NULL, MS_REMOUNT, NULL) ? 2 : 0);
}

static int reads_what_was_forgotten(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    int status, order[2];
    pid_t pid;

    (void)arg;
    if (!mounts_proc() || pipe(order) || (pid = start_forgetting(order[0])) < 0)
        return CHILD_SKIPS;
    if (confine(&config, NULL))
        return CHILD_SKIPS;
    if (write(order[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid || status)
        return 1;
    for (size_t i = 0; i < STASIS_CONFINE_PROC_COUNT; i++)
        if (!opens(stasis_confine_proc[i], O_RDONLY))
            return 2;
    return opens("/proc/self/comm", O_RDONLY) ? 3 : 0;
}

/* Where the root cannot be changed, it is opened for each snapshot, maybe after days. */
static void proc_is_read_when_the_kernel_had_forgotten_it(void **state)
{
    int status = in_child(reads_what_was_forgotten, NULL);

    (void)state;
    if (status == CHILD_SKIPS) {
        puts("skipped: no Landlock, or no right to mount /proc");
        skip();
    }
    assert_int_equal(status, 0);
}

static void off_limits_nothing(void **state)
{
    (void)state;
    assert_int_equal(in_child(limits_nothing, NULL), 0);
}

/* ---- what is missing ---- */

/* Of standard error. */
/* A kernel without a part answers ENOSYS, one that was started without it EOPNOTSUPP, a container
 * that forbids it EPERM. */
struct lack {
    int call;
    int code;
    const char *words;
    int out;
};

static int goes_without(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_ON, .end = confine_end};
    const struct lack *lack = arg;
    struct stasis_error err = {0};

    lacks_call(lack->call, lack->code);
    dup2(lack->out, STDERR_FILENO);
    if (stasis_confine_begin(&confinement, &config, NULL, &err))
        return 1;
    /* Without filters there is none for a thread, either. */
    return lack->call == SYS_seccomp &&
                   stasis_confine_thread(&confinement, STASIS_VMM_THREAD_VCPU, &err)
               ? 2
               : 0;
}

static int is_refused_without(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_REQUIRE, .end = confine_end};
    const struct lack *lack = arg;
    struct stasis_error err = {0};

    lacks_call(lack->call, lack->code);
    if (stasis_confine_begin(&confinement, &config, NULL, &err) != STASIS_ERR_UNAVAILABLE)
        return 1;
    return strstr(err.msg, "--sandbox require: ") && strstr(err.msg, lack->words) &&
                   strstr(err.msg, "give --sandbox on")
               ? 0
               : 2;
}

static void a_missing_part_is_one_line_or_is_required(void **state)
{
    static const char files[] = "files are not limited", calls[] = "system calls are not limited";
    static struct lack lacks[] = {
        {SYS_landlock_create_ruleset, EOPNOTSUPP, files, -1},
        {SYS_landlock_create_ruleset, ENOSYS, files, -1},
        {SYS_landlock_create_ruleset, EPERM, files, -1},
        {SYS_seccomp, ENOSYS, calls, -1},
        {SYS_seccomp, EPERM, calls, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
        char text[1024] = "";
        const char *line;
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        lacks[i].out = fds[1];
        assert_int_equal(in_child(goes_without, &lacks[i]), 0);
        close(fds[1]);
        assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
        close(fds[0]);
        line = strstr(text, lacks[i].words);
        if (!line || !strstr(line, "the guest runs without this part\n"))
            fail_msg("%zu: %s", i, text);
        assert_int_equal(strncmp(text, "vmm: --sandbox: ", 16), 0);
        assert_null(strstr(line + 1, lacks[i].words));
        assert_int_equal(in_child(is_refused_without, &lacks[i]), 0);
    }
}

static bool has_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    return syscall(SYS_capget, &header, sets) || sets[0].permitted || sets[1].permitted;
}

/* They begin before the VM is open, when the thread that starts them has some. */
static int loads_ram(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_ON, .end = confine_end};
    struct stasis_error err = {0};
    bool had = has_capabilities();

    (void)arg;
    lacks_call(SYS_seccomp, ENOSYS);
    if (stasis_confine_begin(&confinement, &config, NULL, &err) || has_capabilities() != had)
        return 1;
    return stasis_confine_thread(&confinement, STASIS_VMM_THREAD_RAM, &err) || has_capabilities()
               ? 2
               : 0;
}

static void threads_that_load_ram_have_no_capabilities(void **state)
{
    (void)state;
    assert_int_equal(in_child(loads_ram, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_the_options_are_left),
        cmocka_unit_test(proc_is_read_when_the_kernel_had_forgotten_it),
        cmocka_unit_test(off_limits_nothing),
        cmocka_unit_test(a_missing_part_is_one_line_or_is_required),
        cmocka_unit_test(threads_that_load_ram_have_no_capabilities),
    };

    return !STASIS_WITH_SANDBOX ? 77 : cmocka_run_group_tests(tests, set_up, tear_down);
}
