/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "stasis/virtio_state.h"

#define HEADER_BYTES 12
#define FLAGS        (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define OPEN_IT      "open it with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR"

_Static_assert(sizeof(((struct stasis_tap *)0)->name) == IFNAMSIZ, "names of interfaces");

/* ---- opening ---- */

static int check_name(const char *name, struct stasis_error *err)
{
    size_t len = strlen(name);

    if (len && len < IFNAMSIZ && !strpbrk(name, "%/: \t\n"))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "no network interface has such a name; give 1 to %d characters without %%, "
                       "/, : and blanks",
                       IFNAMSIZ - 1);
}

static int refuse_device(struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_ARG,
                             "cannot open /dev/net/tun; load the kernel's module tun, and let this "
                             "user read and write the device");
}

static int refuse_interface(const char *name, struct stasis_error *err)
{
    if (errno == EBUSY)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is in use by another program; end that, or give another tap device");
    if (errno == EINVAL)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is no tap device of one queue; make one by: ip tuntap add dev NAME "
                           "mode tap");
    return stasis_fail_errno(err, STASIS_ERR_ARG,
                             "there is none, or this user may not use it; make it by: ip tuntap "
                             "add dev %s mode tap user NAME",
                             name);
}

static int attach(const struct stasis_tap *tap, struct stasis_error *err)
{
    struct ifreq ifr = {.ifr_flags = FLAGS};

    memcpy(ifr.ifr_name, tap->name, sizeof(tap->name));
    return ioctl(tap->fd, TUNSETIFF, &ifr) ? refuse_interface(tap->name, err) : 0;
}

/* One who attached it before us may have set another length. */
static int set_header(const struct stasis_tap *tap, struct stasis_error *err)
{
    const int little = 1;
    int bytes = HEADER_BYTES;

    if (!ioctl(tap->fd, TUNSETVNETHDRSZ, &bytes) && !ioctl(tap->fd, TUNSETVNETLE, &little) &&
        !ioctl(tap->fd, TUNGETVNETHDRSZ, &bytes) && bytes == HEADER_BYTES)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "it does not take headers of %d bytes (TUNSETVNETHDRSZ); use Linux 3.8 or "
                       "newer on this host",
                       HEADER_BYTES);
}

static int check_kind(struct stasis_tap *tap, struct stasis_error *err)
{
    struct ifreq ifr = {.ifr_flags = 0};

    if (ioctl(tap->fd, TUNGETIFF, &ifr))
        return stasis_fail_errno(err, STASIS_ERR_ARG, "it is attached to no tap device; " OPEN_IT);
    if ((ifr.ifr_flags & (FLAGS | IFF_TUN)) != FLAGS)
        return stasis_fail(err, STASIS_ERR_ARG, "it is %s; " OPEN_IT,
                           ifr.ifr_flags & IFF_TUN ? "a tun device, which has no frames"
                                                   : "a tap device without headers");
    memcpy(tap->name, ifr.ifr_name, sizeof(tap->name));
    tap->name[sizeof(tap->name) - 1] = '\0';
    return set_header(tap, err);
}

/* What root attaches is made if there is none, and goes again with the descriptor. */
static int check_made(const struct stasis_tap *tap, struct stasis_error *err)
{
    struct ifreq ifr = {.ifr_flags = 0};

    if (!ioctl(tap->fd, TUNGETIFF, &ifr) && ifr.ifr_flags & IFF_PERSIST)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "there is none; make it by: ip tuntap add dev %s mode tap user NAME",
                       tap->name);
}

static int finish(struct stasis_tap *tap, int rc, struct stasis_tap *ret_tap)
{
    if (rc) {
        stasis_tap_close(tap);
        return rc;
    }
    stasis_tap_accept(tap, 0);
    *ret_tap = *tap;
    return 0;
}

int stasis_tap_open(const char *name, struct stasis_tap *ret_tap, struct stasis_error *err)
{
    struct stasis_tap tap = {.fd = -1};
    int rc = check_name(name, err);

    if (rc)
        return rc;
    memcpy(tap.name, name, strlen(name));
    tap.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap.fd < 0)
        return refuse_device(err);
    rc = attach(&tap, err);
    if (!rc)
        rc = check_kind(&tap, err);
    if (!rc)
        rc = check_made(&tap, err);
    return finish(&tap, rc, ret_tap);
}

int stasis_tap_use(int fd, struct stasis_tap *ret_tap, struct stasis_error *err)
{
    struct stasis_tap tap = {.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    int flags, rc;

    if (tap.fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_ARG, "it is not open; " OPEN_IT);
    rc = check_kind(&tap, err);
    flags = fcntl(tap.fd, F_GETFL);
    if (!rc && ((flags & O_ACCMODE) != O_RDWR || fcntl(tap.fd, F_SETFL, O_NONBLOCK)))
        rc = stasis_fail(err, STASIS_ERR_ARG, "it is not open for reading and writing; " OPEN_IT);
    return finish(&tap, rc, ret_tap);
}

void stasis_tap_close(struct stasis_tap *tap)
{
    close(tap->fd);
    tap->fd = -1;
}

/* ---- offloads ---- */

uint64_t stasis_tap_offloads(void)
{
    return STASIS_VIRTIO_NET_OFFLOADS;
}

/* Refused by a kernel that lacks one of them: it then leaves nothing to the guest, which is always
 * right. */
void stasis_tap_accept(const struct stasis_tap *tap, uint64_t offloads)
{
    static const struct {
        uint64_t feature;
        unsigned flag;
    } map[] = {
        {STASIS_VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM},
        {STASIS_VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
        {STASIS_VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6},
        {STASIS_VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
        {STASIS_VIRTIO_NET_F_GUEST_UFO, TUN_F_UFO},
    };
    unsigned flags = 0;

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        flags |= offloads & map[i].feature ? map[i].flag : 0;
    if (ioctl(tap->fd, TUNSETOFFLOAD, (unsigned long)flags))
        (void)ioctl(tap->fd, TUNSETOFFLOAD, 0ul);
}

/* ---- frames ---- */

/* EBADFD: the interface has been removed. An interface that is down takes nothing: EIO. */
static enum stasis_net_result failed(void)
{
    if (errno == EAGAIN)
        return STASIS_NET_BUSY;
    return errno == EBADFD ? STASIS_NET_GONE : STASIS_NET_LOST;
}

enum stasis_net_result stasis_tap_send(const struct stasis_tap *tap, const uint8_t *bytes,
                                       size_t len)
{
    ssize_t sent;

    do
        sent = write(tap->fd, bytes, len);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? failed() : STASIS_NET_DONE;
}

enum stasis_net_result stasis_tap_receive(const struct stasis_tap *tap, uint8_t *bytes, size_t size,
                                          size_t *ret_len)
{
    ssize_t len;

    do
        len = read(tap->fd, bytes, size);
    while (len < 0 && errno == EINTR);
    *ret_len = len > 0 ? (size_t)len : 0;
    if (len > 0)
        return STASIS_NET_DONE;
    return len < 0 && errno != EBADFD ? STASIS_NET_BUSY : STASIS_NET_GONE;
}
