/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Freeze and thaw of a virtio device: the state goes by struct, the rings by RAM.
 */
#include "toy.h"

static struct driver driver, other_driver;
static struct toy toy, other;
static struct stasis_virtio_mmio *const mmio = &toy.mmio;

static int start(void **state)
{
    (void)state;
    toy_init(&other, &other_driver);
    toy_init(&toy, &driver);
    return 0;
}

static struct stasis_virtio_mmio_state saved(void)
{
    struct stasis_virtio_mmio_state state;

    stasis_virtio_mmio_save(mmio, &state);
    assert_int_equal(stasis_state_check(&stasis_virtio_mmio_schema, &state, NULL), 0);
    return state;
}

static void thaw(const struct stasis_virtio_mmio_state *state)
{
    unsigned looks = other_driver.looks;

    memcpy(other_driver.ram, driver.ram, sizeof(driver.ram));
    assert_int_equal(stasis_virtio_mmio_restore(&other.mmio, state, NULL), 0);
    assert_int_equal(other_driver.looks, looks); /* RAM may come later */
    assert_int_equal(other_driver.irqs, 0);
    assert_int_equal(stasis_virtio_mmio_check_memory(&other.mmio, NULL), 0);
    stasis_virtio_mmio_apply_outputs(&other.mmio);
}

/* At each step of the initialization. */
static void every_step_survives(void **state)
{
    (void)state;
    for (unsigned step = 0; step < 5; step++) {
        struct stasis_virtio_mmio_state before, after;

        start(NULL);
        if (step == 1)
            wr(mmio, R_STATUS, 3);
        if (step == 1)
            wr(mmio, R_DRIVER_FEATURES, 1); /* not offered, but not agreed either */
        if (step >= 2)
            agree(mmio, STASIS_VIRTIO_F_EVENT_IDX);
        if (step >= 3)
            set_up_queue(mmio);
        if (step >= 4)
            wr(mmio, R_STATUS, 15);
        before = saved();
        thaw(&before);
        stasis_virtio_mmio_save(&other.mmio, &after);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_int_equal(other_driver.irqs, 1);
        assert_false(other_driver.line);
    }
}

/* A request that was made available and not notified of, and one that was not acknowledged. */
static void requests_go_on_after_a_thaw(void **state)
{
    struct stasis_virtio_mmio_state frozen;

    (void)state;
    bring_up(mmio, 0);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    toy_request(&driver);
    frozen = saved();
    thaw(&frozen);
    assert_true(other_driver.line);
    assert_int_equal(rd(&other.mmio, R_INTERRUPT_STATUS), 1);
    wr(&other.mmio, R_INTERRUPT_ACK, 1);
    wr(&other.mmio, R_NOTIFY, 0);
    assert_int_equal(peek16(&other_driver, USED + 2), 2);
    assert_true(other_driver.line);
}

/* What the driver was last told of is not saved: it is told. */
static void the_first_after_a_thaw_is_announced(void **state)
{
    struct stasis_virtio_mmio_state frozen;

    (void)state;
    bring_up(mmio, STASIS_VIRTIO_F_EVENT_IDX);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    wr(mmio, R_INTERRUPT_ACK, 1);
    poke16(&driver, AVAIL + 4 + 2 * SIZE, 0); /* stale */
    frozen = saved();
    thaw(&frozen);
    toy_request(&other_driver);
    wr(&other.mmio, R_NOTIFY, 0);
    assert_true(other_driver.line);
    assert_int_equal(peek16(&other_driver, USED + 4 + 8 * SIZE), 2);
}

/* Rings that the driver has made untrue: saved so that it can be thawed, and says why. */
static void untrue_rings_are_saved_as_broken(void **state)
{
    struct stasis_virtio_mmio_state frozen;

    (void)state;
    bring_up(mmio, 0);
    poke16(&driver, USED + 2, 1);
    frozen = saved();
    assert_int_equal(frozen.status, 15 | 64);
    assert_int_equal(frozen.interrupt_status, 2);
    assert_int_equal(rd(mmio, R_STATUS), 15); /* as it was: only what is saved says so */
    thaw(&frozen);
    assert_true(other_driver.line);
    assert_int_equal(rd(&other.mmio, R_STATUS), 15 | 64);
}

static void rings_are_compared_after_a_thaw(void **state)
{
    struct stasis_virtio_mmio_state frozen;
    struct stasis_error err;

    (void)state;
    bring_up(mmio, 0);
    frozen = saved();
    thaw(&frozen);
    poke16(&other_driver, USED + 2, 1);
    assert_int_equal(stasis_virtio_mmio_check_memory(&other.mmio, &err), STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "queue 0: the used ring in RAM has idx 1, the device 0");
}

static void foreign_states_are_refused(void **state)
{
    struct stasis_virtio_mmio_state frozen, changed;
    struct stasis_virtio_mmio before;
    struct stasis_error err;

    (void)state;
    bring_up(mmio, 0);
    frozen = saved();
    before = other.mmio;
    changed = frozen;
    changed.device_features |= 2;
    assert_int_equal(stasis_virtio_mmio_restore(&other.mmio, &changed, &err), STASIS_ERR_VERSION);
    assert_non_null(strstr(err.msg, "offered virtio features 0x1013000000a"));
    changed = frozen;
    changed.queues_count = 1;
    assert_int_equal(stasis_virtio_mmio_restore(&other.mmio, &changed, &err), STASIS_ERR_VERSION);
    assert_non_null(strstr(err.msg, "had 1 queues, this release gives it 2"));
    changed = frozen;
    changed.queues[1].size = 2 * SIZE;
    assert_int_equal(stasis_virtio_mmio_restore(&other.mmio, &changed, &err), STASIS_ERR_VERSION);
    assert_non_null(strstr(err.msg, "queue 1 has 16 entries, this release has 8 at most"));
    assert_memory_equal(&before, &other.mmio, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_step_survives, start),
        cmocka_unit_test_setup(requests_go_on_after_a_thaw, start),
        cmocka_unit_test_setup(the_first_after_a_thaw_is_announced, start),
        cmocka_unit_test_setup(untrue_rings_are_saved_as_broken, start),
        cmocka_unit_test_setup(rings_are_compared_after_a_thaw, start),
        cmocka_unit_test_setup(foreign_states_are_refused, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
