/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Virtual machine generation id (Microsoft, "Virtual Machine Generation ID", 2012): 128 random bits
 * in guest RAM that change whenever the guest goes on from a snapshot. A guest that is told of the
 * change draws new randomness, so that two guests of one snapshot do not have the same.
 *
 * The caller owns the struct, serializes all calls, and hands in where the id is stored and how the
 * guest is told; the operations must not call back into the device. The caller draws the bits, too.
 */
#ifndef STASIS_VMGENID_H
#define STASIS_VMGENID_H

#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

#define STASIS_VMGENID_BYTES 16

struct stasis_vmgenid_ops {
    /* Writes the id to where the guest reads it. An error is returned to the caller of
     * stasis_vmgenid_set() or stasis_vmgenid_renew(). */
    int (*store)(void *ctx, const uint8_t id[STASIS_VMGENID_BYTES], struct stasis_error *err);
    /* The id that the guest may have read is no longer the one stored: an ACPI notification (0x80)
     * of the device. */
    void (*changed)(void *ctx);
};

/* Private but for its size. */
struct stasis_vmgenid {
    const struct stasis_vmgenid_ops *ops;
    void *ctx;
    struct stasis_vmgenid_state regs;
};

/* All bits are 0, and stored nowhere. Calls no operation. `ops` must outlive the device. */
STASIS_EXPORT void stasis_vmgenid_init(struct stasis_vmgenid *dev,
                                       const struct stasis_vmgenid_ops *ops, void *ctx);

/* Stores the first id of a guest that does not run yet. On failure the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmgenid_set(struct stasis_vmgenid *dev,
                                                       const uint8_t id[STASIS_VMGENID_BYTES],
                                                       struct stasis_error *err);

/* Stores another id, and tells the guest. On failure the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmgenid_renew(struct stasis_vmgenid *dev,
                                                         const uint8_t id[STASIS_VMGENID_BYTES],
                                                         struct stasis_error *err);

/* *ret_state becomes all there is to know. Changes nothing. */
STASIS_EXPORT void stasis_vmgenid_save(const struct stasis_vmgenid *dev,
                                       struct stasis_vmgenid_state *ret_state);

/* Takes over a state on an initialized device. Calls no operation: guest RAM holds the id, and
 * stasis_vmgenid_renew() is due. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmgenid_restore(struct stasis_vmgenid *dev,
                                                           const struct stasis_vmgenid_state *state,
                                                           struct stasis_error *err);

STASIS_END_DECLS

#endif
