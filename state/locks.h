/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What lock.def was made of: the fingerprints of the record types as they are now.
 */
#ifndef STASIS_STATE_LOCKS_H
#define STASIS_STATE_LOCKS_H

#include <stddef.h>
#include <stdint.h>

struct stasis_lock_row {
    const char *name; /* as in all.def */
    uint16_t version;
    uint32_t fingerprint;
};

extern const struct stasis_lock_row stasis_lock_rows[];
extern const size_t stasis_lock_row_count;

#endif
