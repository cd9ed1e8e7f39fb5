/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * MC146818 real time clock, after Motorola's data sheet (1984); register names are its. Not
 * modelled: the square wave, daylight saving (DSE is kept and has no effect), divider settings
 * other than running and reset, and a weekday of the guest's own: it follows from the date.
 *
 * The flags of register C are functions of time alone: the timer asked for by ops->arm only brings
 * the interrupt in time. Whoever looks first catches up.
 */
#include "mc146818_internal.h"

#include <assert.h>
#include <string.h>

#define UIP_NS UINT64_C(244000) /* table 5: UIP goes up so long before an update */

static void guest_error(const struct stasis_mc146818 *dev, enum stasis_guest_error error)
{
    if (dev->ops->guest_error)
        dev->ops->guest_error(dev->ctx, error);
}

/* ---- outputs ---- */

static bool irq_is_wanted(const struct stasis_mc146818 *dev)
{
    return dev->ram[REG_C] & dev->ram[REG_B] & FLAGS;
}

static void earlier(uint64_t *at, uint64_t other, bool counts)
{
    if (counts && other < *at)
        *at = other;
}

/* When the interrupt goes up: never while it is up, however fast its events come. */
static uint64_t next_irq(const struct stasis_mc146818 *dev)
{
    uint8_t enabled = dev->ram[REG_B];
    uint64_t at = STASIS_MC146818_NEVER;

    if (irq_is_wanted(dev))
        return STASIS_MC146818_NEVER;
    earlier(&at, dev->second_ns, enabled & FLAG_U);
    earlier(&at, dev->alarm_ns, enabled & FLAG_A);
    earlier(&at, dev->tick_ns, enabled & FLAG_P);
    return at;
}

static void sync_timer(struct stasis_mc146818 *dev, uint64_t at)
{
    dev->armed = at != STASIS_MC146818_NEVER;
    dev->armed_ns = at;
    dev->ops->arm(dev->ctx, dev->armed, dev->armed ? at : 0);
}

/* The only place that moves the interrupt and the timer, but for apply_outputs. */
static void update_outputs(struct stasis_mc146818 *dev)
{
    bool level = irq_is_wanted(dev);
    uint64_t at = next_irq(dev);

    if (level != dev->irq_level) {
        dev->irq_level = level;
        dev->ops->irq(dev->ctx, level);
    }
    if (dev->armed != (at != STASIS_MC146818_NEVER) || (dev->armed && dev->armed_ns != at))
        sync_timer(dev, at);
}

/* ---- accesses ---- */

static uint8_t read_flags(struct stasis_mc146818 *dev)
{
    uint8_t flags = dev->ram[REG_C] | (irq_is_wanted(dev) ? C_IRQF : 0);

    dev->ram[REG_C] = 0;
    return flags;
}

static uint8_t read_data(struct stasis_mc146818 *dev, uint64_t now)
{
    switch (dev->index) {
    case REG_A:
        return dev->ram[REG_A] |
               (!stasis_mc146818_is_stopped(dev) &&
                        stasis_mc146818_phase_ns(dev, now) >= STASIS_MC146818_S_NS - UIP_NS
                    ? A_UIP
                    : 0);
    case REG_C:
        return read_flags(dev);
    case REG_D:
        return D_VRT;
    default:
        return stasis_mc146818_is_time(dev->index) ? stasis_mc146818_read_time(dev, now, dev->index)
                                                   : dev->ram[dev->index];
    }
}

/* Registers A and B: either can stop the clock or let it go. After a reset of the divider the first
 * update comes half a second later. */
static void write_control(struct stasis_mc146818 *dev, uint64_t now, unsigned reg, uint8_t value)
{
    bool was_stopped = stasis_mc146818_is_stopped(dev);
    bool was_reset = stasis_mc146818_divider_is_reset(dev);
    uint64_t phase = stasis_mc146818_phase_ns(dev, now);
    bool stops;

    dev->ram[reg] = value;
    stops = stasis_mc146818_is_stopped(dev);
    if (stops && !was_stopped)
        stasis_mc146818_time_to_ram(dev, now);
    if (was_reset && !stasis_mc146818_divider_is_reset(dev))
        phase = STASIS_MC146818_S_NS / 2;
    if (stops)
        stasis_mc146818_set_counter(dev, now, phase);
    else if (was_stopped)
        stasis_mc146818_time_from_ram(dev, now, phase);
    else
        stasis_mc146818_find_deadlines(dev, now);
}

static void write_time(struct stasis_mc146818 *dev, uint64_t now, uint8_t value)
{
    if (stasis_mc146818_is_stopped(dev)) {
        dev->ram[dev->index] = value;
        return;
    }
    stasis_mc146818_time_to_ram(dev, now);
    dev->ram[dev->index] = value;
    stasis_mc146818_time_from_ram(dev, now, stasis_mc146818_phase_ns(dev, now));
}

static void write_data(struct stasis_mc146818 *dev, uint64_t now, uint8_t value)
{
    switch (dev->index) {
    case REG_A:
        write_control(dev, now, REG_A, value & (uint8_t)~A_UIP);
        break;
    case REG_B:
        write_control(dev, now, REG_B, value & B_SET ? value & (uint8_t)~B_UIE : value);
        break;
    case REG_C:
    case REG_D:
        guest_error(dev, STASIS_GUEST_ERROR_READ_ONLY);
        break;
    default:
        if (stasis_mc146818_is_time(dev->index))
            write_time(dev, now, value);
        else
            dev->ram[dev->index] = value;
        stasis_mc146818_find_deadlines(dev, now);
        break;
    }
}

uint8_t stasis_mc146818_read(struct stasis_mc146818 *dev, uint64_t offset)
{
    uint64_t now;
    uint8_t value;

    if (offset != 1) {
        guest_error(dev, STASIS_GUEST_ERROR_WRITE_ONLY);
        return 0xff;
    }
    now = dev->ops->now_ns(dev->ctx);
    stasis_mc146818_catch_up(dev, now);
    value = read_data(dev, now);
    update_outputs(dev);
    return value;
}

void stasis_mc146818_write(struct stasis_mc146818 *dev, uint64_t offset, uint8_t value)
{
    uint64_t now;

    if (offset != 1) { /* bit 7 gates the NMI of a PC, which nothing raises */
        dev->index = value & (STASIS_MC146818_RAM - 1);
        return;
    }
    now = dev->ops->now_ns(dev->ctx);
    stasis_mc146818_catch_up(dev, now);
    write_data(dev, now, value);
    update_outputs(dev);
}

/* ---- life ---- */

void stasis_mc146818_init(struct stasis_mc146818 *dev, const struct stasis_mc146818_ops *ops,
                          void *ctx)
{
    assert(ops->now_ns && ops->irq && ops->arm);
    *dev = (struct stasis_mc146818){.ops = ops, .ctx = ctx};
    dev->ram[REG_A] = A_DEFAULT;
    dev->ram[REG_B] = B_24;
    stasis_mc146818_set_counter(dev, ops->now_ns(ctx), 0);
}

void stasis_mc146818_reset(struct stasis_mc146818 *dev)
{
    stasis_mc146818_catch_up(dev, dev->ops->now_ns(dev->ctx));
    dev->ram[REG_B] &= (uint8_t) ~(FLAGS | 0x08);
    dev->ram[REG_C] = 0;
    update_outputs(dev);
}

void stasis_mc146818_set_time(struct stasis_mc146818 *dev, uint64_t time_ns)
{
    uint64_t now = dev->ops->now_ns(dev->ctx);

    stasis_mc146818_catch_up(dev, now);
    if (!stasis_mc146818_is_stopped(dev))
        stasis_mc146818_set_counter(dev, now, time_ns);
    update_outputs(dev);
}

void stasis_mc146818_alarm(struct stasis_mc146818 *dev)
{
    dev->armed = false; /* it has expired, even if too early */
    stasis_mc146818_catch_up(dev, dev->ops->now_ns(dev->ctx));
    update_outputs(dev);
}

/* ---- state ---- */

static void load(struct stasis_mc146818 *dev, const struct stasis_mc146818_state *state,
                 uint64_t now)
{
    dev->index = state->index;
    memcpy(dev->ram, state->ram, sizeof(dev->ram));
    stasis_mc146818_set_counter(dev, now, state->counter_ns);
}

static void store(const struct stasis_mc146818 *dev, struct stasis_mc146818_state *state,
                  uint64_t now)
{
    struct stasis_mc146818 then = *dev;

    stasis_mc146818_catch_up(&then, now);
    state->index = then.index;
    memcpy(state->ram, then.ram, sizeof(then.ram));
    state->counter_ns = stasis_mc146818_is_stopped(&then) ? stasis_mc146818_phase_ns(&then, now)
                                                          : stasis_mc146818_counter_ns(&then, now);
}

void stasis_mc146818_save(const struct stasis_mc146818 *dev,
                          struct stasis_mc146818_state *ret_state)
{
    stasis_state_init(&stasis_mc146818_schema, ret_state);
    store(dev, ret_state, dev->ops->now_ns(dev->ctx));
}

int stasis_mc146818_restore(struct stasis_mc146818 *dev, const struct stasis_mc146818_state *state,
                            struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_mc146818_schema, state, err);

    if (rc)
        return rc;
    load(dev, state, dev->ops->now_ns(dev->ctx)); /* line and timer are apply_outputs's */
    return 0;
}

void stasis_mc146818_apply_outputs(struct stasis_mc146818 *dev)
{
    stasis_mc146818_catch_up(dev, dev->ops->now_ns(dev->ctx));
    dev->irq_level = irq_is_wanted(dev);
    dev->ops->irq(dev->ctx, dev->irq_level);
    sync_timer(dev, next_irq(dev));
}

/* A clock of its own, which shows 0 when this one stood at the state. */
void stasis_mc146818_state_advance(struct stasis_mc146818_state *state, uint64_t ns)
{
    struct stasis_mc146818 dev = {0};

    load(&dev, state, 0);
    store(&dev, state, ns);
}
