/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/acpi_timer.h"

#include "support/cmocka_all.h"

#define S UINT64_C(1000000000)

static struct stasis_acpi_timer dev;
static uint64_t now;
static unsigned errors;

static uint64_t on_now(void *ctx)
{
    assert_ptr_equal(ctx, &dev);
    return now;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    assert_ptr_equal(ctx, &dev);
    assert_int_equal(error, STASIS_GUEST_ERROR_READ_ONLY);
    errors++;
}

static const struct stasis_acpi_timer_ops ops = {on_now, on_error};

static int setup(void **state)
{
    (void)state;
    now = 77 * S;
    errors = 0;
    stasis_acpi_timer_init(&dev, &ops, &dev);
    return 0;
}

static uint32_t count(void)
{
    return stasis_acpi_timer_read(&dev, 0, 4);
}

/* ACPI 6.4, 4.8.2.1: 3.579545 MHz. */
static void it_counts_at_its_rate(void **state)
{
    (void)state;
    assert_int_equal(count(), 0);
    now += 279; /* a tick takes 279.365 ns */
    assert_int_equal(count(), 0);
    now++;
    assert_int_equal(count(), 1);
    now += S - 280;
    assert_int_equal(count(), 3579545);
    now += 99 * S + S / 2;
    assert_int_equal(count(), 359744272); /* 100.5 s */
}

/* At 2^32 ticks, and with a time that has no room for a product of 64 bits. */
static void it_wraps(void **state)
{
    (void)state;
    now += 1199 * S;
    assert_int_equal(count(), UINT64_C(1199) * 3579545);
    now += S;
    assert_int_equal(count(), UINT64_C(1200) * 3579545 - (UINT64_C(1) << 32));
    now += UINT64_C(10000000000) * S;
    assert_int_equal(count(), (uint32_t)(UINT64_C(10000001200) * 3579545));
}

static void reads_give_the_bytes_that_they_cover(void **state)
{
    (void)state;
    now += 20 * S;
    assert_int_equal(count(), 0x044463f4);
    assert_int_equal(stasis_acpi_timer_read(&dev, 0, 1), 0xf4);
    assert_int_equal(stasis_acpi_timer_read(&dev, 3, 1), 0x04);
    assert_int_equal(stasis_acpi_timer_read(&dev, 1, 2), 0x4463);
    assert_int_equal(stasis_acpi_timer_read(&dev, 2, 2), 0x0444);
}

static void writes_are_errors(void **state)
{
    static const struct stasis_acpi_timer_ops without = {on_now, NULL};

    (void)state;
    now += S;
    stasis_acpi_timer_write(&dev);
    assert_int_equal(errors, 1);
    assert_int_equal(count(), 3579545);
    stasis_acpi_timer_init(&dev, &without, &dev);
    stasis_acpi_timer_write(&dev);
    assert_int_equal(errors, 1);
}

static void a_reset_begins_anew(void **state)
{
    (void)state;
    now += S;
    stasis_acpi_timer_reset(&dev);
    assert_int_equal(count(), 0);
    now += S;
    assert_int_equal(count(), 3579545);
}

/* On a host whose clock has another value. */
static void it_goes_on_from_what_was_saved(void **state)
{
    struct stasis_acpi_timer_state saved;

    (void)state;
    now += 5 * S;
    stasis_acpi_timer_save(&dev, &saved);
    assert_int_equal(saved.counter_ns, 5 * S);
    now = 2;
    stasis_acpi_timer_init(&dev, &ops, &dev);
    assert_int_equal(stasis_acpi_timer_restore(&dev, &saved, NULL), 0);
    assert_int_equal(count(), 5 * 3579545);
    now += S;
    assert_int_equal(count(), 6 * 3579545);
    stasis_acpi_timer_state_advance(&saved, 2 * S);
    assert_int_equal(stasis_acpi_timer_restore(&dev, &saved, NULL), 0);
    assert_int_equal(count(), 7 * 3579545);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_counts_at_its_rate, setup),
        cmocka_unit_test_setup(it_wraps, setup),
        cmocka_unit_test_setup(reads_give_the_bytes_that_they_cover, setup),
        cmocka_unit_test_setup(writes_are_errors, setup),
        cmocka_unit_test_setup(a_reset_begins_anew, setup),
        cmocka_unit_test_setup(it_goes_on_from_what_was_saved, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
