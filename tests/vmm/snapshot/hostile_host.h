/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The host of a hostile driver (hostile_rings.h): what it does next is anything that a host may do.
 * Pages are taken away only where devices may write; link with --wrap=stasis_memory_discard.
 */
#ifndef STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_HOST_H
#define STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_HOST_H

#include "vmm/machine/device.h"

extern const struct stasis_device_net hostile_network;
extern const struct stasis_device_disk hostile_disk;
extern const struct stasis_device_vsock hostile_sockets;
extern uint64_t hostile_discards; /* ranges that a balloon has taken away */

#endif
