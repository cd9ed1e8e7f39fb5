/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/pvpanic.h"

#include "support/cmocka_all.h"

static struct stasis_pvpanic dev;
static unsigned panics, errors;

static void on_panicked(void *ctx)
{
    assert_ptr_equal(ctx, &dev);
    panics++;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    assert_ptr_equal(ctx, &dev);
    assert_int_equal(error, STASIS_GUEST_ERROR_BAD_COMMAND);
    errors++;
}

static const struct stasis_pvpanic_ops ops = {on_panicked, on_error};

static int setup(void **state)
{
    (void)state;
    panics = errors = 0;
    stasis_pvpanic_init(&dev, &ops, &dev);
    return 0;
}

static uint8_t reported(void)
{
    struct stasis_pvpanic_state state;

    stasis_pvpanic_save(&dev, &state);
    return state.events;
}

static void panic_is_told(void **state)
{
    (void)state;
    assert_int_equal(stasis_pvpanic_read(&dev), 0x03);
    stasis_pvpanic_write(&dev, 0x01);
    assert_int_equal(panics, 1);
    assert_int_equal(reported(), 0x01);
    assert_int_equal(errors, 0);
    stasis_pvpanic_reset(&dev);
    assert_int_equal(reported(), 0);
    assert_int_equal(panics, 1);
}

/* The guest's own crash kernel takes over: the host has nothing to do. */
static void crash_kernel_is_only_noted(void **state)
{
    (void)state;
    stasis_pvpanic_write(&dev, 0x02);
    assert_int_equal(panics, 0);
    assert_int_equal(reported(), 0x02);
    stasis_pvpanic_write(&dev, 0);
    assert_int_equal(reported(), 0x02);
    assert_int_equal(errors, 0);
}

static void other_events_are_errors(void **state)
{
    static const struct stasis_pvpanic_ops without = {on_panicked, NULL};

    (void)state;
    stasis_pvpanic_write(&dev, 0x04);
    assert_int_equal(errors, 1);
    assert_int_equal(reported(), 0);
    stasis_pvpanic_write(&dev, 0xff);
    assert_int_equal(errors, 2);
    assert_int_equal(panics, 1);
    assert_int_equal(reported(), 0x03);
    stasis_pvpanic_init(&dev, &without, &dev);
    stasis_pvpanic_write(&dev, 0x80);
    assert_int_equal(reported(), 0);
}

static void states_come_back_without_an_event(void **state)
{
    struct stasis_pvpanic_state saved = {.events = 0x03};

    (void)state;
    assert_int_equal(stasis_pvpanic_restore(&dev, &saved, NULL), 0);
    assert_int_equal(reported(), 0x03);
    assert_int_equal(panics, 0);
    saved.events = 0x04;
    assert_int_equal(stasis_pvpanic_restore(&dev, &saved, NULL), STASIS_ERR_RANGE);
    assert_int_equal(reported(), 0x03);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(panic_is_told, setup),
        cmocka_unit_test_setup(crash_kernel_is_only_noted, setup),
        cmocka_unit_test_setup(other_events_are_errors, setup),
        cmocka_unit_test_setup(states_come_back_without_an_event, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
