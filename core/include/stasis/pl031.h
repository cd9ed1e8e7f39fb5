/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * PL031 real time clock (ARM PrimeCell, DDI 0224), with its alarm.
 *
 * The caller owns the struct, serializes all calls, and hands in a clock, a timer and a wire; the
 * operations must not call back into the device. The counter has 32 bits of seconds and wraps.
 * It is enabled from the start (RTCCR reads 1), as writes to RTCCR change nothing afterwards; a
 * write to RTCLR begins a new second.
 */
#ifndef STASIS_PL031_H
#define STASIS_PL031_H

#include <stdbool.h>
#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/guest_error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

#define STASIS_PL031_SIZE 0x1000

struct stasis_pl031_ops {
    /* The host clock that drives the counter, in ns; steps of it move the counter. */
    uint64_t (*now_ns)(void *ctx);
    /* RTCINTR changed to `level`. Never called twice with the same level, but for
     * stasis_pl031_apply_outputs(). */
    void (*irq)(void *ctx, bool level);
    /* on: call stasis_pl031_alarm() when the clock of now_ns has reached deadline_ns; replaces any
     * earlier deadline. Off: forget it. On only while the guest has the alarm unmasked. */
    void (*arm)(void *ctx, bool on, uint64_t deadline_ns);
    /* The guest made an invalid access: UNKNOWN_REGISTER, BAD_WIDTH, READ_ONLY or WRITE_ONLY. It
     * reads 0, or is ignored. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
};

/* Private but for its size. */
struct stasis_pl031 {
    const struct stasis_pl031_ops *ops;
    void *ctx;
    uint64_t offset_ns; /* counter - now, modulo 2^32 s */
    uint64_t match_ns;  /* when, on the clock of now_ns, the counter next becomes RTCMR */
    uint64_t armed_ns;
    bool armed;
    bool irq_level;
    uint32_t mr;
    uint32_t lr;
    uint32_t imsc;
    uint32_t ris;
};

/* A clock that shows 0 and ticks. Of the operations calls now_ns alone. `ops` must outlive it. */
STASIS_EXPORT void stasis_pl031_init(struct stasis_pl031 *dev, const struct stasis_pl031_ops *ops,
                                     void *ctx);

/* Registers to their defaults; the counter continues, having its own supply. */
STASIS_EXPORT void stasis_pl031_reset(struct stasis_pl031 *dev);

/* Sets the counter, in ns modulo 2^32 s: for UTC, give it CLOCK_REALTIME. Raises no alarm. */
STASIS_EXPORT void stasis_pl031_set_time(struct stasis_pl031 *dev, uint64_t counter_ns);

/* One access by the guest of `size` bytes. Registers are 32 bits wide. A narrower read gives the
 * bytes it covers. The bus has no byte strobes (APB 2), so a write must be one aligned word. What
 * is wider or crosses a word is a guest error. */
STASIS_EXPORT uint32_t stasis_pl031_read(struct stasis_pl031 *dev, uint64_t offset, unsigned size);
STASIS_EXPORT void stasis_pl031_write(struct stasis_pl031 *dev, uint64_t offset, unsigned size,
                                      uint32_t value);

/* The timer of ops->arm expired. Harmless when early or late. */
STASIS_EXPORT void stasis_pl031_alarm(struct stasis_pl031 *dev);

/* *ret_state becomes all there is to know, at this moment of the clock. Changes nothing. */
STASIS_EXPORT void stasis_pl031_save(const struct stasis_pl031 *dev,
                                     struct stasis_pl031_state *ret_state);

/* Takes over a state on an initialized device: the counter continues from state->counter_ns. Of the
 * operations calls now_ns alone: call stasis_pl031_apply_outputs() when the machine is in place.
 * STASIS_ERR_RANGE: the state contradicts itself; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_pl031_restore(struct stasis_pl031 *dev,
                                                         const struct stasis_pl031_state *state,
                                                         struct stasis_error *err);

/* Calls ops->irq and ops->arm with what is true now, whether or not it changed. */
STASIS_EXPORT void stasis_pl031_apply_outputs(struct stasis_pl031 *dev);

/* Lets `ns` pass for a saved clock, between save and restore: the counter advances and wraps, and
 * an alarm on the way goes off. *state must have passed its check. */
STASIS_EXPORT void stasis_pl031_state_advance(struct stasis_pl031_state *state, uint64_t ns);

STASIS_END_DECLS

#endif
