/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which files --sandbox leaves to a program with a control socket, whose clients may send any
 * folder: none of the user's, but by a descriptor that a client has opened.
 */
#include "confine_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
    make_file(in_folder("secret/file"));
    return 0;
}

static int tear_down(void **state)
{
    static const char *const made[] = {"secret/file", "out", "links", "secret", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        assert_int_equal(remove(in_folder(made[i])), 0);
    return 0;
}

/* Folders that hold the system, of which each may be there. */
static bool makes_in_system(void)
{
    static const char *const folders[] = {"/", "/dev", "/etc", "/run", "/usr", "/boot"};

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (opens(folders[i], O_RDWR | O_TMPFILE))
            return true;
    return opens("/etc/passwd", O_RDONLY) || opens("/dev/zero", O_WRONLY) ||
           opens("/proc/self/comm", O_WRONLY);
}

/* A folder of the user's that is open for reading was sent; any can be opened for nothing. */
static int makes_by_maker(const struct stasis_confinement *confinement, int sent)
{
    const struct stasis_output_folders folders = stasis_confine_folders(confinement);
    int taken = open(in_folder("secret"), O_PATH | O_CLOEXEC);
    int folder_fd = folders.open(folders.ctx, sent);
    int fd = folders.make(folder_fd, NULL);

    if (folder_fd < 0 || fd < 0 || folders.name(folder_fd, "new"))
        return 10;
    if (folders.open(folders.ctx, taken) >= 0 || errno != EBADF)
        return 11;
    return openat(sent, "new", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES ? 0 : 12;
}

/* Without dir= nothing is allowed, wherever the user has files, and another process makes them. */
static int limits_clients(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    const struct stasis_control_config control = {.path = in_folder("links/socket")};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_REQUIRE, .end = confine_end};
    struct stasis_error err = {0};
    int sent = open(in_folder("out"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc;

    (void)arg;
    if (stasis_confine_begin(&confinement, &config, &control, &err))
        return CHILD_SKIPS;
    if (makes_in("out/new") || makes_in("links/new") || makes_in("secret/new") || makes_in("new"))
        return 1;
    if (opens(in_folder("secret/file"), O_RDONLY) || opens(in_folder("secret/file"), O_WRONLY) ||
        opens(in_folder("secret"), O_RDONLY | O_DIRECTORY))
        return 2;
    if (opens("/tmp", O_RDWR | O_TMPFILE) || opens("/var/tmp", O_RDWR | O_TMPFILE) ||
        opens("/dev/shm", O_RDWR | O_TMPFILE) || makes_in_system())
        return 3;
    rc = makes_by_maker(&confinement, sent);
    stasis_confine_fini(&confinement);
    return rc;
}

/* No name can be removed, that of the socket neither: the other process removes it at the end. */
static int limits_control(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    const struct stasis_control_config control = {.path = in_folder("links/socket"), .dir = arg};
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    struct stasis_confinement confinement = {
        .mode = STASIS_CONFINE_REQUIRE, .end = confine_end, .socket = &sock};
    struct stasis_error err = {0};
    bool stays;

    if (stasis_socket_listen(&sock, control.path, &err))
        return 4;
    if (stasis_confine_begin(&confinement, &config, &control, &err))
        return unlink(control.path) ? 5 : CHILD_SKIPS;
    if (!unlink(control.path) || errno != EACCES || !unlink(in_folder("secret/file")))
        return 1;
    if (!makes_in("out/new") || makes_in_system() || opens("/dev/shm", O_RDWR | O_TMPFILE) ||
        makes_in("links/new") || makes_in("secret/new"))
        return 2;
    if (stasis_confine_folders(&confinement).open)
        return 3;
    stasis_socket_close(&sock);
    stays = !access(control.path, F_OK);
    stasis_confine_fini(&confinement);
    return stays && access(control.path, F_OK) ? 0 : 6;
}

static void folders_of_clients_are_theirs(void **state)
{
    int status = in_child(limits_clients, NULL);

    (void)state;
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
    assert_int_equal(remove(in_folder("out/new")), 0);
}

static void folder_of_the_option_is_left(void **state)
{
    int status = in_child(limits_control, (void *)(uintptr_t)in_folder("out"));

    (void)state;
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
}

static bool opens_in(int from, const char *name, int flags)
{
    return openat(from, name, flags | O_CLOEXEC, 0600) >= 0;
}

/* Layers are sought in a folder before the guest runs: then it cannot be sent to that process any
 * more. What may be written to anyhow stays open, by who holds a folder. */
static int gives_up_layers(void *arg)
{
    const struct stasis_vmm_config config = {
        .demo = true,
        .restore.layers = in_folder("secret"),
        .snapshot.path = in_folder("out/new"),
    };
    const struct stasis_control_config control = {.path = in_folder("links/socket")};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_REQUIRE, .end = confine_end};
    struct stasis_error err = {0};
    int from = open(folder, O_PATH | O_CLOEXEC);

    (void)arg;
    if (stasis_confine_begin(&confinement, &config, &control, &err))
        return CHILD_SKIPS;
    if (!opens(in_folder("secret"), O_RDONLY | O_DIRECTORY) || makes_in("secret/new"))
        return 1;
    if (stasis_confine_opened(&confinement, &config, &err))
        return 2;
    if (opens_in(from, "secret", O_RDONLY | O_DIRECTORY) || errno != EACCES)
        return 3;
    if (!opens_in(from, "secret/file", O_RDONLY) || !opens_in(from, "out", O_RDWR | O_TMPFILE) ||
        !opens_in(from, "out", O_RDONLY | O_DIRECTORY) ||
        !opens_in(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY))
        return 4;
    stasis_confine_fini(&confinement);
    return 0;
}

static void folder_of_layers_is_given_up(void **state)
{
    int status = in_child(gives_up_layers, NULL);

    (void)state;
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
}

static int lacks_sockets_and_needs_them(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    const struct stasis_control_config control = {.path = in_folder("socket")};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_REQUIRE, .end = confine_end};
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_socketpair, EMFILE);
    (void)!stasis_confine_begin(&confinement, &config, &control, &err);
    if (strstr(err.msg, "kernel needs Landlock"))
        return CHILD_SKIPS;
    return !strstr(err.msg, "the process that handles files of clients cannot be started: ");
}

/* Files are limited, for clients, too. */
static int lacks_sockets(void *arg)
{
    const struct stasis_vmm_config config = {.demo = true};
    const struct stasis_control_config control = {.path = in_folder("socket")};
    struct stasis_confinement confinement = {.mode = STASIS_CONFINE_ON, .end = confine_end};
    struct stasis_error err = {0};

    if (dup2(*(int *)arg, STDERR_FILENO) < 0)
        return 1;
    lacks_call(SYS_socketpair, EMFILE);
    if (stasis_confine_begin(&confinement, &config, &control, &err))
        return 2;
    if (opens(in_folder("secret/file"), O_RDONLY) || makes_in("out/new") || makes_in_system())
        return 3;
    if (stasis_confine_folders(&confinement).open)
        return 4;
    stasis_confine_fini(&confinement);
    return 0;
}

static void process_that_cannot_be_started_is_told(void **state)
{
    int status = in_child(lacks_sockets_and_needs_them, NULL);

    (void)state;
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
}

static void without_that_process_files_are_limited(void **state)
{
    char text[1024] = "", expected[512];
    int status, fds[2];

    (void)state;
    if (in_child(lacks_sockets_and_needs_them, NULL) == CHILD_SKIPS)
        skip();
    assert_int_equal(pipe(fds), 0);
    status = in_child(lacks_sockets, &fds[1]);
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    assert_int_equal(status, 0);
    snprintf(expected, sizeof(expected),
             "vmm: --sandbox: the process that handles files of clients cannot be started: %s; "
             "clients can have no snapshots in folders of theirs, and the control socket is not "
             "removed at the end\n",
             strerror(EMFILE));
    if (!strstr(text, expected))
        fail_msg("%s", text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_of_clients_are_theirs),
        cmocka_unit_test(folder_of_the_option_is_left),
        cmocka_unit_test(folder_of_layers_is_given_up),
        cmocka_unit_test(process_that_cannot_be_started_is_told),
        cmocka_unit_test(without_that_process_files_are_limited),
    };

    return !STASIS_WITH_SANDBOX ? 77 : cmocka_run_group_tests(tests, set_up, tear_down);
}
