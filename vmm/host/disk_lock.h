/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The lock of a disk, by which other programs know that it is in use, and vmm that it is in theirs:
 * QEMU, Cloud Hypervisor, another vmm.
 */
#ifndef STASIS_VMM_DISK_LOCK_H
#define STASIS_VMM_DISK_LOCK_H

#include <stdbool.h>

#include "stasis/error.h"

/* Until the file is closed, or unlocked (fcntl(2), F_OFD_SETLK). Any number may read it, and one
 * write, when nobody reads. STASIS_ERR_ARG: in use, or it cannot be locked. */
STASIS_MUST_CHECK int stasis_disk_lock(int fd, bool read_only, struct stasis_error *err);

#endif
