/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frames between a guest under the real KVM and the real passt, by which the guest gets its address
 * and talks to programs of the host; frozen and thawed, and with a passt that ends and comes back.
 */
#include <stdio.h>
#include <string.h>

#include "tests/vmm/api/net_packets.h"
#include "tests/vmm/api/real_passt.h"
#include "tests/vmm/api/told_guest.h"

#define RX_DATA  0x240000u
#define TX_DATA  0x250000u
#define HEADER   12u
#define MAC      "02:00:00:00:00:01"
#define F_STATUS (1u << 16)
#define STATUS   6u
#define AGAIN                                                                                      \
    300 /* turns, of a millisecond or less, until a frame that has no answer is sent again */
#define ISN 1000u

static struct net_side own, gateway;
static struct net_packet segment; /* of the guest's connection: the last one */
static uint16_t received;
static char socket_path[100];

/* ---- the driver ---- */

static void send_frame(const struct net_frame *frame)
{
    uint16_t used = told_used(1);

    memset(told_ram(TX_DATA, HEADER), 0, HEADER);
    memcpy(told_ram(TX_DATA + HEADER, NET_FRAME_MAX), frame->bytes, frame->len);
    told_offer(1, 0, TX_DATA, HEADER + (uint32_t)frame->len, 0);
    told_wait(told_used(1) == (uint16_t)(used + 1));
}

static bool receive_frame(struct net_frame *ret_frame)
{
    uint32_t len;
    uint16_t head;

    if (told_used(0) == received)
        return false;
    head = told_used_head(0, received++, &len);
    assert_in_range(len, HEADER + 14, NET_FRAME_MAX);
    ret_frame->len = len - HEADER;
    memcpy(ret_frame->bytes, told_ram(RX_DATA + NET_FRAME_MAX * head + HEADER, len - HEADER),
           ret_frame->len);
    told_offer(0, head, RX_DATA + NET_FRAME_MAX * head, NET_FRAME_MAX, 2);
    return true;
}

/* Sends it until one comes for which `is_answer` holds: as on any network, frames may be lost. */
static void ask(const struct net_frame *frame, bool (*is_answer)(const struct net_frame *answer))
{
    struct net_frame answer;
    unsigned turns = 0;

    for (;;) {
        if (turns++ % AGAIN == 0)
            send_frame(frame);
        assert_in_range(turns, 0, 300000);
        told_turn();
        real_passt_serve_now();
        while (receive_frame(&answer))
            if (is_answer(&answer))
                return;
    }
}

static void boot(void)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

    received = 0;
    own = gateway = (struct net_side){.ip = 0};
    memcpy(own.mac, mac, sizeof(mac));
    real_passt_enter();
    real_passt_serve();
    told_init();
    (void)snprintf(socket_path, sizeof(socket_path), "%s", vmm_rig_path(&told_rig, "passt"));
    real_passt_start(socket_path);
    told_rig.config.net.passt = socket_path;
    told_rig.config.net.mac = MAC;
    told_run();
    told_bring_up(F_STATUS, 2);
    for (uint16_t i = 0; i < TOLD_SIZE; i++)
        told_offer(0, i, RX_DATA + NET_FRAME_MAX * i, NET_FRAME_MAX, 2);
    told_sync();
}

static void end(void)
{
    told_fini();
    real_passt_end();
    real_passt_serve_end();
}

/* ---- its network ---- */

static bool is_offer(const struct net_frame *frame)
{
    return net_take_dhcp(frame, NET_DHCP_OFFER, &own.ip);
}

static bool is_lease(const struct net_frame *frame)
{
    return net_take_dhcp(frame, NET_DHCP_ACK, &own.ip);
}

static bool is_gateway(const struct net_frame *frame)
{
    return net_take_arp(frame, REAL_PASST_GATEWAY, gateway.mac);
}

static void get_address(void)
{
    struct net_frame frame;

    net_make_dhcp(own.mac, NET_DHCP_DISCOVER, &frame);
    ask(&frame, is_offer);
    assert_int_equal(own.ip, REAL_PASST_GUEST);
    net_make_dhcp(own.mac, NET_DHCP_REQUEST, &frame);
    ask(&frame, is_lease);
    assert_int_equal(own.ip, REAL_PASST_GUEST);
    gateway.ip = REAL_PASST_GATEWAY;
    gateway.port = REAL_PASST_PORT;
    net_make_arp(&own, gateway.ip, &frame);
    ask(&frame, is_gateway);
}

static const char *said; /* and is to be heard */

static bool says(const struct net_packet *packet)
{
    return packet->len == strlen(said) && !memcmp(packet->data, said, packet->len);
}

static bool is_pong(const struct net_frame *frame)
{
    struct net_packet packet;

    return net_take(frame, &packet) && packet.protocol == NET_ICMP &&
           packet.from.ip == REAL_PASST_OTHER && packet.to.ip == own.ip && says(&packet);
}

static void ping(const char *text)
{
    struct net_packet packet = {.from = own, .to = gateway, .protocol = NET_ICMP};
    struct net_frame frame;

    packet.to.ip = REAL_PASST_OTHER;
    packet.data = (const uint8_t *)(said = text);
    packet.len = strlen(text);
    net_make(&packet, &frame);
    ask(&frame, is_pong);
}

static bool is_datagram(const struct net_frame *frame)
{
    struct net_packet packet;

    return net_take(frame, &packet) && packet.protocol == NET_UDP && packet.from.ip == gateway.ip &&
           packet.from.port == gateway.port && packet.to.port == own.port && says(&packet);
}

static void send_datagram(const char *text)
{
    struct net_packet packet = {.protocol = NET_UDP};
    struct net_frame frame;

    own.port = 5000;
    packet.from = own;
    packet.to = gateway;
    packet.data = (const uint8_t *)(said = text);
    packet.len = strlen(text);
    net_make(&packet, &frame);
    ask(&frame, is_datagram);
}

/* ---- a connection ---- */

static bool is_of_connection(const struct net_frame *frame, struct net_packet *ret_packet)
{
    if (!net_take(frame, ret_packet) || ret_packet->protocol != NET_TCP ||
        ret_packet->to.port != segment.from.port)
        return false;
    assert_false(ret_packet->flags & NET_RST);
    return true;
}

static bool is_accepted(const struct net_frame *frame)
{
    struct net_packet packet;

    if (!is_of_connection(frame, &packet) || packet.flags != (NET_SYN | NET_ACK))
        return false;
    assert_int_equal(packet.ack, segment.seq + 1);
    segment.seq = packet.ack;
    segment.ack = packet.seq + 1;
    return true;
}

static bool is_echo(const struct net_frame *frame)
{
    struct net_packet packet;

    if (!is_of_connection(frame, &packet) || packet.seq != segment.ack || !packet.len)
        return false;
    assert_true(says(&packet));
    segment.seq += (uint32_t)packet.len; /* which has come, since it comes back */
    segment.ack += (uint32_t)packet.len;
    return true;
}

static void send_segment(unsigned flags, const char *text, struct net_frame *ret_frame)
{
    segment.flags = flags;
    segment.data = (const uint8_t *)(said = text);
    segment.len = strlen(text);
    net_make(&segment, ret_frame);
    send_frame(ret_frame);
}

static void make_connection(uint16_t port)
{
    struct net_frame frame;

    own.port = port;
    segment = (struct net_packet){.from = own, .to = gateway, .protocol = NET_TCP, .seq = ISN};
    segment.flags = NET_SYN;
    net_make(&segment, &frame);
    ask(&frame, is_accepted);
    send_segment(NET_ACK, "", &frame);
}

static void acknowledge(void)
{
    struct net_frame frame;

    send_segment(NET_ACK, "", &frame);
}

static void exchange(const char *text)
{
    struct net_frame frame;

    send_segment(NET_ACK | NET_PSH, text, &frame);
    ask(&frame, is_echo);
    acknowledge();
}

/* ---- cases ---- */

static void a_guest_gets_its_address_and_talks(void)
{
    boot();
    get_address();
    ping("are you there?");
    send_datagram("a datagram");
    make_connection(6000);
    exchange("a line");
    exchange("another one");
    end();
}

/* passt keeps the connections of a guest that goes and comes back. */
static void a_connection_outlives_generations(void)
{
    static const char *const texts[] = {"the first life", "the second one", "and a third"};
    struct net_frame frame;

    boot();
    get_address();
    make_connection(6001);
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        exchange(texts[i]);
        send_segment(NET_ACK | NET_PSH, "on its way", &frame);
        told_freeze();
        told_run();
        ask(&frame, is_echo);
        acknowledge();
        send_datagram(texts[i]);
    }
    end();
}

static void passt_ends_and_comes_back(void)
{
    boot();
    get_address();
    make_connection(6002);
    exchange("before");
    real_passt_end();
    told_wait(told_config(STATUS, 2) == 0);
    real_passt_start(socket_path);
    told_wait(told_config(STATUS, 2) == 1);
    get_address();
    send_datagram("after");
    make_connection(6003);
    exchange("and after");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(a_guest_gets_its_address_and_talks),
        KVM_CASE(a_connection_outlives_generations),
        KVM_CASE(passt_ends_and_comes_back),
    };
    int missing = kvm_missing();

    if (!missing && !real_passt_is_installed()) {
        print_message("skipped: passt is not installed\n");
        missing = STASIS_TEST_SKIPPED;
    }
    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
