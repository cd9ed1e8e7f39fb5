/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/vmm/api/net_packets.h"

#include <string.h>

#define ETHERNET     14u
#define IP           20u
#define TYPE_IP      0x0800u
#define TYPE_ARP     0x0806u
#define ARP          28u
#define DHCP_OPTIONS 240u
#define DHCP         300u /* the least that BOOTP has (RFC 951) */
#define TTL          64

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static uint8_t *put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    return put16(put16(at, value >> 16), value & 0xffff);
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* RFC 1071; of what already has its sum it is 0. */
static unsigned sum(uint32_t start, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        start += i % 2 ? bytes[i] : (unsigned)bytes[i] << 8;
    while (start >> 16)
        start = (start & 0xffff) + (start >> 16);
    return ~start & 0xffff;
}

/* Of the pseudo header. */
static uint32_t pseudo(const struct net_packet *packet, size_t len)
{
    const uint32_t from = packet->from.ip, to = packet->to.ip;

    return (from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff) + packet->protocol +
           (uint32_t)len;
}

static uint8_t *put_ethernet(uint8_t *at, const uint8_t to[6], const uint8_t from[6], unsigned type)
{
    memcpy(at, to, 6);
    memcpy(at + 6, from, 6);
    return put16(at + 12, type);
}

/* ---- IPv4 ---- */

static size_t header_of(unsigned protocol)
{
    return protocol == NET_TCP ? 20 : 8;
}

static void put_ip(uint8_t *at, const struct net_packet *packet, size_t len)
{
    put16(at, 0x4500);
    put16(at + 2, (unsigned)(IP + len));
    at[8] = TTL;
    at[9] = (uint8_t)packet->protocol;
    put32(put32(at + 12, packet->from.ip), packet->to.ip);
    put16(at + 10, sum(0, at, IP));
}

/* A request to answer, the only thing of ICMP. */
static void put_icmp(uint8_t *at, size_t len)
{
    at[0] = 8;
    put16(put16(at + 4, 42), 1);
    put16(at + 2, sum(0, at, len));
}

static void put_udp(uint8_t *at, const struct net_packet *packet, size_t len)
{
    put16(put16(put16(at, packet->from.port), packet->to.port), (unsigned)len);
    put16(at + 6, sum(pseudo(packet, len), at, len));
}

static void put_tcp(uint8_t *at, const struct net_packet *packet, size_t len)
{
    uint8_t *end = put16(put16(at, packet->from.port), packet->to.port);

    end = put32(put32(end, packet->seq), packet->ack);
    put16(put16(end, 0x5000 | packet->flags), 0xffff);
    put16(at + 16, sum(pseudo(packet, len), at, len));
}

void net_make(const struct net_packet *packet, struct net_frame *ret_frame)
{
    const size_t header = header_of(packet->protocol), len = header + packet->len;
    uint8_t *at = ret_frame->bytes;

    memset(ret_frame, 0, sizeof(*ret_frame));
    ret_frame->len = ETHERNET + IP + len;
    at = put_ethernet(at, packet->to.mac, packet->from.mac, TYPE_IP);
    put_ip(at, packet, len);
    at += IP;
    if (packet->len)
        memcpy(at + header, packet->data, packet->len);
    if (packet->protocol == NET_ICMP)
        put_icmp(at, len);
    else if (packet->protocol == NET_UDP)
        put_udp(at, packet, len);
    else
        put_tcp(at, packet, len);
}

static bool is_ip(const struct net_frame *frame)
{
    const uint8_t *ip = frame->bytes + ETHERNET;

    return frame->len >= ETHERNET + IP + 8 && get16(ip - 2) == TYPE_IP && ip[0] == 0x45 &&
           get16(ip + 2) >= IP + 8 && get16(ip + 2) <= frame->len - ETHERNET && !sum(0, ip, IP);
}

/* UDP may leave its sum out. */
static bool is_sound(const struct net_packet *packet, const uint8_t *at, size_t len)
{
    if (packet->protocol == NET_UDP && !get16(at + 6))
        return true;
    return !sum(packet->protocol == NET_ICMP ? 0 : pseudo(packet, len), at, len);
}

bool net_take(const struct net_frame *frame, struct net_packet *ret_packet)
{
    const uint8_t *ip = frame->bytes + ETHERNET, *at = ip + IP;
    struct net_packet packet = {.protocol = ip[9]};
    size_t len, header;

    if (!is_ip(frame))
        return false;
    len = get16(ip + 2) - IP;
    header = packet.protocol == NET_TCP ? (at[12] >> 4) * 4u : 8;
    if (len < header)
        return false;
    packet.from.ip = get32(ip + 12);
    packet.to.ip = get32(ip + 16);
    packet.from.port = (uint16_t)get16(at);
    packet.to.port = (uint16_t)get16(at + 2);
    packet.data = at + header;
    packet.len = len - header;
    if (packet.protocol == NET_TCP) {
        packet.seq = get32(at + 4);
        packet.ack = get32(at + 8);
        packet.flags = at[13];
    }
    *ret_packet = packet;
    return is_sound(&packet, at, len);
}

/* ---- ARP ---- */

void net_make_arp(const struct net_side *from, uint32_t ip, struct net_frame *ret_frame)
{
    uint8_t *at = ret_frame->bytes;

    memset(ret_frame, 0, sizeof(*ret_frame));
    ret_frame->len = ETHERNET + ARP;
    at = put_ethernet(at, everybody, from->mac, TYPE_ARP);
    at = put16(put16(put16(put16(at, 1), TYPE_IP), 0x0604), 1);
    memcpy(at, from->mac, 6);
    put32(at + 6, from->ip);
    put32(at + 16, ip);
}

bool net_take_arp(const struct net_frame *frame, uint32_t ip, uint8_t ret_mac[6])
{
    const uint8_t *at = frame->bytes + ETHERNET;

    if (frame->len < ETHERNET + ARP || get16(at - 2) != TYPE_ARP || get16(at + 6) != 2 ||
        get32(at + 14) != ip)
        return false;
    memcpy(ret_mac, at + 8, 6);
    return true;
}

/* ---- DHCP ---- */

void net_make_dhcp(const uint8_t mac[6], unsigned type, struct net_frame *ret_frame)
{
    const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, (uint8_t)type, 0xff};
    uint8_t message[DHCP] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
    struct net_packet packet = {.from = {.port = 68},
                                .to = {.ip = 0xffffffff, .port = 67},
                                .protocol = NET_UDP,
                                .data = message,
                                .len = sizeof(message)};

    memcpy(packet.from.mac, mac, 6);
    memcpy(packet.to.mac, everybody, 6);
    memcpy(message + 28, mac, 6);
    memcpy(message + DHCP_OPTIONS - 4, options, sizeof(options));
    net_make(&packet, ret_frame);
}

/* Its type is one of the options, which are type, length and value each. */
static unsigned type_of(const struct net_packet *packet)
{
    for (size_t i = DHCP_OPTIONS; i + 2 < packet->len && packet->data[i] != 0xff;
         i += 2u + packet->data[i + 1]) {
        if (packet->data[i] == 53)
            return packet->data[i + 2];
    }
    return 0;
}

bool net_take_dhcp(const struct net_frame *frame, unsigned type, uint32_t *ret_ip)
{
    struct net_packet packet;

    if (!net_take(frame, &packet) || packet.protocol != NET_UDP || packet.to.port != 68 ||
        packet.len < DHCP_OPTIONS || type_of(&packet) != type)
        return false;
    *ret_ip = get32(packet.data + 16);
    return true;
}
