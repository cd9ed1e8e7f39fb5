/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a tap device is asked for, of one that answers as the test wants (--wrap); and a real one,
 * where this user may make one in a network namespace of the test's own.
 */
#include "vmm/host/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stasis/virtio_state.h"
#include "vmm/host/tap_rig.h"

#define FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

/* ---- a tap device of the test's ---- */

static bool is_fake;
static unsigned long failing; /* this request fails by that */
static int failing_errno;
static int header, little, flags;
static unsigned long offloads;

static int pair[2];
static int open_errno; /* /dev/net/tun cannot be opened */

int __real_open(const char *path, int how, mode_t mode);
int __wrap_open(const char *path, int how, ...);
/* With 64-bit file offsets glibc calls open() by another name. */
int __wrap_open64(const char *path, int how, ...) __attribute__((alias("__wrap_open")));

int __wrap_open(const char *path, int how, ...)
{
    va_list args;
    mode_t mode;

    if (is_fake && !strcmp(path, "/dev/net/tun")) {
        errno = open_errno;
        return open_errno ? -1 : dup(pair[0]);
    }
    va_start(args, how);
    mode = how & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return __real_open(path, how, mode);
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int answer(unsigned long request, void *arg)
{
    struct ifreq *ifr = arg;

    switch ((unsigned)request) {
    case TUNGETIFF:
        ifr->ifr_flags = (short)flags;
        strcpy(ifr->ifr_name, "fake0");
        break;
    case TUNSETVNETHDRSZ:
        header = header ? header : *(int *)arg;
        break;
    case TUNGETVNETHDRSZ:
        *(int *)arg = header;
        break;
    case TUNSETVNETLE:
        little = *(int *)arg;
        break;
    case TUNSETOFFLOAD:
        offloads = (unsigned long)(uintptr_t)arg;
        break;
    default:
        assert_int_equal((unsigned)request, TUNSETIFF);
        break;
    }
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (!is_fake)
        return __real_ioctl(fd, request, arg);
    if (failing && (unsigned)request == (unsigned)failing) {
        failing = 0; /* once */
        errno = failing_errno;
        return -1;
    }
    return answer(request, arg);
}

static struct stasis_tap tap;
static struct stasis_error err;

static int set_up(void **state)
{
    (void)state;
    is_fake = true;
    failing = 0;
    open_errno = 0;
    header = little = 0;
    flags = FLAGS | IFF_PERSIST;
    offloads = 99;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
    (void)state;
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static void has(const char *words)
{
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
}

static void refused(int fd, const char *words)
{
    assert_int_equal(stasis_tap_use(fd, &tap, &err), STASIS_ERR_ARG);
    has(words);
}

/* ---- cases ---- */

static void a_descriptor_is_duplicated_and_does_not_wait(void **state)
{
    uint8_t bytes[64] = {1, 2, 3};
    size_t len = 7;

    (void)state;
    assert_int_equal(stasis_tap_use(pair[0], &tap, &err), 0);
    assert_int_not_equal(tap.fd, pair[0]);
    assert_string_equal(tap.name, "fake0");
    assert_int_equal(header, 12);
    assert_int_equal(little, 1);
    assert_int_equal(offloads, 0);
    assert_int_equal(stasis_tap_receive(&tap, bytes, sizeof(bytes), &len), STASIS_NET_BUSY);
    assert_int_equal(len, 0);
    assert_int_equal(send(pair[1], bytes, 40, 0), 40);
    assert_int_equal(stasis_tap_receive(&tap, bytes, sizeof(bytes), &len), STASIS_NET_DONE);
    assert_int_equal(len, 40);
    assert_int_equal(stasis_tap_send(&tap, bytes, 33), STASIS_NET_DONE);
    assert_int_equal(recv(pair[1], bytes, sizeof(bytes), 0), 33);
    stasis_tap_close(&tap);
    assert_int_equal(fcntl(pair[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

static void one_that_takes_no_more_is_busy(void **state)
{
    const uint8_t bytes[1024] = {0};
    enum stasis_net_result result = STASIS_NET_DONE;
    size_t len;

    (void)state;
    assert_int_equal(stasis_tap_use(pair[0], &tap, &err), 0);
    for (unsigned i = 0; result == STASIS_NET_DONE && i < 100000; i++)
        result = stasis_tap_send(&tap, bytes, sizeof(bytes));
    assert_int_equal(result, STASIS_NET_BUSY);
    (void)shutdown(pair[1], SHUT_RDWR);
    assert_int_equal(stasis_tap_receive(&tap, (uint8_t[16]){0}, 16, &len), STASIS_NET_GONE);
    stasis_tap_close(&tap);
    assert_int_equal(stasis_tap_send(&tap, bytes, sizeof(bytes)), STASIS_NET_LOST);
}

static void offloads_are_those_of_the_driver(void **state)
{
    (void)state;
    assert_int_equal(stasis_tap_offloads(), STASIS_VIRTIO_NET_OFFLOADS);
    assert_int_equal(stasis_tap_use(pair[0], &tap, &err), 0);
    stasis_tap_accept(&tap, STASIS_VIRTIO_NET_GUEST_OFFLOADS);
    assert_int_equal(offloads, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO);
    stasis_tap_accept(&tap, STASIS_VIRTIO_NET_F_GUEST_CSUM | STASIS_VIRTIO_NET_F_GUEST_TSO6);
    assert_int_equal(offloads, TUN_F_CSUM | TUN_F_TSO6);
    failing = TUNSETOFFLOAD;
    failing_errno = EINVAL;
    stasis_tap_accept(&tap, STASIS_VIRTIO_NET_GUEST_OFFLOADS);
    assert_int_equal(offloads, 0);
    stasis_tap_close(&tap);
}

static void descriptors_that_are_no_tap_device_are_refused(void **state)
{
    int ends[2], closed;

    (void)state;
    failing = TUNGETIFF;
    failing_errno = ENOTTY;
    refused(pair[0], "it is attached to no tap device; open it with IFF_TAP, IFF_NO_PI");
    flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    refused(pair[0], "it is a tun device, which has no frames");
    flags = IFF_TAP | IFF_NO_PI;
    refused(pair[0], "it is a tap device without headers");
    flags = FLAGS;
    header = 10;
    refused(pair[0], "it does not take headers of 12 bytes");
    header = 0;
    failing = TUNSETVNETLE;
    refused(pair[0], "it does not take headers of 12 bytes");
    assert_int_equal(pipe(ends), 0);
    refused(ends[0], "it is not open for reading and writing");
    closed = ends[0];
    close(ends[0]);
    close(ends[1]);
    refused(closed, "it is not open; ");
}

static void names_that_are_none_are_refused(void **state)
{
    static const char *const names[] = {"", "tap%d", "a/b", "a b", "0123456789abcdef"};

    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(stasis_tap_open(names[i], &tap, &err), STASIS_ERR_ARG);
        has("give 1 to 15 characters without %, /, : and blanks");
    }
}

static void an_interface_is_refused(int number, const char *words)
{
    failing = TUNSETIFF;
    failing_errno = number;
    assert_int_equal(stasis_tap_open("tap7", &tap, &err), STASIS_ERR_ARG);
    has(words);
}

static void interfaces_that_cannot_be_had_are_refused(void **state)
{
    (void)state;
    open_errno = ENOENT;
    assert_int_equal(stasis_tap_open("tap7", &tap, &err), STASIS_ERR_ARG);
    has("cannot open /dev/net/tun; load the kernel's module tun");
    open_errno = 0;
    an_interface_is_refused(EPERM, "there is none, or this user may not use it; make it by: ip "
                                   "tuntap add dev tap7 mode tap user NAME: Operation not");
    flags = FLAGS; /* it has just been made */
    assert_int_equal(stasis_tap_open("tap7", &tap, &err), STASIS_ERR_ARG);
    has("there is none; make it by: ip tuntap add dev fake0 mode tap user NAME");
    flags = FLAGS | IFF_PERSIST;
    an_interface_is_refused(EBUSY, "it is in use by another program");
    an_interface_is_refused(EINVAL, "it is no tap device of one queue");
    assert_int_equal(stasis_tap_open("tap7", &tap, &err), 0);
    stasis_tap_close(&tap);
}

/* The interface is down: it takes nothing. Another user of it is refused. */
static void a_real_one_is_opened_by_name_and_by_descriptor(void **state)
{
    struct stasis_tap other;
    uint8_t bytes[128] = {0};
    size_t len;

    (void)state;
    is_fake = false;
    if (!tap_rig_enter())
        skip();
    assert_int_equal(stasis_tap_open("tap7", &tap, &err), STASIS_ERR_ARG);
    has("there is none; make it by: ip tuntap add dev tap7");
    assert_int_equal(if_nametoindex("tap7"), 0);
    tap_rig_make("tap7");
    assert_int_equal(stasis_tap_open("tap7", &tap, &err), 0);
    assert_string_equal(tap.name, "tap7");
    stasis_tap_accept(&tap, STASIS_VIRTIO_NET_GUEST_OFFLOADS);
    assert_int_equal(stasis_tap_send(&tap, bytes, sizeof(bytes)), STASIS_NET_LOST);
    assert_int_equal(stasis_tap_receive(&tap, bytes, sizeof(bytes), &len), STASIS_NET_BUSY);
    assert_int_equal(stasis_tap_open("tap7", &other, &err), STASIS_ERR_ARG);
    has("in use by another program");
    assert_int_equal(stasis_tap_use(tap.fd, &other, &err), 0);
    assert_string_equal(other.name, "tap7");
    stasis_tap_close(&other);
    stasis_tap_close(&tap);
    assert_int_equal(stasis_tap_open("lo", &tap, &err), STASIS_ERR_ARG);
    has("it is no tap device");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_descriptor_is_duplicated_and_does_not_wait),
        CASE(one_that_takes_no_more_is_busy),
        CASE(offloads_are_those_of_the_driver),
        CASE(descriptors_that_are_no_tap_device_are_refused),
        CASE(names_that_are_none_are_refused),
        CASE(interfaces_that_cannot_be_had_are_refused),
        CASE(a_real_one_is_opened_by_name_and_by_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
