/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/maker_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Aligned as struct cmsghdr must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * STASIS_MAKER_FDS_MAX)];
};

int stasis_maker_send(int fd, const void *bytes, size_t len, const int *fds, size_t count)
{
    union control control = {.header = {.cmsg_len = CMSG_LEN(count * sizeof(int)),
                                        .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS}};
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    ssize_t sent;

    if (count) {
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

/* The kernel has closed those for which there was no room. */
static size_t take_fds(struct msghdr *message, int fds[STASIS_MAKER_FDS_MAX])
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    size_t count;

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return 0;
    count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    return count;
}

ssize_t stasis_maker_receive(int fd, void *bytes, size_t size, int fds[STASIS_MAKER_FDS_MAX],
                             size_t *ret_count)
{
    union control control;
    struct iovec vector = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t len;

    do {
        len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (len < 0 && errno == EINTR);
    *ret_count = len < 0 ? 0 : take_fds(&message, fds);
    return len;
}
