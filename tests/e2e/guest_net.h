// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// The network of the Linux guest of the end-to-end runs: 192.0.2.2, whose host is 192.0.2.1 and
// sends back what it gets on TCP port 7.
#ifndef STASIS_TESTS_GUEST_NET_H
#define STASIS_TESTS_GUEST_NET_H

// Gives eth0 its address, pings the host, and starts to send it data by one TCP connection, again
// and again, in a process of its own, which compares what comes back. NULL, or what has failed
// (errno says why).
const char *net_start(void);

// NULL, or what is wrong with the sending.
const char *net_failed(void);

// How many connections have been lost: their pieces are sent again by another.
unsigned long net_lost(void);

// How many pieces of 64 KiB have come back so far.
unsigned long net_pieces(void);

// Pings the host again, and ends the sending. NULL, or what is wrong.
const char *net_stop(void);

#endif
