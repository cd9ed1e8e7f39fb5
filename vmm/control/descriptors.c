/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/descriptors.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Aligned as struct cmsghdr must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * STASIS_CONTROL_FDS_MAX)];
};

void stasis_control_fds_close(struct stasis_control_fds *fds)
{
    for (unsigned i = 0; i < fds->count; i++)
        close(fds->fds[i]);
    fds->count = 0;
    fds->lost = false;
}

static void add(struct stasis_control_fds *fds, int fd)
{
    if (fds->count < STASIS_CONTROL_FDS_MAX) {
        fds->fds[fds->count++] = fd;
    } else {
        close(fd);
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
