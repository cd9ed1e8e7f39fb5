/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest that is the driver of a socket device, and the host's side of that.
 */
#ifndef STASIS_TESTS_VSOCK_GUEST_H
#define STASIS_TESTS_VSOCK_GUEST_H

#include "tests/vmm/api/told_guest.h"

enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

extern char vsock_path[100]; /* of the socket */

/* Boots the guest, which has brought its device up. */
void vsock_guest_boot(void);
/* Freezes it, and thaws it with another path. */
void vsock_guest_thaw(void);
void vsock_guest_end(void);
/* The snapshot of that, which cannot be opened so. */
void vsock_guest_refuse(const char *words);

/* The guest sends a packet, from its port to the host's, with this text. */
void vsock_guest_send(unsigned op, uint32_t src_port, uint32_t dst_port, const char *text);
/* The next packet that the guest gets is of this operation; returns the host's port of it. */
uint32_t vsock_guest_expect(unsigned op, uint32_t guest_port, const char *text);
/* Whether the next packet to this port accepts the connection, which else is refused; those to
 * others say no more than that they have ended. */
bool vsock_guest_is_accepted(uint32_t guest_port);
/* The guest offers a buffer for an event; how many events it has been given. */
void vsock_guest_offer_event(void);
unsigned vsock_guest_events(void);
uint32_t vsock_guest_cid(void); /* as it reads it */

/* A program that has connected to the socket, and said so much. */
int vsock_program(const char *text);
void vsock_program_hears(int fd, const char *text);

#endif
