/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Names of the host's files lead nowhere once a VM is open that holds no folder. Each case is a
 * child that confines itself, as root and as an ordinary user.
 */
#include "confine_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stasis_options.h"
#include "vmm/cmd/confine_files.h"

#define ORDINARY 12345

enum { NO_NAMESPACES = 20 };

/* As which user a case runs, and with what. */
struct rig {
    uid_t user; /* 0: whoever runs the test */
    bool forbidden;
    enum stasis_confine_mode mode;
};

static const struct stasis_control_config no_control;

/* The kernel takes /proc/self from who has changed users. */
static bool become(const struct rig *rig)
{
    const uid_t user = rig->user;

    if (rig->user && !geteuid() &&
        (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user) ||
         prctl(PR_SET_DUMPABLE, 1)))
        return false;
    if (rig->forbidden)
        lacks_call(SYS_unshare, EPERM);
    return true;
}

/* What the host itself forbids is no fault. */
static int allows_namespaces(void *arg)
{
    return become(arg) && (!geteuid() || !unshare(CLONE_NEWUSER)) ? 0 : NO_NAMESPACES;
}

/* kvm_fd: whether this user may open /dev/kvm does not matter. */
static struct stasis_vmm_config demo(void)
{
    return (struct stasis_vmm_config){.demo = true, .kvm_fd = STDIN_FILENO + 3};
}

static int confine(const struct rig *rig, const struct stasis_vmm_config *config)
{
    struct stasis_confinement confinement = {.mode = rig->mode, .end = confine_end};
    struct stasis_error err = {0};
    int rc = become(rig) ? 0 : STASIS_ERR_ARG;

    if (!rc)
        rc = stasis_confine_begin(&confinement, config, &no_control, &err);
    return rc ? rc : stasis_confine_opened(&confinement, config, &err);
}

static bool is_gone(const char *path)
{
    struct stat st;

    return stat(path, &st) && errno == ENOENT;
}

static int sees_nothing(void *arg)
{
    static const char *const paths[] = {"/etc",     "/etc/passwd", "/proc/self",   "/dev/kvm",
                                        "/tmp",     "../etc",      "../../../tmp", "self",
                                        "/../proc", "/dev/null"};
    const struct rig *rig = arg;
    const struct stasis_vmm_config config = demo();
    const uid_t user = rig->user ? rig->user : geteuid();
    struct stat root, up;

    if (confine(rig, &config))
        return 1;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (!is_gone(paths[i]))
            return 2;
    if (stat("/", &root) || stat("..", &up) || root.st_ino != up.st_ino)
        return 3;
    if (open("/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ||
        open("/", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600) >= 0)
        return 4;
    if (!chroot("..") || errno != EPERM || !chroot("/") || errno != EPERM)
        return 5;
    return geteuid() == user && getuid() == user ? 0 : 6;
}

/* The filter ends who tries: with the status of confine_end(). */
static int makes_another_namespace(void *arg)
{
    const struct stasis_vmm_config config = demo();

    if (confine(arg, &config))
        return 1;
    (void)!unshare(CLONE_NEWUSER);
    return 2;
}

static void names_lead_nowhere(void **state)
{
    struct rig root = {.mode = STASIS_CONFINE_REQUIRE};
    struct rig user = {.user = ORDINARY, .mode = STASIS_CONFINE_REQUIRE};

    (void)state;
    if (in_child(allows_namespaces, &user)) {
        puts("skipped: users may make no namespaces here");
        skip();
    }
    assert_int_equal(in_child(sees_nothing, &root), 0);
    assert_int_equal(in_child(sees_nothing, &user), 0);
    assert_int_equal(in_child(makes_another_namespace, &root), 97);
    assert_int_equal(in_child(makes_another_namespace, &user), 97);
}

/* ---- without ---- */

static int sees_all(void *arg)
{
    const struct stasis_vmm_config config = demo();
    int rc = confine(arg, &config);

    return rc ? 1 : !is_gone("/etc") ? 0 : 2;
}

static int is_refused(void *arg)
{
    const struct rig *rig = arg;
    const struct stasis_vmm_config config = demo();
    struct stasis_confinement confinement = {.mode = rig->mode, .end = confine_end};
    struct stasis_error err = {0};

    if (!become(rig) ||
        stasis_confine_begin(&confinement, &config, &no_control, &err) != STASIS_ERR_UNAVAILABLE)
        return 1;
    return strstr(err.msg, "--sandbox require: names of the host's files can be looked up") ? 0 : 2;
}

/* Many hosts forbid them to all users, who shall not read of it at each start. */
static void forbidden_namespaces_are_no_news(void **state)
{
    struct rig rig = {.user = ORDINARY, .forbidden = true};
    char text[512] = "";
    int fds[2], saved = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(in_child(sees_all, &rig), 0);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(fds[1]);
    assert_int_equal(read(fds[0], text, sizeof(text) - 1), 0);
    close(fds[0]);
    close(saved);
    rig.mode = STASIS_CONFINE_REQUIRE;
    assert_int_equal(in_child(is_refused, &rig), 0);
}

/* Each of them holds a folder, from which ".." leads up. */
static void who_holds_folders_keeps_the_root(void **state)
{
    struct stasis_control_config control = {.dir = "/tmp"};
    struct stasis_vmm_config config = demo();
    const char **const names[] = {&config.snapshot.path,   &config.on_crash.snapshot,
                                  &config.serial.path,     &config.metrics_path,
                                  &config.net.passt,       &config.vsock.path,
                                  &config.block[0].overlay};

    (void)state;
    assert_false(stasis_confine_holds_folders(&config, &no_control));
    assert_true(stasis_confine_holds_folders(&config, &control));
    config.block[0].path = "/tmp/disk";
    config.snapshot.path = STASIS_VMM_STREAM;
    assert_false(stasis_confine_holds_folders(&config, &no_control));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        *names[i] = "/tmp/name";
        assert_true(stasis_confine_holds_folders(&config, &no_control));
        *names[i] = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_nowhere),
        cmocka_unit_test(forbidden_namespaces_are_no_news),
        cmocka_unit_test(who_holds_folders_keeps_the_root),
    };

    return !STASIS_WITH_SANDBOX ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
