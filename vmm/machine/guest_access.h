/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Invalid accesses of the guest: counted by kind in the machine and in the device, and told to the
 * device host (struct stasis_device_host).
 */
#ifndef STASIS_VMM_GUEST_ACCESS_H
#define STASIS_VMM_GUEST_ACCESS_H

#include "vmm/machine/machine.h"

/* Has buses and devices report to the machine. Its buses and device_env are set. */
void stasis_guest_access_connect(struct stasis_machine *machine);

/* The word of a kind: "unhandled_port". */
const char *stasis_guest_error_word(enum stasis_guest_error error);

/* Says what the guest did, for messages: "write of 0x5a (1 byte) to port 0x80: no device has this
 * port". Cut to fit. */
void stasis_guest_access_describe(const struct stasis_guest_access *access, char *buf, size_t size);

#endif
