/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/descriptors.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stasis/fault_signals.h"

/* Aligned as struct cmsghdr must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * STASIS_CONTROL_FDS_MAX)];
};

/* What a file is never changes, so that what the kernel remembers is good enough. */
static bool is_of_type(int fd, mode_t type)
{
    struct statx st;

    /* musl has no statx(). */
    return !syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) &&
           (st.stx_mode & S_IFMT) == type;
}

bool stasis_control_is_folder(int fd)
{
    return is_of_type(fd, S_IFDIR);
}

static void *close_one(void *arg)
{
    close((int)(intptr_t)arg);
    return NULL;
}

/* Closing a regular file waits for some file systems (FUSE, NFS), so a thread does it. */
static void close_aside(int fd)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t mask;
    sigset_t before;

    stasis_signals_all_but_faults(&mask);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    if (pthread_create(&thread, &detached, close_one, (void *)(intptr_t)fd))
        close(fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

static void close_foreign(int fd)
{
    if (is_of_type(fd, S_IFREG))
        close_aside(fd);
    else
        close(fd);
}

void stasis_control_fds_close(struct stasis_control_fds *fds)
{
    for (unsigned i = 0; i < fds->count; i++)
        close_foreign(fds->fds[i]);
    fds->count = 0;
    fds->lost = false;
}

static void add(struct stasis_control_fds *fds, int fd)
{
    if (fds->count < STASIS_CONTROL_FDS_MAX) {
        fds->fds[fds->count++] = fd;
    } else {
        close_foreign(fd);
        fds->lost = true;
    }
}

void stasis_control_fds_move(struct stasis_control_fds *to, struct stasis_control_fds *from)
{
    for (unsigned i = 0; i < from->count; i++)
        add(to, from->fds[i]);
    to->lost |= from->lost;
    *from = (struct stasis_control_fds){.count = 0};
}

static void take_rights(struct stasis_control_fds *fds, const struct cmsghdr *header)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < count; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
        add(fds, fd);
    }
}

ssize_t stasis_control_receive(int fd, void *bytes, size_t size, struct stasis_control_fds *ret_fds)
{
    union control control;
    struct iovec vector = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (len < 0)
        return len;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            take_rights(ret_fds, header);
    ret_fds->lost |= message.msg_flags & MSG_CTRUNC;
    return len;
}

ssize_t stasis_control_send(int fd, const void *bytes, size_t len, int passed, int flags)
{
    union control control = {.header = {.cmsg_len = CMSG_LEN(sizeof(passed)),
                                        .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS}};
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

    if (passed >= 0) {
        memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(passed));
    }
    return sendmsg(fd, &message, flags | MSG_NOSIGNAL);
}
