/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How much a disk may be used: operations and bytes per second, in bursts of up to a second's
 * worth.
 */
#ifndef STASIS_VMM_DISK_LIMIT_H
#define STASIS_VMM_DISK_LIMIT_H

#include "vmm/host/bucket.h"

struct stasis_disk_limit {
    struct stasis_bucket operations, bytes; /* their rates are the caller's to set */
};

/* 0: an operation on that many bytes, below 2^30, may begin, and has been charged. Else how many
 * nanoseconds to wait before it is asked again. One thread at a time. */
uint64_t stasis_disk_limit_admit(struct stasis_disk_limit *limit, uint64_t now_ns, uint64_t bytes);

#endif
