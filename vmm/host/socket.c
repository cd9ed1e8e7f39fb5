/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A socket gets its mode before bind(2), which makes the file with it, and gets its name when it
 * already listens. So the name is never one that anybody else may use, nor one that seems dead to
 * another VMM which starts at the same time.
 */
#include "vmm/host/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stasis/fd_path.h"

#define BACKLOG 48

static int cannot_make(struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "cannot make a socket there");
}

/* ---- the folder ---- */

/* Splits the path into its folder, "." for none, and the name. */
static int split(const char *path, char ret_folder[STASIS_SOCKET_PATH_MAX + 1], char *ret_name,
                 struct stasis_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t len = slash > path ? (size_t)(slash - path) : 1;

    if (strlen(path) > STASIS_SOCKET_PATH_MAX)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the path has more than %zu bytes; use a shorter one",
                           STASIS_SOCKET_PATH_MAX);
    if (strlen(name) > STASIS_SOCKET_NAME_MAX)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the name of the socket has more than %d bytes; use a shorter one",
                           STASIS_SOCKET_NAME_MAX);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return stasis_fail(err, STASIS_ERR_ARG, "the path names no file; add a name");
    memcpy(ret_folder, slash ? path : ".", len);
    ret_folder[len] = '\0';
    memcpy(ret_name, name, strlen(name) + 1);
    return 0;
}

/* Whoever may write to the folder can put another socket in place of ours, unless it is sticky. */
static int check_folder(int dir, struct stasis_error *err)
{
    struct stat st;

    if (fstat(dir, &st))
        return stasis_fail_errno(err, STASIS_ERR_ARG, "cannot examine its folder");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return stasis_fail(err, STASIS_ERR_ARG,
                           "its folder belongs to another user; use a folder of your own");
    if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "others may write to its folder; use a folder of mode 0700");
    return 0;
}

static int open_folder(struct stasis_socket *sock, const char *path, struct stasis_error *err)
{
    char folder[STASIS_SOCKET_PATH_MAX + 1];
    int rc = split(path, folder, sock->name, err);

    if (rc)
        return rc;
    sock->dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sock->dir < 0)
        return stasis_fail_errno(err, STASIS_ERR_ARG, "cannot open its folder");
    return check_folder(sock->dir, err);
}

/* ---- names in it ---- */

static struct sockaddr_un address_in(int dir, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[STASIS_FD_PATH_MAX];

    stasis_fd_path(dir, folder);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
    return address;
}

int stasis_socket_connect_in(int dir, const char *name)
{
    struct sockaddr_un address = address_in(dir, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int why;

    if (fd < 0 || !connect(fd, (struct sockaddr *)&address, sizeof(address)))
        return fd;
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* Fails if somebody listens, or may do so. One whose queue of connections is full does. */
static int check_dead(int dir, const char *name, struct stasis_error *err)
{
    int fd = stasis_socket_connect_in(dir, name);

    if (fd < 0 && (errno == ECONNREFUSED || errno == ENOENT))
        return 0;
    if (fd < 0 && errno != EAGAIN)
        return stasis_fail_errno(err, STASIS_ERR_ARG,
                                 "cannot find out whether another process listens on it; use "
                                 "another path");
    if (fd >= 0)
        close(fd);
    return stasis_fail(err, STASIS_ERR_ARG,
                       "another process listens on it; use another path, or end that process");
}

/* By system call: musl has no function for it. */
static int rename_in(int dir, const char *from, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, dir, from, dir, to, flags);
}

/* What is there may be replaced, or there is nothing. */
static int check_there(const struct stasis_socket *sock, struct stasis_error *err)
{
    struct stat st;

    if (fstatat(sock->dir, sock->name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : cannot_make(err);
    if (!S_ISSOCK(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it exists and is not a socket; use another path, or remove it");
    return check_dead(sock->dir, sock->name, err);
}

/* Exchanges the names, so that what is removed is what was there at that moment. */
static int replace(struct stasis_socket *sock, const char *temporary, struct stasis_error *err)
{
    int rc = check_there(sock, err);

    if (rc)
        return rc;
    if (rename_in(sock->dir, temporary, sock->name, RENAME_EXCHANGE))
        return cannot_make(err);
    rc = check_dead(sock->dir, temporary, err);
    if (rc)
        (void)!rename_in(sock->dir, temporary, sock->name, RENAME_EXCHANGE);
    return rc;
}

/* Gives the listening socket its name. The temporary one is gone afterwards. */
static int publish(struct stasis_socket *sock, const char *temporary, struct stasis_error *err)
{
    int rc = 0;

    if (!rename_in(sock->dir, temporary, sock->name, RENAME_NOREPLACE))
        return 0;
    rc = errno == EEXIST ? replace(sock, temporary, err) : cannot_make(err);
    unlinkat(sock->dir, temporary, 0);
    return rc;
}

static int bind_and_listen(struct stasis_socket *sock, const char *temporary,
                           struct stasis_error *err)
{
    struct sockaddr_un address = address_in(sock->dir, temporary);
    struct stat st;

    sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock->fd < 0 || fchmod(sock->fd, 0600) ||
        bind(sock->fd, (struct sockaddr *)&address, sizeof(address)))
        return cannot_make(err);
    if (listen(sock->fd, BACKLOG) || fstatat(sock->dir, temporary, &st, AT_SYMLINK_NOFOLLOW)) {
        (void)cannot_make(err);
        unlinkat(sock->dir, temporary, 0);
        return STASIS_ERR_WRITE;
    }
    sock->dev = st.st_dev;
    sock->ino = st.st_ino;
    return 0;
}

/* A name that no other process has left or makes, even one of the same number (in another
 * container, or before a reboot). */
static int name_temporary(char *ret_name, size_t size, struct stasis_error *err)
{
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return cannot_make(err);
    (void)snprintf(ret_name, size, ".stasis-%016" PRIx64 ".tmp", random);
    return 0;
}

int stasis_socket_listen(struct stasis_socket *sock, const char *path, struct stasis_error *err)
{
    struct stasis_socket made = STASIS_SOCKET_NONE;
    char temporary[48];
    int rc = open_folder(&made, path, err);

    if (!rc)
        rc = name_temporary(temporary, sizeof(temporary), err);
    if (!rc)
        rc = bind_and_listen(&made, temporary, err);
    if (!rc)
        rc = publish(&made, temporary, err);
    if (rc) {
        made.ino = 0; /* the name is not ours */
        stasis_socket_close(&made);
        return rc;
    }
    *sock = made;
    return 0;
}

int stasis_socket_check(const char *path, struct stasis_error *err)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    int rc = open_folder(&sock, path, err);

    if (!rc)
        rc = check_there(&sock, err);
    if (sock.dir >= 0)
        close(sock.dir);
    return rc;
}

void stasis_socket_leave_folder(struct stasis_socket *sock)
{
    if (sock->dir >= 0)
        close(sock->dir);
    sock->dir = -1;
    sock->ino = 0;
}

void stasis_socket_close(struct stasis_socket *sock)
{
    struct stat st;

    if (sock->ino && !fstatat(sock->dir, sock->name, &st, AT_SYMLINK_NOFOLLOW) &&
        st.st_dev == sock->dev && st.st_ino == sock->ino)
        unlinkat(sock->dir, sock->name, 0);
    if (sock->fd >= 0)
        close(sock->fd);
    if (sock->dir >= 0)
        close(sock->dir);
    *sock = (struct stasis_socket)STASIS_SOCKET_NONE;
}
