/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The PC's clock: the guest's accesses, time that passes, alarms that come early, in time or late,
 * and freezes in between, in which time passes or does not.
 */
#include "device.h"

#include "stasis/mc146818.h"

struct rtc {
    struct stasis_mc146818 dev;
    uint64_t now, deadline;
    bool line, armed, thawing;
    unsigned errors;
};

static uint64_t on_now(void *ctx)
{
    return ((struct rtc *)ctx)->now;
}

static void on_irq(void *ctx, bool level)
{
    struct rtc *rtc = ctx;

    FUZZ_ASSERT(rtc->thawing || level != rtc->line);
    rtc->line = level;
}

static void on_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    struct rtc *rtc = ctx;

    FUZZ_ASSERT(on ? deadline_ns > rtc->now : !deadline_ns);
    rtc->armed = on;
    rtc->deadline = deadline_ns;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    FUZZ_ASSERT(error < STASIS_GUEST_ERROR_COUNT);
    ((struct rtc *)ctx)->errors++;
}

static const struct stasis_mc146818_ops ops = {on_now, on_irq, on_arm, on_error};

static void save(const struct rtc *rtc, struct stasis_mc146818_state *ret_state)
{
    memset(ret_state, 0, sizeof(*ret_state));
    stasis_mc146818_save(&rtc->dev, ret_state);
}

/* A timer that has expired is no longer armed. */
static void expire(struct rtc *rtc)
{
    rtc->armed = false;
    rtc->deadline = 0;
    stasis_mc146818_alarm(&rtc->dev);
}

static void pass(struct rtc *rtc, uint64_t ns, bool late)
{
    rtc->now += ns;
    if (rtc->armed && rtc->now >= rtc->deadline && !late)
        expire(rtc);
}

/* The other one's clock goes on meanwhile; this one's state is told of it. */
static void refreeze(struct rtc *rtc, uint64_t ns)
{
    struct stasis_mc146818_state state, thawed;

    save(rtc, &state);
    fuzz_through_file(&stasis_mc146818_schema, &state, &thawed);
    stasis_mc146818_state_advance(&thawed, ns);
    rtc->now += ns;
    stasis_mc146818_init(&rtc->dev, &ops, rtc);
    FUZZ_ASSERT(!stasis_mc146818_restore(&rtc->dev, &thawed, NULL));
    rtc->thawing = true;
    stasis_mc146818_apply_outputs(&rtc->dev);
    rtc->thawing = false;
}

static uint8_t happen(struct rtc *rtc, struct fuzz_events *events)
{
    uint8_t kind = fuzz_u8(events), reg = fuzz_u8(events), value;

    if (kind < 0x40) {
        stasis_mc146818_write(&rtc->dev, 0, reg);
        return stasis_mc146818_read(&rtc->dev, kind & 1);
    }
    value = fuzz_u8(events);
    switch (kind >> 4) {
    case 4:
    case 5: /* up to 2 ms, or 4 million seconds */
        pass(rtc, (uint64_t)value << (reg % 2 ? 13 : 13 + reg % 32), kind & 1);
        break;
    case 6:
        expire(rtc);
        break;
    case 7:
        stasis_mc146818_reset(&rtc->dev);
        break;
    case 8:
        stasis_mc146818_set_time(&rtc->dev, (uint64_t)value << reg % 57);
        break;
    default:
        stasis_mc146818_write(&rtc->dev, 0, reg);
        stasis_mc146818_write(&rtc->dev, 1, value);
        break;
    }
    return 0;
}

static void compare(const struct rtc *one, const struct rtc *two)
{
    struct stasis_mc146818_state first, second;

    save(one, &first);
    save(two, &second);
    FUZZ_ASSERT(first.index == second.index && first.counter_ns == second.counter_ns);
    FUZZ_ASSERT(!memcmp(first.ram, second.ram, sizeof(first.ram)));
    FUZZ_ASSERT(one->now == two->now && one->errors == two->errors);
    FUZZ_ASSERT(one->line == two->line && one->armed == two->armed &&
                one->deadline == two->deadline);
}

static void freeze_second(struct rtc *both, struct fuzz_events *events)
{
    uint64_t ns;

    (void)fuzz_u8(events);
    ns = (uint64_t)fuzz_u8(events) << 24;
    pass(&both[0], ns, false); /* a thaw makes good for an alarm that is late */
    refreeze(&both[1], ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_events events = {bytes, bytes + len};
    struct rtc both[2] = {{.now = UINT64_C(1) << 60}, {.now = UINT64_C(1) << 60}};

    for (unsigned i = 0; i < 2; i++)
        stasis_mc146818_init(&both[i].dev, &ops, &both[i]);
    while (events.at < events.end) {
        struct fuzz_events again = events;

        if (*events.at == 0xff)
            freeze_second(both, &events);
        else
            FUZZ_ASSERT(happen(&both[0], &events) == happen(&both[1], &again));
        compare(&both[0], &both[1]);
    }
    return 0;
}
