/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * ACPI power management registers (ACPI 6.4, 4.8.3 and 4.8.4): the PM1 event and control blocks
 * with the power button, and a block of eight general-purpose events. A guest powers the machine
 * off through them, and hears of events by one level-triggered interrupt, the SCI.
 *
 * The caller owns the struct, serializes all calls, and hands in what the block is wired to; the
 * operations must not call back into the device. ACPI mode is always on: SCI_EN reads as 1.
 */
#ifndef STASIS_ACPI_PM_H
#define STASIS_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/guest_error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

/* Offsets of the registers. 6 and 7 are none: they read 0xff and ignore writes. */
#define STASIS_ACPI_PM_EVT_OFFSET 0 /* PM1_STS and PM1_EN, 2 bytes each */
#define STASIS_ACPI_PM_CNT_OFFSET 4 /* PM1_CNT, 2 bytes */
#define STASIS_ACPI_PM_GPE_OFFSET 8 /* GPE0_STS and GPE0_EN, a byte each */
#define STASIS_ACPI_PM_SIZE       10

/* The sleep type of the soft-off state, for the object _S5. No other is supported. */
#define STASIS_ACPI_PM_S5 5

#define STASIS_ACPI_PM_GPES 8

struct stasis_acpi_pm_ops {
    /* The guest enters the state S5: the machine is off. */
    void (*power_off)(void *ctx);
    /* The SCI changed to `level`. Never called twice with the same level, but for
     * stasis_acpi_pm_apply_outputs(). */
    void (*irq)(void *ctx, bool level);
    /* The guest made an invalid access: UNKNOWN_REGISTER, which reads 0xff or is ignored;
     * BAD_COMMAND, a sleep state that is not supported, which is ignored. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
};

/* Private but for its size. */
struct stasis_acpi_pm {
    const struct stasis_acpi_pm_ops *ops;
    void *ctx;
    struct stasis_acpi_pm_state regs;
    bool irq_level;
};

/* No event has come, and none is enabled. Calls no operation. `ops` must outlive the device. */
STASIS_EXPORT void stasis_acpi_pm_init(struct stasis_acpi_pm *dev,
                                       const struct stasis_acpi_pm_ops *ops, void *ctx);

/* Back to the state after init; lowers the interrupt. */
STASIS_EXPORT void stasis_acpi_pm_reset(struct stasis_acpi_pm *dev);

/* One byte-wide access by the guest. */
STASIS_EXPORT uint8_t stasis_acpi_pm_read(struct stasis_acpi_pm *dev, uint64_t offset);
STASIS_EXPORT void stasis_acpi_pm_write(struct stasis_acpi_pm *dev, uint64_t offset, uint8_t value);

/* Somebody has pressed the power button; general-purpose event `number` below STASIS_ACPI_PM_GPES
 * has come. Either stays pending until the guest clears it, also while it is not enabled. */
STASIS_EXPORT void stasis_acpi_pm_power_button(struct stasis_acpi_pm *dev);
STASIS_EXPORT void stasis_acpi_pm_event(struct stasis_acpi_pm *dev, unsigned number);

/* *ret_state becomes all there is to know. Changes nothing. */
STASIS_EXPORT void stasis_acpi_pm_save(const struct stasis_acpi_pm *dev,
                                       struct stasis_acpi_pm_state *ret_state);

/* Takes over a state on an initialized device. Calls no operation: call
 * stasis_acpi_pm_apply_outputs() when the interrupt controller is in place. STASIS_ERR_RANGE: a
 * register holds a bit that it does not have; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_acpi_pm_restore(struct stasis_acpi_pm *dev,
                                                           const struct stasis_acpi_pm_state *state,
                                                           struct stasis_error *err);

/* Calls ops->irq with the level of the interrupt whether or not it changed. */
STASIS_EXPORT void stasis_acpi_pm_apply_outputs(struct stasis_acpi_pm *dev);

STASIS_END_DECLS

#endif
