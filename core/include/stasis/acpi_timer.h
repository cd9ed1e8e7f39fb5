/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * ACPI power management timer (ACPI 6.4, 4.8.3.3): a counter of 32 bits at 3.579545 MHz, whatever
 * the rate of the TSC. Guests measure other timers by it. It does not interrupt.
 *
 * The caller owns the struct, serializes all calls, and hands in a clock; the operations must not
 * call back into the device.
 */
#ifndef STASIS_ACPI_TIMER_H
#define STASIS_ACPI_TIMER_H

#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/guest_error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

#define STASIS_ACPI_TIMER_SIZE 4

struct stasis_acpi_timer_ops {
    /* The host clock that drives the counter, in ns; it never goes back. */
    uint64_t (*now_ns)(void *ctx);
    /* The guest made an invalid access: READ_ONLY. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
};

/* Private but for its size. */
struct stasis_acpi_timer {
    const struct stasis_acpi_timer_ops *ops;
    void *ctx;
    uint64_t start_ns; /* on the clock of now_ns, when the counter was 0; modulo 2^64 */
};

/* Counts from 0. Of the operations calls now_ns alone. `ops` must outlive the device. */
STASIS_EXPORT void stasis_acpi_timer_init(struct stasis_acpi_timer *dev,
                                          const struct stasis_acpi_timer_ops *ops, void *ctx);

/* The same of a device that is in use. */
STASIS_EXPORT void stasis_acpi_timer_reset(struct stasis_acpi_timer *dev);

/* One access by the guest of `size` bytes, within the register. A read gives the bytes of PM_TMR
 * that it covers. A write is a guest error, and is ignored. */
STASIS_EXPORT uint32_t stasis_acpi_timer_read(const struct stasis_acpi_timer *dev, uint64_t offset,
                                              unsigned size);
STASIS_EXPORT void stasis_acpi_timer_write(const struct stasis_acpi_timer *dev);

/* *ret_state becomes all there is to know, at this moment of the clock. Changes nothing. */
STASIS_EXPORT void stasis_acpi_timer_save(const struct stasis_acpi_timer *dev,
                                          struct stasis_acpi_timer_state *ret_state);

/* Takes over a state on an initialized device: the counter goes on from state->counter_ns. Of the
 * operations calls now_ns alone. STASIS_ERR_RANGE: the state contradicts itself; the device is
 * unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_acpi_timer_restore(struct stasis_acpi_timer *dev,
                          const struct stasis_acpi_timer_state *state, struct stasis_error *err);

/* Lets `ns` pass for a saved timer, between save and restore. */
STASIS_EXPORT void stasis_acpi_timer_state_advance(struct stasis_acpi_timer_state *state,
                                                   uint64_t ns);

STASIS_END_DECLS

#endif
