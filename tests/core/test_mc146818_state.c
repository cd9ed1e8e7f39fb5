/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Freeze and thaw of the clock.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/mc146818.h"

#include "random.h"

#define S UINT64_C(1000000000)

struct rig {
    struct stasis_mc146818 dev;
    uint64_t now;
    bool line, armed;
    uint64_t deadline;
    unsigned calls;
};

static struct rig one, other;

static uint64_t on_now(void *ctx)
{
    return ((struct rig *)ctx)->now;
}

static void on_irq(void *ctx, bool level)
{
    struct rig *r = ctx;

    r->line = level;
    r->calls++;
}

static void on_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    struct rig *r = ctx;

    r->armed = on;
    r->deadline = deadline_ns;
    r->calls++;
}

static const struct stasis_mc146818_ops ops = {on_now, on_irq, on_arm, NULL};

static void begin(struct rig *r, uint64_t now)
{
    memset(r, 0, sizeof(*r));
    r->now = now;
    stasis_mc146818_init(&r->dev, &ops, r);
}

static void wr(struct rig *r, uint8_t reg, uint8_t value)
{
    stasis_mc146818_write(&r->dev, 0, reg);
    stasis_mc146818_write(&r->dev, 1, value);
}

static uint8_t rd(struct rig *r, uint8_t reg)
{
    stasis_mc146818_write(&r->dev, 0, reg);
    return stasis_mc146818_read(&r->dev, 1);
}

static void pass(struct rig *r, uint64_t ns)
{
    uint64_t end = r->now + ns;

    while (r->armed && r->deadline <= end) {
        r->now = r->deadline > r->now ? r->deadline : r->now;
        r->armed = false;
        stasis_mc146818_alarm(&r->dev);
    }
    r->now = end;
}

/* Thaws a saved clock on a host whose own clock shows `now`. */
static void thaw(struct rig *to, const struct stasis_mc146818_state *saved, uint64_t now)
{
    begin(to, now);
    assert_int_equal(stasis_mc146818_restore(&to->dev, saved, NULL), 0);
    assert_int_equal(to->calls, 0);
    stasis_mc146818_apply_outputs(&to->dev);
    assert_int_equal(to->calls, 2);
}

static void assert_twins(void)
{
    struct stasis_mc146818_state a, b;

    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    stasis_mc146818_save(&one.dev, &a);
    stasis_mc146818_save(&other.dev, &b);
    assert_int_equal(stasis_state_check(&stasis_mc146818_schema, &a, NULL), 0);
    assert_int_equal(a.counter_ns, b.counter_ns);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(one.line, other.line);
    assert_int_equal(one.armed, other.armed);
    if (one.armed)
        assert_int_equal(one.deadline - one.now, other.deadline - other.now);
}

/* Registers whose values matter come more often. */
static uint8_t any_register(uint32_t draw)
{
    return (uint8_t)(draw & 0x100 ? draw % 14 : draw & 0x200 ? 0x32 : draw & 0x7f);
}

static void a_restored_clock_behaves_as_its_twin(void **state)
{
    uint64_t seed = 7;

    (void)state;
    begin(&one, 1700000000 * S + S / 3);
    stasis_mc146818_set_time(&one.dev, 1796000000 * S);
    other = one;
    other.dev.ctx = &other;
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t dice = next_random(&seed), draw = next_random(&seed);
        uint8_t reg = any_register(draw), value = (uint8_t)(next_random(&seed) >> 8);
        struct stasis_mc146818_state saved;

        switch (dice >> 29) {
        case 0:
            stasis_mc146818_save(&one.dev, &saved);
            thaw(&other, &saved, (uint64_t)draw * S / 7);
            break;
        case 1:
            pass(&one, draw);
            pass(&other, draw);
            break;
        case 2:
        case 3:
            assert_int_equal(rd(&one, reg), rd(&other, reg));
            break;
        default:
            wr(&one, reg, value);
            wr(&other, reg, value);
            break;
        }
        assert_twins();
    }
}

/* A clock that stood at its state for a while, and one that ran on: the same but for the flags that
 * nobody read meanwhile, which are the same too. */
static void advance_is_as_if_time_had_passed(void **state)
{
    static const uint64_t spans[] = {0,         1,         S / 2 - 1,       S / 2,         S,
                                     86399 * S, 86400 * S, 1000000 * S + 5, 4000000000 * S};

    (void)state;
    for (unsigned i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        for (unsigned set = 0; set < 3; set++) {
            struct stasis_mc146818_state moved, ran;

            begin(&one, 50 * S);
            stasis_mc146818_set_time(&one.dev, 1796000000 * S + S / 2);
            wr(&one, 5, 0xff);
            wr(&one, 3, 0xff);
            wr(&one, 1, 0x30);
            wr(&one, 0x0a, set == 1 ? 0x2f : 0x20);
            wr(&one, 0x0b, set == 2 ? 0x82 : 0x02);
            stasis_mc146818_save(&one.dev, &moved);
            stasis_mc146818_state_advance(&moved, spans[i]);
            one.now += spans[i];
            stasis_mc146818_save(&one.dev, &ran);
            assert_memory_equal(moved.ram, ran.ram, sizeof(ran.ram));
            assert_int_equal(moved.counter_ns, ran.counter_ns);
            assert_int_equal(stasis_state_check(&stasis_mc146818_schema, &moved, NULL), 0);
        }
    }
}

static void impossible_states_are_refused(void **state)
{
    struct stasis_mc146818_state saved;
    struct stasis_error err;

    (void)state;
    begin(&one, S);
    stasis_mc146818_save(&one.dev, &saved);
    saved.ram[0x0d] = 0x80;
    assert_int_equal(stasis_mc146818_restore(&one.dev, &saved, &err), STASIS_ERR_RANGE);
    saved.ram[0x0d] = 0;
    saved.counter_ns = UINT64_MAX;
    assert_int_equal(stasis_mc146818_restore(&one.dev, &saved, &err), STASIS_ERR_RANGE);
    assert_int_equal(rd(&one, 0x0a), 0x26);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_clock_behaves_as_its_twin),
        cmocka_unit_test(advance_is_as_if_time_had_passed),
        cmocka_unit_test(impossible_states_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
