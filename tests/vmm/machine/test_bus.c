/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "vmm/machine/bus.h"

/* Answers every byte with its own offset plus 0x10 and remembers the last access. */
struct toy {
    unsigned count;
    uint64_t offset, value;
    unsigned len;
};

static uint64_t toy_read(void *ctx, uint64_t offset, unsigned len)
{
    struct toy *toy = ctx;
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= ((offset + i + 0x10) & 0xff) << 8 * i;
    *toy = (struct toy){toy->count + 1, offset, 0, len};
    return value;
}

static void toy_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct toy *toy = ctx;

    *toy = (struct toy){toy->count + 1, offset, value, len};
}

static const struct stasis_bus_ops toy_ops = {toy_read, toy_write};

static int add(struct stasis_bus *bus, uint64_t base, uint64_t size, struct toy *toy,
               struct stasis_error *err)
{
    return stasis_bus_add(bus, base, size, &toy_ops, toy, "toy", err);
}

static struct stasis_bus pio(void)
{
    struct stasis_bus bus;

    stasis_bus_init(&bus, "PIO", 0xffff);
    return bus;
}

static void count_one(void *ctx)
{
    ++*(unsigned *)ctx;
}

/* Once for each access, however many of its bytes are nobody's. */
static void accesses_that_nobody_handles_are_told(void **state)
{
    struct stasis_bus bus = pio();
    struct toy toy = {0};
    unsigned told = 0;

    (void)state;
    bus.unhandled = count_one;
    bus.ctx = &told;
    assert_int_equal(add(&bus, 0x70, 4, &toy, NULL), 0);
    (void)stasis_bus_read(&bus, 0x70, 4);
    stasis_bus_write(&bus, 0x73, 1, 1);
    assert_int_equal(told, 0);
    (void)stasis_bus_read(&bus, 0x80, 4);
    assert_int_equal(told, 1);
    stasis_bus_write(&bus, 0x80, 8, 1);
    assert_int_equal(told, 2);
    (void)stasis_bus_read(&bus, 0x72, 4);
    assert_int_equal(told, 3);
    stasis_bus_write(&bus, 0x6f, 2, 1);
    assert_int_equal(told, 4);
}

static void nobody_reads_all_ones(void **state)
{
    struct stasis_bus bus = pio();

    (void)state;
    for (unsigned len = 1; len <= 8; len++) {
        assert_int_equal(stasis_bus_read(&bus, 0x70, len), UINT64_MAX >> (64 - 8 * len));
        stasis_bus_write(&bus, 0x70, len, 0x1234);
    }
}

static void access_reaches_its_device(void **state)
{
    struct stasis_bus bus = pio();
    struct toy a = {0}, b = {0}, c = {0};

    (void)state;
    /* Not in ascending order: the bus sorts. */
    assert_int_equal(add(&bus, 0x200, 0x10, &b, NULL), 0);
    assert_int_equal(add(&bus, 0x300, 0x10, &c, NULL), 0);
    assert_int_equal(add(&bus, 0x100, 0x10, &a, NULL), 0);
    assert_int_equal(stasis_bus_read(&bus, 0x108, 8), UINT64_C(0x1f1e1d1c1b1a1918));
    assert_int_equal(a.len, 8);
    stasis_bus_write(&bus, 0x20f, 1, 0xab);
    assert_int_equal(b.offset, 0xf);
    assert_int_equal(b.value, 0xab);
    stasis_bus_write(&bus, 0x300, 4, 0x12345678);
    assert_int_equal(c.value, 0x12345678);
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
    assert_int_equal(c.count, 1);
}

/* Every length, also those that only a guest's odd access has, over both ends of a range. */
static void access_over_an_end_is_split(void **state)
{
    struct stasis_bus bus = pio();
    struct toy toy = {0};

    (void)state;
    assert_int_equal(add(&bus, 0x100, 4, &toy, NULL), 0);
    for (unsigned len = 1; len <= 8; len++) {
        for (uint64_t addr = 0x100 - 8; addr < 0x100 + 8; addr++) {
            uint64_t expected = 0;

            for (unsigned i = 0; i < len; i++) {
                uint64_t at = addr + i;
                uint64_t byte = at >= 0x100 && at < 0x104 ? at - 0x100 + 0x10 : 0xff;

                expected |= byte << 8 * i;
            }
            assert_int_equal(stasis_bus_read(&bus, addr, len), expected);
        }
    }
    toy.count = 0;
    stasis_bus_write(&bus, 0x102, 4, 0x44332211);
    assert_int_equal(toy.count, 2);
    assert_int_equal(toy.offset, 3);
    assert_int_equal(toy.len, 1);
    assert_int_equal(toy.value, 0x22);
}

static void split_over_neighbours(void **state)
{
    struct stasis_bus bus = pio();
    struct toy a = {0}, b = {0};

    (void)state;
    assert_int_equal(add(&bus, 0x100, 4, &a, NULL), 0);
    assert_int_equal(add(&bus, 0x104, 4, &b, NULL), 0);
    assert_int_equal(stasis_bus_read(&bus, 0x102, 4), 0x11101312);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);
}

static void overlap_is_refused(void **state)
{
    static const struct {
        uint64_t base, size;
    } cases[] = {{0x100, 8}, {0xff, 2}, {0x107, 1}, {0x107, 8}, {0, 0x10000}, {0x103, 2}};
    struct stasis_bus bus = pio();
    struct stasis_error err;
    struct toy toy = {0};

    (void)state;
    assert_int_equal(stasis_bus_add(&bus, 0x100, 8, &toy_ops, &toy, "first", NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(add(&bus, cases[i].base, cases[i].size, &toy, &err), STASIS_ERR_EXISTS);
        assert_non_null(strstr(err.msg, "toy and first overlap"));
        assert_non_null(strstr(err.msg, "PIO"));
    }
    assert_int_equal(add(&bus, 0x108, 8, &toy, &err), 0);
    assert_int_equal(add(&bus, 0xf8, 8, &toy, &err), 0);
    assert_int_equal(bus.count, 3);
}

static void range_outside_the_bus_is_refused(void **state)
{
    static const struct {
        uint64_t base, size;
    } cases[] = {{0, 0}, {0x10000, 1}, {0xffff, 2}, {0x8000, UINT64_MAX}, {UINT64_MAX, 1}};
    struct stasis_bus bus = pio();
    struct stasis_error err;
    struct toy toy = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(add(&bus, cases[i].base, cases[i].size, &toy, &err), STASIS_ERR_RANGE);
    assert_int_equal(add(&bus, 0xffff, 1, &toy, &err), 0);
}

static void top_of_the_address_space(void **state)
{
    struct stasis_bus bus;
    struct stasis_error err;
    struct toy toy = {0};

    (void)state;
    stasis_bus_init(&bus, "MMIO", UINT64_MAX);
    assert_int_equal(add(&bus, UINT64_MAX - 7, 8, &toy, &err), 0);
    assert_int_equal(add(&bus, UINT64_MAX, 1, &toy, &err), STASIS_ERR_EXISTS);
    assert_int_equal(add(&bus, UINT64_MAX, 2, &toy, &err), STASIS_ERR_RANGE);
    assert_int_equal(stasis_bus_read(&bus, UINT64_MAX - 7, 8), UINT64_C(0x1716151413121110));
    /* The access wraps to address 0, where nobody is. */
    assert_int_equal(stasis_bus_read(&bus, UINT64_MAX, 2), 0xff17);
}

static void full_bus_says_so(void **state)
{
    struct stasis_bus bus = pio();
    struct stasis_error err;
    struct toy toy = {0};

    (void)state;
    for (unsigned i = 0; i < STASIS_BUS_RANGE_MAX; i++)
        assert_int_equal(add(&bus, UINT64_C(16) * i, 16, &toy, &err), 0);
    assert_int_equal(add(&bus, 0x8000, 16, &toy, &err), STASIS_ERR_FULL);
    assert_int_equal(stasis_bus_read(&bus, 16 * STASIS_BUS_RANGE_MAX - 1, 1), 0x1f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_that_nobody_handles_are_told),
        cmocka_unit_test(nobody_reads_all_ones),
        cmocka_unit_test(access_reaches_its_device),
        cmocka_unit_test(access_over_an_end_is_split),
        cmocka_unit_test(split_over_neighbours),
        cmocka_unit_test(overlap_is_refused),
        cmocka_unit_test(range_outside_the_bus_is_refused),
        cmocka_unit_test(top_of_the_address_space),
        cmocka_unit_test(full_bus_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
