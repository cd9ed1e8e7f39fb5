/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Motorola MC146818 real time clock with its CMOS RAM, as a PC/AT has it: behind an index port and
 * a data port, with 114 bytes of RAM and the century in byte 0x32. Alarm, periodic and update-ended
 * interrupt as in the data sheet.
 *
 * The caller owns the struct, serializes all calls, and hands in the clock and what the chip is
 * wired to; the operations must not call back into the device. The chip counts the nanoseconds of
 * the caller's clock, steps of which it takes part in.
 */
#ifndef STASIS_MC146818_H
#define STASIS_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/guest_error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

/* Offset 0 is the index port (0x70 on a PC), which is write-only; 1 the data port. */
#define STASIS_MC146818_SIZE 2

#define STASIS_MC146818_RAM     128
#define STASIS_MC146818_CENTURY 0x32 /* register for the ACPI table FADT */

struct stasis_mc146818_ops {
    /* Nanoseconds of the caller's clock. */
    uint64_t (*now_ns)(void *ctx);
    /* The interrupt (IRQ 8) changed to `level`. Never called twice with the same level, but for
     * stasis_mc146818_apply_outputs(). */
    void (*irq)(void *ctx, bool level);
    /* Asks for a call of stasis_mc146818_alarm() at deadline_ns of the clock, in place of any that
     * was asked for; off: for none. */
    void (*arm)(void *ctx, bool on, uint64_t deadline_ns);
    /* The guest made an invalid access: WRITE_ONLY (the index port), which reads 0xff; READ_ONLY
     * (registers C and D), which is ignored. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
};

/* Private but for its size. */
struct stasis_mc146818 {
    const struct stasis_mc146818_ops *ops;
    void *ctx;
    uint8_t index;
    uint8_t ram[STASIS_MC146818_RAM];
    uint64_t offset_ns;                    /* of the counter to the caller's clock */
    uint64_t seen_ns;                      /* of the caller's clock: the flags are of this time */
    uint64_t second_ns, alarm_ns, tick_ns; /* when each flag is next set; UINT64_MAX: never */
    bool irq_level;
    bool armed;
    uint64_t armed_ns;
};

/* A clock that runs, in BCD and 24 hours, at 1970-01-01 00:00, with RAM of zeros and without
 * interrupts. Calls now_ns. `ops` must outlive the device. */
STASIS_EXPORT void stasis_mc146818_init(struct stasis_mc146818 *dev,
                                        const struct stasis_mc146818_ops *ops, void *ctx);

/* As the chip's RESET line: interrupts are off; time, alarm and RAM stay. */
STASIS_EXPORT void stasis_mc146818_reset(struct stasis_mc146818 *dev);

/* Sets the clock to so many nanoseconds since 1970, modulo the time until the year 2500. A stopped
 * clock stays as it is. */
STASIS_EXPORT void stasis_mc146818_set_time(struct stasis_mc146818 *dev, uint64_t time_ns);

/* One byte-wide access by the guest. */
STASIS_EXPORT uint8_t stasis_mc146818_read(struct stasis_mc146818 *dev, uint64_t offset);
STASIS_EXPORT void stasis_mc146818_write(struct stasis_mc146818 *dev, uint64_t offset,
                                         uint8_t value);

/* The time asked for by ops->arm has come; harmless if it has not. */
STASIS_EXPORT void stasis_mc146818_alarm(struct stasis_mc146818 *dev);

/* *ret_state becomes all there is to know. Changes nothing. */
STASIS_EXPORT void stasis_mc146818_save(const struct stasis_mc146818 *dev,
                                        struct stasis_mc146818_state *ret_state);

/* Takes over a state on an initialized device: the clock goes on from the time it holds. Calls
 * now_ns alone: call stasis_mc146818_apply_outputs() when the interrupt controller is in place.
 * STASIS_ERR_RANGE: the state contradicts itself; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_mc146818_restore(struct stasis_mc146818 *dev, const struct stasis_mc146818_state *state,
                        struct stasis_error *err);

/* Calls ops->irq and ops->arm whether or not anything changed. */
STASIS_EXPORT void stasis_mc146818_apply_outputs(struct stasis_mc146818 *dev);

/* Moves the clock in a valid state on by `ns`, with the flags that are set meanwhile. */
STASIS_EXPORT void stasis_mc146818_state_advance(struct stasis_mc146818_state *state, uint64_t ns);

STASIS_END_DECLS

#endif
