/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Names of the host's files lead nowhere once a VM is open. Each case is a child that confines
 * itself, as root and as an ordinary user. test_confine_folders.c: while it holds folders.
 */
#include "confine_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis_options.h"
#include "vmm/cmd/confine_files.h"

static const struct stasis_control_config no_control;

/* kvm_fd: whether this user may open /dev/kvm does not matter. */
static struct stasis_vmm_config demo(void)
{
    return (struct stasis_vmm_config){.demo = true, .kvm_fd = STDIN_FILENO + 3};
}

static int confine(const struct confine_user *user, const struct stasis_vmm_config *config)
{
    struct stasis_confinement confinement = {.mode = user->mode, .end = confine_end};
    struct stasis_error err = {0};
    int rc = become(user) ? 0 : STASIS_ERR_ARG;

    if (!rc)
        rc = stasis_confine_begin(&confinement, config, &no_control, &err);
    return rc ? rc : stasis_confine_opened(&confinement, config, &err);
}

static int sees_nothing(void *arg)
{
    const struct confine_user *user = arg;
    const struct stasis_vmm_config config = demo();
    const uid_t id = user->id ? user->id : geteuid();
    struct stat root, up;

    if (confine(user, &config))
        return 1;
    if (!sees_no_files() || !is_gone("../etc") || !is_gone("../../../tmp"))
        return 2;
    if (stat("/", &root) || stat("..", &up) || root.st_ino != up.st_ino)
        return 3;
    if (open("/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ||
        open("/", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600) >= 0)
        return 4;
    if (!chroot("..") || errno != EPERM || !chroot("/") || errno != EPERM)
        return 5;
    return geteuid() == id && getuid() == id ? 0 : 6;
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
    struct confine_user root = {.mode = STASIS_CONFINE_REQUIRE};
    struct confine_user user = {.id = ORDINARY, .mode = STASIS_CONFINE_REQUIRE};

    (void)state;
    if (!may_make_namespaces(ORDINARY)) {
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
    const struct confine_user *user = arg;
    const struct stasis_vmm_config config = demo();
    struct stasis_confinement confinement = {.mode = user->mode, .end = confine_end};
    struct stasis_error err = {0};

    if (!become(user) ||
        stasis_confine_begin(&confinement, &config, &no_control, &err) != STASIS_ERR_UNAVAILABLE)
        return 1;
    return strstr(err.msg, "--sandbox require: names of the host's files can be looked up") ? 0 : 2;
}

/* Many hosts forbid them to all users, who shall not read of it at each start. */
static void forbidden_namespaces_are_no_news(void **state)
{
    struct confine_user user = {.id = ORDINARY, .forbidden = true};
    char text[512] = "";
    int fds[2], saved = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(in_child(sees_all, &user), 0);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(fds[1]);
    assert_int_equal(read(fds[0], text, sizeof(text) - 1), 0);
    close(fds[0]);
    close(saved);
    user.mode = STASIS_CONFINE_REQUIRE;
    assert_int_equal(in_child(is_refused, &user), 0);
}

/* ---- whose files they are ---- */

static int tells_others_from_nobody(void *arg)
{
    struct stat st;

    if (stat("/", &st) || st.st_uid != 0)
        return 1;
    if (sees_nothing(arg) != 6) /* only its number has changed */
        return 2;
    return geteuid() == 65533 && !stat("/", &st) && st.st_uid == 65534 ? 0 : 3;
}

/* To who is nobody, files of others would seem to be his own. */
static void nobody_has_another_number(void **state)
{
    struct confine_user nobody = {.id = 65534, .mode = STASIS_CONFINE_REQUIRE};

    (void)state;
    if (geteuid() || !may_make_namespaces(nobody.id)) {
        puts("skipped: not root, or users may make no namespaces here");
        skip();
    }
    assert_int_equal(in_child(tells_others_from_nobody, &nobody), 0);
}

static int keeps_root(const struct confine_user *user, const struct stasis_vmm_config *config)
{
    char before[64] = "", after[64] = "";

    if (!become(user) || readlink("/proc/self/ns/user", before, sizeof(before) - 1) < 0)
        return 1;
    if (confine(&(struct confine_user){.mode = user->mode}, config))
        return 2;
    if (readlink("/proc/self/ns/user", after, sizeof(after) - 1) < 0 || strcmp(before, after) != 0)
        return 3;
    return geteuid() == user->id && !is_gone("/etc") ? 0 : 4;
}

/* As Ubuntu does: the namespace can be entered, and gives no rights. */
static int is_forbidden_by_apparmor(void *arg)
{
    const struct stasis_vmm_config config = demo();
    int fd;

    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", "/proc/sys/kernel", "tmpfs", 0, NULL))
        return CHILD_SKIPS;
    fd = open("/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
              O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "1\n", 2) != 2)
        return 10;
    return keeps_root(arg, &config);
}

static void a_namespace_without_rights_is_not_entered(void **state)
{
    struct confine_user user = {.id = ORDINARY};
    int status = geteuid() ? CHILD_SKIPS : in_child(is_forbidden_by_apparmor, &user);

    (void)state;
    if (status == CHILD_SKIPS) {
        puts("skipped: not root, or nothing can be mounted here");
        skip();
    }
    assert_int_equal(status, 0);
}

/* In a namespace it could not be told from one of another user. */
static int has_socket_in_roots_folder(void *arg)
{
    const struct stasis_vmm_config config = {
        .demo = true, .kvm_fd = STDIN_FILENO + 3, .vsock.path = "/tmp/stasis-test.sock"};

    return keeps_root(arg, &config);
}

static void a_socket_in_a_folder_of_roots_keeps_the_root(void **state)
{
    struct confine_user user = {.id = geteuid() ? geteuid() : ORDINARY,
                                .mode = STASIS_CONFINE_REQUIRE};
    struct stat st;

    (void)state;
    if (stat("/tmp", &st) || st.st_uid == user.id) {
        puts("skipped: /tmp is this user's");
        skip();
    }
    assert_int_equal(in_child(has_socket_in_roots_folder, &user), 0);
}

/* ---- who holds folders ---- */

static void options_that_hold_folders(void **state)
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
        cmocka_unit_test(nobody_has_another_number),
        cmocka_unit_test(a_namespace_without_rights_is_not_entered),
        cmocka_unit_test(a_socket_in_a_folder_of_roots_keeps_the_root),
        cmocka_unit_test(options_that_hold_folders),
    };

    return !STASIS_WITH_SANDBOX ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
