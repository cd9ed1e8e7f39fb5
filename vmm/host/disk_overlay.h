/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An overlay on a guest's disk (stasis/overlay.h): what is written goes there, and the disk below,
 * which is open for reading, stays as it is.
 */
#ifndef STASIS_VMM_DISK_OVERLAY_H
#define STASIS_VMM_DISK_OVERLAY_H

#include "stasis/output.h"
#include "vmm/host/disk.h"

/* All 0: on the disk below, as it was. */
struct stasis_disk_overlay_opts {
    const uint8_t *root; /* of the sealed overlay that it is to lie on, or NULL */
    const char *layers;  /* a folder of what it lies on, beside its own, or NULL */
    bool may_differ;     /* the disk below may have changed */
};

/* Opens the overlay at `path`, or makes it. From here on the disk's calls go to it, by way of the
 * struct, which stays where it is. The errors of stasis_overlay_open(). */
STASIS_MUST_CHECK int stasis_disk_open_overlay(struct stasis_disk *disk, const char *path,
                                               struct stasis_outputs *outputs,
                                               const struct stasis_disk_overlay_opts *opts,
                                               struct stasis_error *err);

/* For a dry run: the same, and nothing is made or changed, or stays locked. The disk gets the
 * overlay as it would be, or none, if one would be made; it is asked for its marker only. */
STASIS_MUST_CHECK int stasis_disk_try_overlay(struct stasis_disk *disk, const char *path,
                                              struct stasis_outputs *outputs,
                                              const struct stasis_disk_overlay_opts *opts,
                                              struct stasis_error *err);

/* Brings what was written to the disk, and closes it. */
void stasis_disk_close_overlay(struct stasis_disk *disk);

/* Whether nothing was ever written to it, so that the disk is that below; or the sealed overlay of
 * this root. */
bool stasis_disk_overlay_is_new(const struct stasis_disk *disk);
bool stasis_disk_overlay_is_at(const struct stasis_disk *disk, const uint8_t *root);

/* Whether it lies on one that releases before 0.3.0 do not read. */
bool stasis_disk_overlay_needs_newer(const struct stasis_disk *disk);

/* What can be done before it is sealed: stasis_overlay_check_seal(), stasis_overlay_write_back().
 */
STASIS_MUST_CHECK int stasis_disk_prepare_seal(struct stasis_disk *disk, bool (*keep_on)(void *ctx),
                                               void *ctx, struct stasis_error *err);

/* Seals it (stasis_overlay_seal()), with digests, or so that releases before 0.3.0 read it: the
 * disk has a root then, or, if nothing was ever written to it, is settled. */
STASIS_MUST_CHECK int stasis_disk_seal_overlay(struct stasis_disk *disk, bool has_digests,
                                               bool for_older, struct stasis_error *err);

/* By which its content is known: made of its name and the number of its last flush. */
struct stasis_disk_marker stasis_disk_overlay_marker(const struct stasis_disk *disk);

/* As those of disk.h. */
bool stasis_disk_overlay_read(const struct stasis_disk *disk, uint64_t offset, void *bytes,
                              size_t len);
bool stasis_disk_overlay_write(const struct stasis_disk *disk, uint64_t offset, const void *bytes,
                               size_t len);
bool stasis_disk_overlay_discard(const struct stasis_disk *disk, uint64_t offset, uint64_t len);
bool stasis_disk_overlay_zero(const struct stasis_disk *disk, uint64_t offset, uint64_t len);
bool stasis_disk_overlay_flush(const struct stasis_disk *disk);
bool stasis_disk_overlay_settle(const struct stasis_disk *disk);

#endif
