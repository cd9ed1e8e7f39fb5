/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The network device with a tap device of Linux as its host, in a network namespace of the test's
 * own: the kernel's network stack is at the other end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_rig.h"
#include "support/descriptors.h"

#define ETHERNET 14u
#define IP       20u
#define UDP      8u
#define HOST     0xc0000201u /* 192.0.2.1, which is the kernel's */
#define GUEST    0xc0000202u
#define PORT     4000u
#define BUFFERS  8u
#define ROOM     0x600u /* of each: a frame of the MTU, and its header */

static struct net_rig rig;
static int tap = -1, udp = -1;
static uint8_t host_mac[6];
static const struct net_header plain;

/* ---- the host's side ---- */

static enum stasis_virtio_net_result on_send(void *ctx, const uint8_t *bytes, size_t len)
{
    ssize_t n = write(tap, bytes, len);

    (void)ctx;
    if (n < 0)
        return errno == EAGAIN ? STASIS_VIRTIO_NET_BUSY : STASIS_VIRTIO_NET_LOST;
    rig.sent++;
    return STASIS_VIRTIO_NET_SENT;
}

static size_t on_receive(void *ctx, uint8_t *bytes, size_t size)
{
    ssize_t n = read(tap, bytes, size);

    (void)ctx;
    return n > 0 ? (size_t)n : 0;
}

static void on_accept(void *ctx, uint64_t offloads)
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

    (void)ctx;
    for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        flags |= offloads & map[i].feature ? map[i].flag : 0;
    assert_int_equal(ioctl(tap, TUNSETOFFLOAD, (unsigned long)flags), 0);
}

static void on_wake(void *ctx)
{
    (void)ctx;
    rig.wakes++;
}

static const struct stasis_virtio_net_ops tap_ops = {on_send, on_receive, on_accept, on_wake};

static bool open_tap(void)
{
    struct ifreq ifr = {.ifr_name = "guest", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header = HEADER, little = 1;

    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return false;
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return tap >= 0 && !ioctl(tap, TUNSETIFF, &ifr) && !ioctl(tap, TUNSETVNETHDRSZ, &header) &&
           !ioctl(tap, TUNSETVNETLE, &little);
}

static struct sockaddr_in address(uint32_t ip, unsigned port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(ip)}};
}

static struct ifreq request_with(uint32_t ip)
{
    const struct sockaddr_in in = address(ip, 0);
    struct ifreq ifr = {.ifr_name = "guest"};

    memcpy(&ifr.ifr_addr, &in, sizeof(in));
    return ifr;
}

static void open_network(void)
{
    const struct sockaddr_in in = address(HOST, PORT);
    struct ifreq own = request_with(HOST), mask = request_with(0xffffff00u);
    struct ifreq ifr = {.ifr_name = "guest", .ifr_flags = IFF_UP | IFF_RUNNING};

    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(udp >= 0);
    assert_int_equal(ioctl(udp, SIOCSIFADDR, &own), 0);
    assert_int_equal(ioctl(udp, SIOCSIFNETMASK, &mask), 0);
    assert_int_equal(ioctl(udp, SIOCSIFFLAGS, &ifr), 0);
    assert_int_equal(ioctl(udp, SIOCGIFHWADDR, &ifr), 0);
    memcpy(host_mac, ifr.ifr_hwaddr.sa_data, sizeof(host_mac));
    assert_int_equal(bind(udp, (const struct sockaddr *)&in, sizeof(in)), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (open_tap())
        open_network();
    else
        print_message("skipped: this user may not make a tap device\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (udp >= 0)
        close(udp);
    if (tap >= 0)
        close(tap);
    return 0;
}

/* ---- the driver ---- */

static void new_device(void)
{
    struct stasis_virtio_host host = rig.mmio->host;

    assert_int_equal(stasis_virtio_net_init(&rig.net, &host, &net_rig_config, &tap_ops, NULL, NULL),
                     0);
}

static void use(uint64_t features)
{
    net_rig_init(&rig, &net_rig_config);
    new_device();
    net_rig_up(&rig, features);
    for (unsigned i = 0; i < BUFFERS; i++)
        net_rig_buffer(&rig, i, BUFFER + i * ROOM, ROOM);
    wr(rig.mmio, R_NOTIFY, 0);
}

static int start(void **state)
{
    (void)state;
    if (udp >= 0)
        use(ALL_FEATURES);
    return 0;
}

/* Freeze and thaw. */
static void change_over(void)
{
    struct stasis_virtio_net_state frozen;

    stasis_virtio_net_save(&rig.net, &frozen);
    new_device();
    assert_int_equal(stasis_virtio_net_restore(&rig.net, &frozen, NULL), 0);
    assert_int_equal(stasis_virtio_mmio_check_memory(rig.mmio, NULL), 0);
    stasis_virtio_net_apply_outputs(&rig.net);
}

static uint8_t *to_send(void)
{
    return bytes_at(&rig.driver, TX_BUFFER) + HEADER;
}

static void put(uint8_t *at, uint64_t value, unsigned len)
{
    for (unsigned i = len; i--; value >>= 8)
        at[i] = (uint8_t)value;
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* RFC 1071 */
static unsigned sum_of(const uint8_t *bytes, size_t len, unsigned sum)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? bytes[i] : (unsigned)bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* What TCP and UDP sum up of the IP header, with `len` bytes after it. */
static unsigned pseudo_sum(const uint8_t *ip, unsigned protocol, unsigned len)
{
    return sum_of(ip + 12, 8, protocol + len);
}

static void put_ethernet(uint8_t *frame, unsigned type)
{
    memcpy(frame, host_mac, 6);
    memcpy(frame + 6, net_rig_config.mac, 6);
    put(frame + 12, type, 2);
}

static void put_ip(uint8_t *ip, unsigned protocol, unsigned len)
{
    memset(ip, 0, IP);
    ip[0] = 0x45;
    put(ip + 2, IP + len, 2);
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    put(ip + 12, GUEST, 4);
    put(ip + 16, HOST, 4);
    put(ip + 10, ~sum_of(ip, IP, 0) & 0xffff, 2);
}

/* A datagram whose checksum has the pseudo header alone. */
static void put_datagram(unsigned len)
{
    uint8_t *ip = to_send() + ETHERNET, *at = ip + IP;

    put_ethernet(to_send(), 0x0800);
    put_ip(ip, IPPROTO_UDP, UDP + len);
    put(at, PORT, 2);
    put(at + 2, PORT, 2);
    put(at + 4, UDP + len, 2);
    put(at + 6, pseudo_sum(ip, IPPROTO_UDP, UDP + len), 2);
    for (unsigned i = 0; i < len; i++)
        at[UDP + i] = (uint8_t)(i * 3 + 1);
}

static void send_now(const struct net_header *header, uint32_t len)
{
    uint8_t frame[0x1000];

    assert_true(len <= sizeof(frame));
    memcpy(frame, to_send(), len);
    net_rig_send(&rig, 0, header, len);
    memcpy(to_send(), frame, len);
    wr(rig.mmio, R_NOTIFY, 1);
    assert_int_equal(rig.net.counters.tx_dropped, 0);
}

static void ask_for_address(void)
{
    uint8_t *arp = to_send() + ETHERNET;

    put_ethernet(to_send(), 0x0806);
    memset(to_send(), 0xff, 6);
    memset(arp, 0, 28);
    put(arp, 0x000108000604, 6);
    put(arp + 6, 1, 2); /* a request */
    memcpy(arp + 8, net_rig_config.mac, 6);
    put(arp + 14, GUEST, 4);
    put(arp + 24, HOST, 4);
    send_now(&plain, ETHERNET + 28);
}

/* The next frame that came, with its header; NULL: none has. Its buffer is offered again. */
static const uint8_t *next_frame(unsigned *seen)
{
    static uint8_t bytes[ROOM];
    uint32_t head;

    if (net_rig_received(&rig) == *seen)
        return NULL;
    head = peek32(&rig.driver, USED + 4 + 8 * (*seen % SIZE));
    memcpy(bytes, bytes_at(&rig.driver, BUFFER + head * ROOM), ROOM);
    offer(&rig.driver, (uint16_t)head);
    ++*seen;
    return bytes;
}

/* The next frame of this type, and for IP of this protocol; the kernel sends others, too. */
static const uint8_t *await_frame(unsigned *seen, unsigned type, unsigned protocol)
{
    for (unsigned left = 1000; left; left--) {
        const uint8_t *bytes = next_frame(seen);
        struct pollfd pollfd = {tap, POLLIN, 0};

        if (!bytes) {
            assert_int_equal(poll(&pollfd, 1, 60000), 1);
            stasis_virtio_net_resume(&rig.net);
        } else if (get16(bytes + HEADER + 12) == type &&
                   (type != 0x0800 || bytes[HEADER + ETHERNET + 9] == protocol)) {
            return bytes;
        }
    }
    fail_msg("only other frames came");
    return NULL;
}

/* ---- tests ---- */

static void the_kernel_answers_for_its_address(void **state)
{
    const uint8_t *arp;
    unsigned seen = 0;

    (void)state;
    if (udp < 0)
        skip();
    ask_for_address();
    arp = await_frame(&seen, 0x0806, 0) + HEADER + ETHERNET;
    assert_int_equal(get16(arp + 6), 2);
    assert_memory_equal(arp + 8, host_mac, 6);
    assert_memory_equal(arp + 18, net_rig_config.mac, 6);
}

/* 10 pings, each with a freeze and a thaw between question and answer, or before it is sent. */
static void echoes_come_back_across_freezes(void **state)
{
    unsigned seen = 0;

    (void)state;
    if (udp < 0)
        skip();
    ask_for_address();
    for (unsigned i = 1; i <= 10; i++) {
        uint8_t *icmp = to_send() + ETHERNET + IP;
        const uint8_t *answer;

        put_ethernet(to_send(), 0x0800);
        put_ip(to_send() + ETHERNET, IPPROTO_ICMP, 64);
        memset(icmp, (int)i, 64);
        put(icmp, 0x08000000, 4);
        put(icmp + 4, i, 4);
        put(icmp + 2, ~sum_of(icmp, 64, 0) & 0xffff, 2);
        send_now(&plain, ETHERNET + IP + 64);
        change_over();
        answer = await_frame(&seen, 0x0800, IPPROTO_ICMP) + HEADER + ETHERNET + IP;
        assert_int_equal(answer[0], 0);
        assert_int_equal(sum_of(answer, 64, 0), 0xffff);
        assert_memory_equal(answer + 4, icmp + 4, 60);
        change_over();
    }
    assert_int_equal(rig.sent, 11);
}

static void expect_datagram(unsigned len)
{
    uint8_t bytes[0x1000];
    struct pollfd pollfd = {udp, POLLIN, 0};

    assert_int_equal(poll(&pollfd, 1, 60000), 1);
    assert_int_equal(recv(udp, bytes, sizeof(bytes), MSG_DONTWAIT), len);
    for (unsigned i = 0; i < len; i++)
        assert_int_equal(bytes[i], (uint8_t)(i * 3 + 1));
}

/* The kernel makes the checksum that the driver has left out, and segments that are too long. */
static void the_kernel_does_what_is_left_to_it(void **state)
{
    const struct net_header sum = {1, 0, 0, 0, ETHERNET + IP, 6};
    const struct net_header ufo = {1, 3, ETHERNET + IP + UDP, 1400, ETHERNET + IP, 6};

    (void)state;
    if (udp < 0)
        skip();
    put_datagram(900);
    send_now(&sum, ETHERNET + IP + UDP + 900);
    expect_datagram(900);
    put_datagram(3000);
    send_now(&ufo, ETHERNET + IP + UDP + 3000);
    expect_datagram(3000);
}

/* Without GUEST_CSUM there is nothing left to do; with it the kernel leaves the checksum out,
 * after a thaw, too. */
static void the_driver_gets_what_it_accepts(void **state)
{
    const struct sockaddr_in guest = address(GUEST, PORT);
    uint8_t data[1000] = {1, 2, 3};

    (void)state;
    if (udp < 0)
        skip();
    for (unsigned i = 0; i < 4; i++) {
        bool partial = i / 2;
        const uint8_t *bytes;
        unsigned seen = 0;

        use(partial ? ALL_FEATURES : STASIS_VIRTIO_NET_F_MRG_RXBUF);
        ask_for_address();
        if (i % 2) {
            assert_int_equal(ioctl(tap, TUNSETOFFLOAD, 0ul), 0); /* as a new process finds it */
            change_over();
        }
        assert_int_equal(
            sendto(udp, data, sizeof(data), 0, (const struct sockaddr *)&guest, sizeof(guest)),
            sizeof(data));
        bytes = await_frame(&seen, 0x0800, IPPROTO_UDP);
        assert_int_equal(bytes[0] & 1, partial);
        bytes += HEADER + ETHERNET;
        assert_int_equal(sum_of(bytes + IP, UDP + sizeof(data),
                                pseudo_sum(bytes, IPPROTO_UDP, UDP + sizeof(data))) == 0xffff,
                         !partial);
        assert_memory_equal(bytes + IP + UDP, data, sizeof(data));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_kernel_answers_for_its_address, start),
        cmocka_unit_test_setup(echoes_come_back_across_freezes, start),
        cmocka_unit_test_setup(the_kernel_does_what_is_left_to_it, start),
        cmocka_unit_test_setup(the_driver_gets_what_it_accepts, start),
    };
    const int before = descriptors_open();

    return descriptors_kept(before, cmocka_run_group_tests(tests, set_up, tear_down));
}
