/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/tap_rig.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

bool tap_rig_enter(void)
{
    int fd;

    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return false;
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

void tap_rig_make(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    strcpy(ifr.ifr_name, name);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1ul), 0);
    close(fd);
}

/* rtnetlink(7) */
void tap_rig_remove(const char *name)
{
    const struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
    } request = {{.nlmsg_len = sizeof(request),
                  .nlmsg_type = RTM_DELLINK,
                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
                 {.ifi_index = (int)if_nametoindex(name)}};
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    assert_true(fd >= 0);
    assert_true(request.info.ifi_index > 0);
    assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
    assert_true(recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)sizeof(answer));
    assert_int_equal(answer.head.nlmsg_type, NLMSG_ERROR);
    assert_int_equal(answer.error.error, 0);
    close(fd);
}
