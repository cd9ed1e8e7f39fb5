/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * i8042 keyboard controller of the PC/AT without keyboard and without auxiliary port: what guests
 * need to probe it without delay and to reset the machine through it.
 *
 * The caller owns the struct, serializes all calls, and hands in what the chip is wired to; the
 * operations must not call back into the device. Commands take no time (status bit 1 is never
 * set). A byte sent to the keyboard is answered as by a real controller whose keyboard does not
 * respond: 0xfe with the time-out bit, so that a driver gives up at once instead of waiting.
 */
#ifndef STASIS_I8042_H
#define STASIS_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/guest_error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

/* Offset 0 is the data port (0x60 on a PC), 4 the status and command port (0x64). Those between
 * are not the controller's (0x61 is the PIT's): they read 0xff and ignore writes. */
#define STASIS_I8042_SIZE 5

struct stasis_i8042_ops {
    /* The guest asked for a reset of the machine: command 0xfe, another pulse of the reset line,
     * or output port bit 0 cleared. */
    void (*reset)(void *ctx);
    /* The keyboard interrupt (IRQ 1) changed to `level`. Never called twice with the same level,
     * but for stasis_i8042_apply_outputs(). */
    void (*irq)(void *ctx, bool level);
    /* The guest made an invalid access: UNKNOWN_REGISTER between the ports, which reads 0xff or is
     * ignored; BAD_COMMAND, which is ignored. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
};

/* Private but for its size. */
struct stasis_i8042 {
    const struct stasis_i8042_ops *ops;
    void *ctx;
    struct stasis_i8042_state regs;
    bool irq_level;
};

/* A controller as firmware leaves it: self-test passed, keyboard interrupt on. Calls no operation.
 * `ops` must outlive the device. */
STASIS_EXPORT void stasis_i8042_init(struct stasis_i8042 *dev, const struct stasis_i8042_ops *ops,
                                     void *ctx);

/* Back to the state after init; lowers the interrupt. */
STASIS_EXPORT void stasis_i8042_reset(struct stasis_i8042 *dev);

/* One byte-wide access by the guest. */
STASIS_EXPORT uint8_t stasis_i8042_read(struct stasis_i8042 *dev, uint64_t offset);
STASIS_EXPORT void stasis_i8042_write(struct stasis_i8042 *dev, uint64_t offset, uint8_t value);

/* *ret_state becomes all there is to know. Changes nothing. */
STASIS_EXPORT void stasis_i8042_save(const struct stasis_i8042 *dev,
                                     struct stasis_i8042_state *ret_state);

/* Takes over a state on an initialized device. Calls no operation: call
 * stasis_i8042_apply_outputs() when the interrupt controller is in place. STASIS_ERR_RANGE: the
 * state contradicts itself; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_i8042_restore(struct stasis_i8042 *dev,
                                                         const struct stasis_i8042_state *state,
                                                         struct stasis_error *err);

/* Calls ops->irq with the level of the interrupt whether or not it changed. */
STASIS_EXPORT void stasis_i8042_apply_outputs(struct stasis_i8042 *dev);

STASIS_END_DECLS

#endif
