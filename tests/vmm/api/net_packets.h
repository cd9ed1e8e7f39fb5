/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frames of Ethernet with ARP (RFC 826), DHCP (2131), ICMP (792), UDP (768) and TCP (9293) over
 * IPv4, as a guest makes and takes them. Addresses and numbers are in the host's order.
 */
#ifndef STASIS_TESTS_NET_PACKETS_H
#define STASIS_TESTS_NET_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_FRAME_MAX 2048u

#define NET_ICMP 1u
#define NET_TCP  6u
#define NET_UDP  17u

#define NET_FIN 0x01u
#define NET_SYN 0x02u
#define NET_RST 0x04u
#define NET_PSH 0x08u
#define NET_ACK 0x10u

#define NET_DHCP_DISCOVER 1u
#define NET_DHCP_OFFER    2u
#define NET_DHCP_REQUEST  3u
#define NET_DHCP_ACK      5u

struct net_frame {
    uint8_t bytes[NET_FRAME_MAX];
    size_t len;
};

struct net_side {
    uint8_t mac[6];
    uint32_t ip;
    uint16_t port;
};

/* What a frame of IPv4 is about, and where its data are. */
struct net_packet {
    struct net_side from, to;
    unsigned protocol;
    uint32_t seq, ack; /* of TCP */
    unsigned flags;    /* of TCP */
    const uint8_t *data;
    size_t len;
};

void net_make(const struct net_packet *packet, struct net_frame *ret_frame);
/* False: it is none of IPv4, or is damaged. */
bool net_take(const struct net_frame *frame, struct net_packet *ret_packet);

/* Who has this address? */
void net_make_arp(const struct net_side *from, uint32_t ip, struct net_frame *ret_frame);
/* Whether it is the answer, and the address of its interface. */
bool net_take_arp(const struct net_frame *frame, uint32_t ip, uint8_t ret_mac[6]);

void net_make_dhcp(const uint8_t mac[6], unsigned type, struct net_frame *ret_frame);
/* Whether it is an answer of that type; the address that it gives. */
bool net_take_dhcp(const struct net_frame *frame, unsigned type, uint32_t *ret_ip);

#endif
