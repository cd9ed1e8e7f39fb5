/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A tap device of Linux (Documentation/networking/tuntap.rst), through which whole frames are
 * exchanged with the host's network stack. Each has the 12 bytes of struct virtio_net_hdr in front
 * of it (virtio 1.2, 5.1.6), little-endian. No call waits.
 *
 * Calls are serialized by the caller.
 */
#ifndef STASIS_VMM_TAP_H
#define STASIS_VMM_TAP_H

#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"
#include "vmm/host/net_result.h"

struct stasis_tap {
    int fd;
    char name[16]; /* of the interface */
};

/* Opens the tap device of that name. STASIS_ERR_ARG: there is none, this user may not use it, or
 * it is none that can be used. Messages do not begin with the name. */
STASIS_MUST_CHECK int stasis_tap_open(const char *name, struct stasis_tap *ret_tap,
                                      struct stasis_error *err);

/* The same of a descriptor that somebody has opened and attached to its interface, with
 * IFF_VNET_HDR and IFF_NO_PI. It is duplicated, and stays the caller's; O_NONBLOCK, which both
 * share, is set. */
STASIS_MUST_CHECK int stasis_tap_use(int fd, struct stasis_tap *ret_tap, struct stasis_error *err);
void stasis_tap_close(struct stasis_tap *tap);

/* What it can do, of STASIS_VIRTIO_NET_OFFLOADS; and which frames it may hand out from now on, of
 * STASIS_VIRTIO_NET_GUEST_OFFLOADS. */
uint64_t stasis_tap_offloads(void);
void stasis_tap_accept(const struct stasis_tap *tap, uint64_t offloads);

/* Header and frame. */
enum stasis_net_result stasis_tap_send(const struct stasis_tap *tap, const uint8_t *bytes,
                                       size_t len);
enum stasis_net_result stasis_tap_receive(const struct stasis_tap *tap, uint8_t *bytes, size_t size,
                                          size_t *ret_len);

#endif
