/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sockets of a configuration, as devices see them.
 */
#ifndef STASIS_VMM_VMM_VSOCK_H
#define STASIS_VMM_VMM_VSOCK_H

#include "vmm/api/config.h"
#include "vmm/host/vsock.h"
#include "vmm/machine/device.h"

/* Begins as zeros, and stays where it is while it is open. */
struct stasis_vmm_vsock_host {
    struct stasis_vsock *host; /* NULL: it is not open */
    struct stasis_device_vsock device;
};

/* Describes what the configuration names, as devices see it, but opens nothing. */
void stasis_vmm_vsock_describe(const struct stasis_vmm_config *config,
                               struct stasis_vmm_vsock_host *vsock);

/* Whether it can be opened: STASIS_ERR_ARG. Makes nothing. */
STASIS_MUST_CHECK int stasis_vmm_vsock_check(const struct stasis_vmm_config *config,
                                             struct stasis_error *err);

/* Of a guest that is thawed: STASIS_ERR_ARG, the configuration has sockets that the board has not.
 */
STASIS_MUST_CHECK int stasis_vmm_vsock_check_board(const struct stasis_vmm_config *config,
                                                   const struct stasis_board_state *board,
                                                   struct stasis_error *err);

#endif
