/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The disks of a configuration, as devices see them.
 */
#ifndef STASIS_VMM_VMM_DISK_H
#define STASIS_VMM_VMM_DISK_H

#include "stasis/snap.h"
#include "vmm/api/config.h"
#include "vmm/base/reasons.h"
#include "vmm/host/disk.h"
#include "vmm/machine/device.h"

struct stasis_vmm_disk {
    struct stasis_disk disk;
    struct stasis_device_disk device;
};

/* Begins as zeros, and stays where it is while disks are open. */
struct stasis_vmm_disks {
    struct stasis_vmm_disk list[STASIS_VMM_BLOCKS_MAX];
    unsigned count;
    struct stasis_outputs *outputs; /* that know the overlays; may be NULL */
    bool only_looks;                /* overlays are neither made nor written to */
};

/* Opens a disk that the configuration names, or all of them, without overlays, and gives it to
 * host. STASIS_ERR_ARG names it; those before it stay open. */
STASIS_MUST_CHECK int stasis_vmm_disks_add(const struct stasis_vmm_config *config, unsigned index,
                                           struct stasis_vmm_disks *disks,
                                           struct stasis_device_host *host,
                                           struct stasis_error *err);
STASIS_MUST_CHECK int stasis_vmm_disks_open(const struct stasis_vmm_config *config,
                                            struct stasis_vmm_disks *disks,
                                            struct stasis_device_host *host,
                                            struct stasis_error *err);
/* For a dry run, once all are open, which tells whether one is given twice. */
void stasis_vmm_disks_unlock(const struct stasis_vmm_disks *disks);
/* All that are open. */
void stasis_vmm_disks_close(struct stasis_vmm_disks *disks);

/* Opens the overlays of disks that are open; of a thaw on what its records name. As above. */
STASIS_MUST_CHECK int stasis_vmm_disks_open_overlays(const struct stasis_vmm_config *config,
                                                     struct stasis_vmm_disks *disks,
                                                     const struct stasis_records *records,
                                                     struct stasis_error *err);

/* How disks are settled; to be combined. */
#define STASIS_VMM_SETTLE_OVERLAYS 1u /* others may be lost, and their markers have no samples */
#define STASIS_VMM_SETTLE_SEALS    2u /* overlays are sealed: the guest runs on */
#define STASIS_VMM_SETTLE_DIGESTS  4u /* and have digests then */
#define STASIS_VMM_SETTLE_PARTIAL  8u /* and are read by 0.2.0, without digests */

/* Whether a release has disks, but reads no overlays with digests, nor with whole indexes. NULL:
 * this release. */
bool stasis_vmm_reads_older_disks(const char *release);

/* Whether a snapshot for that release can name what they lie on. STASIS_ERR_ARG. */
STASIS_MUST_CHECK int stasis_vmm_disks_check_target(const struct stasis_vmm_disks *disks,
                                                    const char *release, struct stasis_error *err);

/* The same of the snapshots that the options ask for, which is known when the overlays are open. */
STASIS_MUST_CHECK int stasis_vmm_disks_check_own_target(const struct stasis_vmm_config *config,
                                                        const struct stasis_vmm_disks *disks,
                                                        struct stasis_error *err);

/* Before the first overlay is sealed: finds out what would keep any of them from it, and waits for
 * their disks. keep_on is asked meanwhile; false: STASIS_ERR_CANCELLED. The errors of
 * stasis_vmm_disks_settle(). No device may use a disk meanwhile. */
STASIS_MUST_CHECK int stasis_vmm_disks_prepare_seal(struct stasis_vmm_disks *disks,
                                                    bool (*keep_on)(void *ctx), void *ctx,
                                                    struct stasis_error *err);

/* Of a guest that is frozen: what it wrote, and the disks' markers, survive a crash of the host.
 * STASIS_ERR_IO; of overlays the errors of stasis_overlay_seal(). No device may use a disk
 * meanwhile. */
STASIS_MUST_CHECK int stasis_vmm_disks_settle(struct stasis_vmm_disks *disks, unsigned how,
                                              struct stasis_error *err);

/* Whether there are overlays: what they have counts by their last flush only. */
bool stasis_vmm_disks_need_settling(const struct stasis_vmm_disks *disks);

/* ---- vmm_disk_bind.c ---- */

/* Whether the disks are those of the guest in the records: adds every reason why not, by the names
 * of the disks. Records that cannot be read are for others to report. */
void stasis_vmm_disks_check(const struct stasis_vmm_config *config,
                            const struct stasis_vmm_disks *disks,
                            const struct stasis_records *records, struct stasis_reasons *reasons);

/* Disks of the shape that the guest in the records had, which answer nothing: for a trial. */
struct stasis_vmm_stand_ins {
    struct stasis_device_disk list[STASIS_DEVICE_MAX];
    char ids[STASIS_DEVICE_MAX][sizeof(((struct stasis_board_device_state *)0)->instance)];
};
void stasis_vmm_disks_stand_in(const struct stasis_records *records,
                               struct stasis_vmm_stand_ins *stand_ins,
                               struct stasis_device_host *host);

#endif
