/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "control_rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/control/socket.h"
#include "vmm/host/socket.h"

static struct stasis_socket listen_at(const char *path)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    struct stasis_error err;

    if (stasis_socket_listen(&sock, path, &err))
        fail_msg("%s", err.msg);
    return sock;
}

static void assert_refused(const char *path, int code, const char *words)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    struct stasis_error err;
    unsigned fds = rig_open_fds();

    assert_int_equal(stasis_socket_listen(&sock, path, &err), code);
    assert_int_equal(sock.fd, -1);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.msg);
    assert_int_equal(rig_open_fds(), fds);
}

static void the_owner_alone_may_connect_and_the_name_goes_with_the_socket(void **state)
{
    struct stasis_socket sock;
    struct rig rig;
    struct stat st;
    mode_t mask = umask(0);
    int fd;

    (void)state;
    rig_init(&rig);
    sock = listen_at(rig.path);
    umask(mask);
    assert_int_equal(stat(rig.path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stasis_control_socket_connect(rig.path, &fd, NULL), 0);
    close(fd);
    stasis_socket_close(&sock);
    rig_fini(&rig);
}

static void a_path_without_a_folder_is_in_the_current_one(void **state)
{
    struct stasis_socket sock;
    struct rig rig;

    (void)state;
    rig_init(&rig);
    assert_int_equal(chdir(rig.folder), 0);
    sock = listen_at("sock");
    assert_int_equal(access(rig.path, F_OK), 0);
    stasis_socket_close(&sock);
    assert_int_equal(chdir("/"), 0);
    rig_fini(&rig);
}

static void a_dead_socket_is_replaced(void **state)
{
    struct stasis_socket dead;
    struct stasis_socket sock;
    struct rig rig;

    (void)state;
    rig_init(&rig);
    dead = listen_at(rig.path);
    close(dead.fd); /* as a process that is killed */
    close(dead.dir);
    sock = listen_at(rig.path);
    dead.fd = -1;
    dead.dir = open(rig.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    stasis_socket_close(&dead); /* the name is not its own any more */
    assert_int_equal(access(rig.path, F_OK), 0);
    stasis_socket_close(&sock);
    rig_fini(&rig);
}

/* That of a process that was killed while it made one, and had the same number. */
static void what_another_process_has_left_is_not_in_the_way(void **state)
{
    struct stasis_socket sock;
    char left[sizeof(((struct rig *)NULL)->folder) + 48];
    struct rig rig;

    (void)state;
    rig_init(&rig);
    for (int dir = 0; dir < 32; dir++) {
        snprintf(left, sizeof(left), "%s/.stasis-%d.%d.tmp", rig.folder, (int)getpid(), dir);
        assert_int_equal(mkdir(left, 0700), 0);
    }
    sock = listen_at(rig.path);
    stasis_socket_close(&sock);
    for (int dir = 0; dir < 32; dir++) {
        snprintf(left, sizeof(left), "%s/.stasis-%d.%d.tmp", rig.folder, (int)getpid(), dir);
        assert_int_equal(rmdir(left), 0);
    }
    rig_fini(&rig);
}

static void a_socket_that_is_alive_or_no_socket_stays(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stasis_socket sock;
    struct rig rig;
    struct stat before;
    struct stat after;
    int fd;

    (void)state;
    rig_init(&rig);
    sock = listen_at(rig.path);
    assert_int_equal(stat(rig.path, &before), 0);
    assert_refused(rig.path, STASIS_ERR_ARG, "another process listens on it");
    assert_int_equal(stat(rig.path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    stasis_socket_close(&sock);

    fd = open(rig.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    assert_refused(rig.path, STASIS_ERR_ARG, "not a socket");
    assert_int_equal(unlink(rig.path), 0);
    assert_int_equal(symlink("/dev/null", rig.path), 0);
    assert_refused(rig.path, STASIS_ERR_ARG, "not a socket");
    assert_int_equal(unlink(rig.path), 0);

    /* One of another type, which connect(2) does not tell dead from alive. */
    memcpy(address.sun_path, rig.path, strlen(rig.path) + 1);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_refused(rig.path, STASIS_ERR_ARG, "cannot find out whether another process listens");
    assert_int_equal(unlink(rig.path), 0);
    close(fd);
    rig_fini(&rig);
}

static void a_socket_whose_queue_is_full_is_alive(void **state)
{
    struct stasis_socket sock;
    struct rig rig;
    int fds[64];
    unsigned count = 0;

    (void)state;
    rig_init(&rig);
    sock = listen_at(rig.path);
    for (; count < 64; count++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        memcpy(address.sun_path, rig.path, strlen(rig.path) + 1);
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fds[count], (struct sockaddr *)&address, sizeof(address)))
            break;
    }
    assert_true(count < 64);
    assert_refused(rig.path, STASIS_ERR_ARG, "another process listens on it");
    for (unsigned i = 0; i <= count; i++)
        close(fds[i]);
    stasis_socket_close(&sock);
    rig_fini(&rig);
}

static void a_path_that_is_too_long_or_names_nothing_is_refused(void **state)
{
    char path[200] = "/tmp/";

    (void)state;
    memset(path + 5, 'a', 81);
    assert_refused(path, STASIS_ERR_ARG, "the name of the socket has more than 80 bytes");
    memset(path + 5, 'a', sizeof(path) - 6);
    assert_refused(path, STASIS_ERR_ARG, "more than 107 bytes");
    assert_refused("", STASIS_ERR_ARG, "the path names no file");
    assert_refused("/tmp/", STASIS_ERR_ARG, "the path names no file");
    assert_refused("/tmp/..", STASIS_ERR_ARG, "the path names no file");
}

static void a_folder_that_is_missing_or_that_others_may_write_is_refused(void **state)
{
    struct stasis_socket sock;
    struct rig rig;

    (void)state;
    rig_init(&rig);
    assert_refused("/tmp/stasis-no-such-folder/sock", STASIS_ERR_ARG, "cannot open its folder");
    assert_int_equal(chmod(rig.folder, 0777), 0);
    assert_refused(rig.path, STASIS_ERR_ARG, "others may write to its folder");
    assert_int_equal(chmod(rig.folder, 0770), 0);
    assert_refused(rig.path, STASIS_ERR_ARG, "others may write to its folder");
    assert_int_equal(chmod(rig.folder, 01777), 0);
    sock = listen_at(rig.path);
    stasis_socket_close(&sock);
    assert_refused("/proc/sock", STASIS_ERR_WRITE, "cannot make a socket there");
    if (!geteuid()) {
        assert_int_equal(chown(rig.folder, 1, 1), 0);
        assert_refused(rig.path, STASIS_ERR_ARG, "its folder belongs to another user");
    }
    rig_fini(&rig);
}

static void a_client_without_a_server_is_told_why(void **state)
{
    struct stasis_socket sock;
    struct stasis_error err;
    struct rig rig;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[200] = "/tmp/";
    int datagrams;
    int fd = -1;

    (void)state;
    memset(path + 5, 'a', sizeof(path) - 6);
    rig_init(&rig);
    assert_int_equal(stasis_control_socket_connect(rig.path, &fd, &err), STASIS_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "there is no such socket"));
    sock = listen_at(rig.path);
    close(sock.fd);
    sock.fd = -1;
    assert_int_equal(stasis_control_socket_connect(rig.path, &fd, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "nobody listens on it"));
    stasis_socket_close(&sock);
    assert_int_equal(stasis_control_socket_connect(path, &fd, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_control_socket_connect(rig.folder, &fd, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "it is no socket"));
    assert_int_equal(fd, -1);
    datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* of some other service */
    memcpy(address.sun_path, rig.path, strlen(rig.path) + 1);
    assert_int_equal(bind(datagrams, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(stasis_control_socket_connect(rig.path, &fd, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "cannot connect"));
    close(datagrams);
    assert_int_equal(unlink(rig.path), 0);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_alone_may_connect_and_the_name_goes_with_the_socket),
        cmocka_unit_test(a_path_without_a_folder_is_in_the_current_one),
        cmocka_unit_test(a_dead_socket_is_replaced),
        cmocka_unit_test(what_another_process_has_left_is_not_in_the_way),
        cmocka_unit_test(a_socket_that_is_alive_or_no_socket_stays),
        cmocka_unit_test(a_socket_whose_queue_is_full_is_alive),
        cmocka_unit_test(a_path_that_is_too_long_or_names_nothing_is_refused),
        cmocka_unit_test(a_folder_that_is_missing_or_that_others_may_write_is_refused),
        cmocka_unit_test(a_client_without_a_server_is_told_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
