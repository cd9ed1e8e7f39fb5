/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * pvpanic (QEMU, docs/specs/pvpanic.rst): one port by which a guest says that its kernel panicked.
 * Reading it gives the events that it takes.
 *
 * The caller owns the struct, serializes all calls, and hands in who is told; the operations must
 * not call back into the device.
 */
#ifndef STASIS_PVPANIC_H
#define STASIS_PVPANIC_H

#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/guest_error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

#define STASIS_PVPANIC_SIZE 1

/* Events, as bits of a write. */
#define STASIS_PVPANIC_PANICKED     0x01 /* the host is to do what it does then */
#define STASIS_PVPANIC_CRASH_LOADED 0x02 /* another kernel in the guest takes over */

struct stasis_pvpanic_ops {
    /* The guest reports PANICKED. */
    void (*panicked)(void *ctx);
    /* The guest made an invalid access: BAD_COMMAND, an event that is not taken. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
};

/* Private but for its size. */
struct stasis_pvpanic {
    const struct stasis_pvpanic_ops *ops;
    void *ctx;
    struct stasis_pvpanic_state regs;
};

/* Nothing has been reported. Calls no operation. `ops` must outlive the device. */
STASIS_EXPORT void stasis_pvpanic_init(struct stasis_pvpanic *dev,
                                       const struct stasis_pvpanic_ops *ops, void *ctx);

/* The same of a device that is in use. */
STASIS_EXPORT void stasis_pvpanic_reset(struct stasis_pvpanic *dev);

/* One access by the guest of one byte. */
STASIS_EXPORT uint8_t stasis_pvpanic_read(const struct stasis_pvpanic *dev);
STASIS_EXPORT void stasis_pvpanic_write(struct stasis_pvpanic *dev, uint8_t events);

/* *ret_state becomes all there is to know. Changes nothing. */
STASIS_EXPORT void stasis_pvpanic_save(const struct stasis_pvpanic *dev,
                                       struct stasis_pvpanic_state *ret_state);

/* Takes over a state on an initialized device; calls no operation. STASIS_ERR_RANGE: the state
 * contradicts itself; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_pvpanic_restore(struct stasis_pvpanic *dev,
                                                           const struct stasis_pvpanic_state *state,
                                                           struct stasis_error *err);

STASIS_END_DECLS

#endif
