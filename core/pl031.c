/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * PL031 real time clock, after ARM DDI 0224; register names are its. Not modelled: the integration
 * test registers, and the delay of up to a second until a load takes effect.
 *
 * The alarm is a function of time alone: the timer asked for by ops->arm only brings the interrupt
 * in time. Whoever looks at RTCRIS first catches up, so nothing hangs on when the timer fires.
 */
#include "stasis/pl031.h"

#include <assert.h>

enum {
    RTCDR = 0x000,
    RTCMR = 0x004,
    RTCLR = 0x008,
    RTCCR = 0x00c,
    RTCIMSC = 0x010,
    RTCRIS = 0x014,
    RTCMIS = 0x018,
    RTCICR = 0x01c,
    RTCPERIPHID0 = 0xfe0,
    RTCPCELLID3 = 0xffc,
};

enum {
    RTCCR_START = 1,
    RTCINTR = 1,
};

/* RTCPeriphID0-3 and RTCPCellID0-3: part 0x031 by ARM, revision 0. */
static const uint8_t ids[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

#define NS_PER_S  UINT64_C(1000000000)
#define PERIOD_NS ((UINT64_C(1) << 32) * NS_PER_S) /* below 2^62: sums of two stay in 64 bits */

static void guest_error(const struct stasis_pl031 *dev, enum stasis_guest_error error)
{
    if (dev->ops->guest_error)
        dev->ops->guest_error(dev->ctx, error);
}

static bool is_id(uint64_t offset)
{
    return offset >= RTCPERIPHID0 && offset <= RTCPCELLID3;
}

static uint64_t now_ns(const struct stasis_pl031 *dev)
{
    return dev->ops->now_ns(dev->ctx);
}

static uint64_t counter_ns(const struct stasis_pl031 *dev, uint64_t now)
{
    return (now % PERIOD_NS + dev->offset_ns) % PERIOD_NS;
}

/* Time until the counter next becomes mr, at least 1 ns: one that just became it has matched. */
static uint64_t ns_to_match(uint64_t counter, uint32_t mr)
{
    uint64_t ns = (mr * NS_PER_S + PERIOD_NS - counter) % PERIOD_NS;

    return ns ? ns : PERIOD_NS;
}

static void find_match(struct stasis_pl031 *dev, uint64_t now)
{
    dev->match_ns = now + ns_to_match(counter_ns(dev, now), dev->mr);
}

static void set_counter(struct stasis_pl031 *dev, uint64_t now, uint64_t counter)
{
    dev->offset_ns = (counter % PERIOD_NS + PERIOD_NS - now % PERIOD_NS) % PERIOD_NS;
    find_match(dev, now);
}

/* RTCRIS becomes what it is at `now`. */
static void catch_up(struct stasis_pl031 *dev, uint64_t now)
{
    if (now < dev->match_ns)
        return;
    dev->ris = RTCINTR;
    find_match(dev, now);
}

/* A timer is of use only for an interrupt that can go up. */
static bool wants_timer(const struct stasis_pl031 *dev)
{
    return dev->imsc && !dev->ris;
}

static void sync_timer(struct stasis_pl031 *dev)
{
    dev->armed = wants_timer(dev);
    dev->armed_ns = dev->match_ns;
    dev->ops->arm(dev->ctx, dev->armed, dev->armed ? dev->armed_ns : 0);
}

/* The only place that moves RTCINTR and the timer, but for apply_outputs. */
static void update_irq(struct stasis_pl031 *dev)
{
    bool level = dev->ris & dev->imsc;

    if (level != dev->irq_level) {
        dev->irq_level = level;
        dev->ops->irq(dev->ctx, level);
    }
    if (dev->armed != wants_timer(dev) || (dev->armed && dev->armed_ns != dev->match_ns))
        sync_timer(dev);
}

static uint32_t read_ris(struct stasis_pl031 *dev)
{
    catch_up(dev, now_ns(dev));
    update_irq(dev);
    return dev->ris;
}

static uint32_t read_register(struct stasis_pl031 *dev, uint64_t offset)
{
    switch (offset) {
    case RTCDR:
        return (uint32_t)(counter_ns(dev, now_ns(dev)) / NS_PER_S);
    case RTCMR:
        return dev->mr;
    case RTCLR:
        return dev->lr;
    case RTCCR:
        return RTCCR_START;
    case RTCIMSC:
        return dev->imsc;
    case RTCRIS:
        return read_ris(dev);
    case RTCMIS:
        return read_ris(dev) & dev->imsc;
    default:
        if (is_id(offset))
            return ids[(offset - RTCPERIPHID0) / 4];
        guest_error(dev, offset == RTCICR ? STASIS_GUEST_ERROR_WRITE_ONLY
                                          : STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        return 0;
    }
}

uint32_t stasis_pl031_read(struct stasis_pl031 *dev, uint64_t offset, unsigned size)
{
    unsigned byte = offset & 3;
    uint32_t word;

    if (!size || size > 4 - byte) {
        guest_error(dev, STASIS_GUEST_ERROR_BAD_WIDTH);
        return 0;
    }
    word = read_register(dev, offset - byte) >> 8 * byte;
    return size == 4 ? word : word & ((UINT32_C(1) << 8 * size) - 1);
}

/* The chip compares at every tick, thus also right after the match or the counter was set. */
static void compare(struct stasis_pl031 *dev, uint64_t now)
{
    if (counter_ns(dev, now) / NS_PER_S == dev->mr)
        dev->ris = RTCINTR;
}

static void write_register(struct stasis_pl031 *dev, uint64_t offset, uint32_t value)
{
    uint64_t now = now_ns(dev);

    catch_up(dev, now);
    switch (offset) {
    case RTCMR:
        dev->mr = value;
        find_match(dev, now);
        compare(dev, now);
        break;
    case RTCLR:
        dev->lr = value;
        set_counter(dev, now, value * NS_PER_S);
        compare(dev, now);
        break;
    case RTCCR: /* once started, no effect until a reset; Linux writes it at every probe */
        break;
    case RTCIMSC:
        dev->imsc = value & RTCINTR;
        break;
    case RTCICR:
        dev->ris &= ~(value & RTCINTR);
        break;
    case RTCDR:
    case RTCRIS:
    case RTCMIS:
        guest_error(dev, STASIS_GUEST_ERROR_READ_ONLY);
        break;
    default:
        guest_error(dev, is_id(offset) ? STASIS_GUEST_ERROR_READ_ONLY
                                       : STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        break;
    }
    update_irq(dev);
}

void stasis_pl031_write(struct stasis_pl031 *dev, uint64_t offset, unsigned size, uint32_t value)
{
    if (size == 4 && !(offset & 3))
        write_register(dev, offset, value);
    else
        guest_error(dev, STASIS_GUEST_ERROR_BAD_WIDTH);
}

void stasis_pl031_init(struct stasis_pl031 *dev, const struct stasis_pl031_ops *ops, void *ctx)
{
    assert(ops->now_ns && ops->irq && ops->arm);
    *dev = (struct stasis_pl031){.ops = ops, .ctx = ctx};
    set_counter(dev, now_ns(dev), 0);
}

static void load(struct stasis_pl031 *dev, const struct stasis_pl031_state *state, uint64_t now)
{
    dev->mr = state->mr;
    dev->lr = state->lr;
    dev->imsc = state->imsc;
    dev->ris = state->ris;
    set_counter(dev, now, state->counter_ns);
}

void stasis_pl031_reset(struct stasis_pl031 *dev)
{
    uint64_t now = now_ns(dev);
    struct stasis_pl031_state state;

    stasis_state_init(&stasis_pl031_schema, &state);
    state.counter_ns = counter_ns(dev, now);
    load(dev, &state, now);
    update_irq(dev);
}

void stasis_pl031_set_time(struct stasis_pl031 *dev, uint64_t counter)
{
    uint64_t now = now_ns(dev);

    catch_up(dev, now);
    set_counter(dev, now, counter);
    update_irq(dev);
}

void stasis_pl031_alarm(struct stasis_pl031 *dev)
{
    dev->armed = false; /* it has expired, even if too early */
    catch_up(dev, now_ns(dev));
    update_irq(dev);
}

void stasis_pl031_save(const struct stasis_pl031 *dev, struct stasis_pl031_state *ret_state)
{
    uint64_t now = now_ns(dev);

    stasis_state_init(&stasis_pl031_schema, ret_state);
    ret_state->counter_ns = counter_ns(dev, now);
    ret_state->mr = dev->mr;
    ret_state->lr = dev->lr;
    ret_state->imsc = dev->imsc;
    ret_state->ris = now < dev->match_ns ? dev->ris : RTCINTR;
}

int stasis_pl031_restore(struct stasis_pl031 *dev, const struct stasis_pl031_state *state,
                         struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_pl031_schema, state, err);

    if (rc)
        return rc;
    load(dev, state, now_ns(dev)); /* line and timer are apply_outputs's */
    return 0;
}

void stasis_pl031_apply_outputs(struct stasis_pl031 *dev)
{
    catch_up(dev, now_ns(dev));
    dev->irq_level = dev->ris & dev->imsc;
    dev->ops->irq(dev->ctx, dev->irq_level);
    sync_timer(dev);
}

void stasis_pl031_state_advance(struct stasis_pl031_state *state, uint64_t ns)
{
    if (ns >= ns_to_match(state->counter_ns, state->mr))
        state->ris = RTCINTR;
    state->counter_ns = (state->counter_ns + ns % PERIOD_NS) % PERIOD_NS;
}
