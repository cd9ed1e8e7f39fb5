/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A disk of the host that loses, in a crash, what was not synced, and that hangs on demand. There
 * is one, over whatever file the calls are given.
 */
#ifndef STASIS_TESTS_LOSSY_DISK_H
#define STASIS_TESTS_LOSSY_DISK_H

#include "vmm/host/disk.h"

#define LOSSY_DISK (UINT32_C(1) << 20) /* bytes, at most */

extern const struct stasis_disk_calls lossy_disk_calls;

/* Writes wait as long as it is set; one does. */
extern _Atomic bool lossy_disk_hangs, lossy_disk_is_hanging;
/* All calls but fallocate() fail with this error, unless it is 0. */
extern _Atomic int lossy_disk_fails;

void lossy_disk_crash(void);
bool lossy_disk_has_unsynced(uint64_t offset);

#endif
