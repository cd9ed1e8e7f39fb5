/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk_limit.h"

#include "support/cmocka_all.h"

#define S UINT64_C(1000000000)

/* Does that operation over and over for so many seconds: returns how often. */
static uint64_t run(struct stasis_disk_limit *limit, uint64_t bytes, uint64_t seconds)
{
    uint64_t count = 0, now = 100 * S, end = now + seconds * S;

    while (now < end) {
        uint64_t wait = stasis_disk_limit_admit(limit, now, bytes);

        count += !wait;
        now += wait;
    }
    return count;
}

static void without_a_limit_nothing_waits(void **state)
{
    struct stasis_disk_limit limit = {.operations.rate = 0};

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(stasis_disk_limit_admit(&limit, 0, 1 << 20), 0);
}

static void operations_are_limited(void **state)
{
    struct stasis_disk_limit limit = {.operations.rate = 10};

    (void)state;
    for (unsigned i = 0; i < 10; i++) /* a second's worth at once */
        assert_int_equal(stasis_disk_limit_admit(&limit, 5 * S, 4096), 0);
    assert_in_range(stasis_disk_limit_admit(&limit, 5 * S, 4096), S / 10, S / 10 + 1);
    assert_int_equal(stasis_disk_limit_admit(&limit, 5 * S + S / 10 + 1, 4096), 0);
    limit = (struct stasis_disk_limit){.operations.rate = 10};
    assert_in_range(run(&limit, 0, 100), 1009, 1010);
}

static void bytes_are_limited(void **state)
{
    struct stasis_disk_limit limit = {.bytes.rate = 1 << 20};

    (void)state;
    assert_in_range(run(&limit, 4096, 10), 256 * 11 - 2, 256 * 11);
    limit = (struct stasis_disk_limit){.bytes.rate = 1 << 20};
    for (unsigned i = 0; i < 100; i++) /* no data, such as a flush */
        assert_int_equal(stasis_disk_limit_admit(&limit, 5 * S, 0), 0);
}

/* An operation of more bytes than a second's worth: it is paid for before the next one. */
static void large_operations_are_paid_for_later(void **state)
{
    struct stasis_disk_limit limit = {.bytes.rate = 65536};

    (void)state;
    assert_int_equal(stasis_disk_limit_admit(&limit, 5 * S, 1 << 20), 0);
    assert_in_range(stasis_disk_limit_admit(&limit, 5 * S, 512), 15 * S, 16 * S);
    limit = (struct stasis_disk_limit){.bytes.rate = 65536};
    assert_in_range(run(&limit, 1 << 20, 160), 10, 11);
    limit = (struct stasis_disk_limit){.bytes.rate = 1}; /* the slowest */
    assert_int_equal(stasis_disk_limit_admit(&limit, 5 * S, 1 << 20), 0);
    assert_in_range(stasis_disk_limit_admit(&limit, 6 * S, 1 << 20), ((1 << 20) - 2) * S,
                    (1 << 20) * S);
}

static void both_limits_hold(void **state)
{
    struct stasis_disk_limit limit = {.operations.rate = 100, .bytes.rate = 1 << 20};

    (void)state;
    assert_in_range(run(&limit, 512, 10), 1098, 1100);
    limit = (struct stasis_disk_limit){.operations.rate = 100, .bytes.rate = 1 << 20};
    assert_in_range(run(&limit, 65536, 10), 16 * 11 - 1, 16 * 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_nothing_waits),
        cmocka_unit_test(operations_are_limited),
        cmocka_unit_test(bytes_are_limited),
        cmocka_unit_test(large_operations_are_paid_for_later),
        cmocka_unit_test(both_limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
