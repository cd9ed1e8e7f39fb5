/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Freeze and thaw of the clock.
 */
#include "pl031_rig.h"
#include "random.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    start(&rig, 1000 * S + S / 4);
    return 0;
}

static uint32_t rd(uint64_t offset)
{
    return stasis_pl031_read(&rig.dev, offset, 4);
}

static void wr(uint64_t offset, uint32_t value)
{
    stasis_pl031_write(&rig.dev, offset, 4, value);
}

/* Thaws a saved clock on a host whose own clock shows `now`. */
static void thaw(struct rig *to, const struct stasis_pl031_state *saved, uint64_t now)
{
    start(to, now);
    assert_int_equal(stasis_pl031_restore(&to->dev, saved, NULL), 0);
    assert_int_equal(to->irqs + to->arms, 0);
    stasis_pl031_apply_outputs(&to->dev);
    assert_int_equal(to->irqs, 1);
}

static void a_restored_clock_behaves_as_its_twin(void **state)
{
    uint64_t seed = 5;
    struct rig other;

    (void)state;
    stasis_pl031_set_time(&rig.dev, 1700000000 * S);
    other = rig;
    other.dev.ctx = &other;
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t dice = next_random(&seed), value = next_random(&seed), offset = dice % 8 * 4;
        struct stasis_pl031_state a, b;

        if (offset == MR || offset == LR)
            value = rd(DR) + value % 7; /* near enough for the alarm to go off */
        switch (dice >> 28) {
        case 0:
            stasis_pl031_save(&rig.dev, &a);
            stasis_pl031_save(&other.dev, &b);
            assert_memory_equal(&a, &b, sizeof(a));
            thaw(&other, &a, value * S);
            break;
        case 1:
        case 2:
        case 3:
        case 4:
            pass(&rig, value % (3 * S));
            pass(&other, value % (3 * S));
            break;
        case 5:
        case 6:
        case 7:
        case 8:
        case 9:
            wr(offset, value);
            stasis_pl031_write(&other.dev, offset, 4, value);
            break;
        default:
            assert_int_equal(rd(offset), stasis_pl031_read(&other.dev, offset, 4));
            break;
        }
        assert_int_equal(rig.line, other.line);
        assert_int_equal(rig.armed, other.armed);
        if (rig.armed)
            assert_int_equal(rig.deadline - rig.now, other.deadline - other.now);
    }
    assert_true(rig.irqs > 200);
}

static void time_passes_for_a_saved_clock_as_for_a_running_one(void **state)
{
    static const uint64_t waits[] = {
        0, 1, 10 * S - 1, 10 * S, 11 * S, (UINT64_C(1) << 32) * S, UINT64_MAX - 2000 * S};

    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        struct stasis_pl031_state saved, want;

        setup(state);
        wr(LR, UINT32_MAX - 4); /* across the wrap */
        wr(MR, 5);
        stasis_pl031_save(&rig.dev, &saved);
        stasis_pl031_state_advance(&saved, waits[i]);
        rig.now += waits[i];
        stasis_pl031_save(&rig.dev, &want);
        assert_memory_equal(&saved, &want, sizeof(want));
        assert_int_equal(saved.ris, waits[i] >= 10 * S);
        assert_int_equal(stasis_state_check(&stasis_pl031_schema, &saved, NULL), 0);
    }
}

static void an_alarm_during_the_freeze_is_raised_by_the_thaw(void **state)
{
    struct stasis_pl031_state saved;
    struct rig other;

    (void)state;
    wr(LR, 100);
    wr(MR, 160);
    wr(IMSC, 1);
    stasis_pl031_save(&rig.dev, &saved);
    thaw(&other, &saved, 77 * S); /* continue: the minute is still to come */
    assert_false(other.line);
    assert_true(other.armed);
    assert_int_equal(other.deadline, (77 + 60) * S);
    stasis_pl031_state_advance(&saved, 3600 * S);
    thaw(&other, &saved, 77 * S); /* advance: an hour has gone by */
    assert_true(other.line);
    assert_int_equal(stasis_pl031_read(&other.dev, DR, 4), 3700);
}

static void an_alarm_during_the_thaw_is_not_lost(void **state)
{
    struct stasis_pl031_state saved;
    struct rig other;

    (void)state;
    wr(LR, 100);
    wr(MR, 101);
    wr(IMSC, 1);
    stasis_pl031_save(&rig.dev, &saved);
    start(&other, 0);
    assert_int_equal(stasis_pl031_restore(&other.dev, &saved, NULL), 0);
    other.now += 5 * S; /* memory took its time */
    stasis_pl031_apply_outputs(&other.dev);
    assert_true(other.line);
}

static void an_acknowledged_alarm_does_not_come_back(void **state)
{
    struct stasis_pl031_state saved;
    struct rig other;

    (void)state;
    wr(IMSC, 1);
    wr(LR, 100);
    wr(MR, 100);
    wr(ICR, 1);
    stasis_pl031_save(&rig.dev, &saved);
    thaw(&other, &saved, 1);
    pass(&other, 10 * S);
    assert_false(other.line);
}

static void a_contradicting_state_is_refused(void **state)
{
    struct stasis_pl031_state bad, before, after;
    struct stasis_error err = {0};

    (void)state;
    stasis_pl031_save(&rig.dev, &before);
    stasis_state_init(&stasis_pl031_schema, &bad);
    bad.counter_ns = (UINT64_C(1) << 32) * S;
    assert_int_equal(stasis_pl031_restore(&rig.dev, &bad, &err), STASIS_ERR_RANGE);
    bad.counter_ns--;
    bad.ris = 2;
    assert_int_equal(stasis_pl031_restore(&rig.dev, &bad, &err), STASIS_ERR_RANGE);
    stasis_pl031_save(&rig.dev, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    bad.ris = 0;
    assert_int_equal(stasis_pl031_restore(&rig.dev, &bad, &err), 0);
    assert_int_equal(rd(DR), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_restored_clock_behaves_as_its_twin, setup),
        cmocka_unit_test_setup(time_passes_for_a_saved_clock_as_for_a_running_one, setup),
        cmocka_unit_test_setup(an_alarm_during_the_freeze_is_raised_by_the_thaw, setup),
        cmocka_unit_test_setup(an_alarm_during_the_thaw_is_not_lost, setup),
        cmocka_unit_test_setup(an_acknowledged_alarm_does_not_come_back, setup),
        cmocka_unit_test_setup(a_contradicting_state_is_refused, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
