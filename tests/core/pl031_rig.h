/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A PL031 with a clock that the test moves: what its tests share.
 */
#ifndef STASIS_TESTS_PL031_RIG_H
#define STASIS_TESTS_PL031_RIG_H

#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/pl031.h"

#define S UINT64_C(1000000000)

enum { DR = 0, MR = 4, LR = 8, CR = 12, IMSC = 16, RIS = 20, MIS = 24, ICR = 28 };

struct rig {
    struct stasis_pl031 dev;
    uint64_t now;
    bool line;
    unsigned irqs;
    bool armed;
    uint64_t deadline;
    unsigned arms;
    unsigned errors;
    enum stasis_guest_error last_error;
};

static inline uint64_t on_now(void *ctx)
{
    return ((struct rig *)ctx)->now;
}

static inline void on_irq(void *ctx, bool level)
{
    struct rig *r = ctx;

    r->line = level;
    r->irqs++;
}

static inline void on_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    struct rig *r = ctx;

    r->armed = on;
    r->deadline = deadline_ns;
    r->arms++;
}

static inline void on_guest_error(void *ctx, enum stasis_guest_error error)
{
    struct rig *r = ctx;

    r->errors++;
    r->last_error = error;
}

static const struct stasis_pl031_ops ops = {on_now, on_irq, on_arm, on_guest_error};

static inline void start(struct rig *r, uint64_t now)
{
    memset(r, 0, sizeof(*r));
    r->now = now;
    stasis_pl031_init(&r->dev, &ops, r);
}

/* Lets time pass as a VMM does: its timer fires when it is due. */
static inline void pass(struct rig *r, uint64_t ns)
{
    uint64_t end = r->now + ns;

    while (r->armed && r->deadline <= end) {
        r->now = r->deadline;
        r->armed = false;
        stasis_pl031_alarm(&r->dev);
    }
    r->now = end;
}

#endif
