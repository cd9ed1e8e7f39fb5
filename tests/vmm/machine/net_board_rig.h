/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio network device on a board, with RAM and a driver that needs no guest.
 */
#ifndef STASIS_TESTS_NET_BOARD_RIG_H
#define STASIS_TESTS_NET_BOARD_RIG_H

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"
#include "vmm/machine/machine.h"

#define NET_RIG_HEADER 12u
#define NET_RIG_RX     0u
#define NET_RIG_TX     1u

extern struct stasis_machine net_board_machine;
extern struct stasis_device_host net_board_host;
extern struct stasis_device *net_board_net;

/* Builds a board with the device "net0", which is connected to this network (or to none, NULL). */
void net_board_build(const struct stasis_device_net *net);
void net_board_end(void);
/* Whether the device's thread, which does not run here, has been rung since the last call. */
bool net_board_is_rung(void);

/* ---- the driver ---- */

uint64_t net_board_read(uint64_t offset, unsigned len);
void net_board_write(uint64_t offset, uint64_t value);
/* MRG_RXBUF is bit 15, STATUS 16, MAC 5; VERSION_1 is added. */
void net_board_bring_up(uint32_t features);
void net_board_offer(unsigned buffers); /* of 2 KiB, to receive into; and notifies */
/* Makes a frame of `len` bytes available, the first of which is `first`; and notifies. */
void net_board_send(uint8_t first, uint32_t len);
uint16_t net_board_used(unsigned queue);
/* The frame that came as the number-th, with its header. */
const uint8_t *net_board_received(unsigned number, uint32_t *ret_len);

#endif
