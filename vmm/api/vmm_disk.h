/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The disk of a configuration, as devices see it.
 */
#ifndef STASIS_VMM_VMM_DISK_H
#define STASIS_VMM_VMM_DISK_H

#include "vmm/api/config.h"
#include "vmm/host/disk.h"
#include "vmm/machine/device.h"

/* Begins as zeros, and stays where it is while it is open. */
struct stasis_vmm_disk {
    struct stasis_disk disk;
    struct stasis_device_disk device;
    bool is_open;
};

/* Opens what the configuration names, if it does, and gives it to host. STASIS_ERR_ARG names it. */
STASIS_MUST_CHECK int stasis_vmm_disk_open(const struct stasis_vmm_config *config,
                                           struct stasis_vmm_disk *disk,
                                           struct stasis_device_host *host,
                                           struct stasis_error *err);
/* Harmless when it is not open. */
void stasis_vmm_disk_close(struct stasis_vmm_disk *disk);

/* Of a guest that is frozen: what it wrote, and its marker, survive a crash of the host.
 * STASIS_ERR_IO. No device may use the disk meanwhile. */
STASIS_MUST_CHECK int stasis_vmm_disk_settle(const struct stasis_vmm_disk *disk,
                                             struct stasis_error *err);

/* Of a guest that is thawed: STASIS_ERR_ARG, the configuration has a disk that the board has not.
 */
STASIS_MUST_CHECK int stasis_vmm_disk_check_board(const struct stasis_vmm_config *config,
                                                  const struct stasis_board_state *board,
                                                  struct stasis_error *err);

/* STASIS_ERR_ARG: the guest may not run on after a snapshot. */
STASIS_MUST_CHECK int stasis_vmm_disk_check_resume(const struct stasis_vmm_config *config,
                                                   struct stasis_error *err);

#endif
