/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Reads the table as a kernel does, from bytes, by MP 1.4 chapter 4.
 */
#include "vmm/boot/x86/mptable.h"

#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/boot/boot_rig.h"

#define GPA UINT64_C(0xf0000)

static struct boot_rig rig;
static uint8_t bytes[0x10000];

static uint32_t le(const uint8_t *at, unsigned len)
{
    uint32_t value = 0;

    while (len--)
        value = value << 8 | at[len];
    return value;
}

static uint8_t sum(const uint8_t *at, size_t len)
{
    uint8_t all = 0;

    while (len--)
        all = (uint8_t)(all + *at++);
    return all;
}

/* Checks both checksums and returns the table. */
static const uint8_t *build(uint32_t vcpus)
{
    const uint8_t *table = bytes + 16;

    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    rig.board.vcpus = vcpus;
    memset(bytes, 0xaa, sizeof(bytes));
    assert_int_equal(stasis_mptable_build(&rig.board, GPA, bytes, sizeof(bytes), &rig.err), 0);
    assert_memory_equal(bytes, "_MP_", 4);
    assert_int_equal(bytes[8], 1);
    assert_int_equal(bytes[9], 4);
    assert_int_equal(sum(bytes, 16), 0);
    assert_int_equal(le(bytes + 4, 4), GPA + 16);
    assert_memory_equal(table, "PCMP", 4);
    assert_int_equal(table[6], 4);
    assert_int_equal(sum(table, le(table + 4, 2)), 0);
    assert_int_equal(table[le(table + 4, 2)], 0xaa);
    return table;
}

static void has_every_processor_and_line(void **state)
{
    const uint32_t counts[] = {1, 2, 15, 16, 254};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const uint8_t *table = build(counts[i]), *entry = table + 44;

        assert_int_equal(le(table + 34, 2), counts[i] + 1 + 1 + 24 + 2);
        assert_int_equal(le(table + 36, 4), 0xfee00000);
        for (uint32_t cpu = 0; cpu < counts[i]; cpu++, entry += 20) {
            assert_int_equal(entry[0], 0);
            assert_int_equal(entry[1], cpu);
            assert_int_equal(entry[3], cpu ? 1 : 3); /* the first one boots */
        }
        assert_memory_equal(entry, "\x01\x00ISA   ", 8);
        entry += 8;
        assert_int_equal(entry[0], 2);
        assert_int_equal(entry[1], counts[i]); /* an id that no processor has */
        assert_int_equal(le(entry + 4, 4), 0xfec00000);
        entry += 8;
        for (uint32_t pin = 0; pin < 24; pin++, entry += 8) {
            const uint8_t want[8] = {3, 0, 0, 0, 0, (uint8_t)pin, (uint8_t)counts[i], (uint8_t)pin};

            assert_memory_equal(entry, want, 8);
        }
        assert_memory_equal(entry, "\x04\x03\x00\x00\x00\x00\x00\x00", 8);     /* PICs on LINT0 */
        assert_memory_equal(entry + 8, "\x04\x01\x00\x00\x00\x00\xff\x01", 8); /* NMI on LINT1 */
        assert_int_equal(entry + 16 - table, le(table + 4, 2));
    }
}

/* Those that a virtio device has. */
static void says_which_lines_are_level_triggered(void **state)
{
    (void)state;
    (void)build(1);
    rig.board.devices[rig.board.devices_count++] =
        (struct stasis_board_device_state){"stasis.virtio_blk", "a", 1, 1, 0xd0002000, 0x1000, 10};
    rig.board.devices[rig.board.devices_count++] =
        (struct stasis_board_device_state){"stasis.virtio_net", "b", 1, 1, 0xd0003000, 0x1000, 18};
    assert_int_equal(stasis_mptable_build(&rig.board, GPA, bytes, sizeof(bytes), &rig.err), 0);
    for (uint32_t pin = 0; pin < 24; pin++)
        assert_int_equal(le(bytes + 16 + 44 + 20 + 8 + 8 + (size_t)pin * 8 + 2, 2),
                         pin == 10 || pin == 18 ? 0x0d : 0);
}

static void bounds(void **state)
{
    size_t need;
    int rc;

    (void)state;
    need = 16 + le(build(2) + 4, 2);
    memset(bytes, 0xaa, sizeof(bytes));
    assert_int_equal(stasis_mptable_build(&rig.board, GPA, bytes, need, &rig.err), 0);
    rc = stasis_mptable_build(&rig.board, GPA, bytes, need - 1, &rig.err);
    boot_rig_assert_error(&rig, rc, STASIS_ERR_FULL, "MPTable", "bytes");
    for (uint32_t vcpus = 0; vcpus < 300; vcpus += 255) {
        rig.board.vcpus = vcpus;
        rc = stasis_mptable_build(&rig.board, GPA, bytes, sizeof(bytes), &rig.err);
        boot_rig_assert_error(&rig, rc, STASIS_ERR_ARG, "vCPUs", "1 to 254");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_every_processor_and_line),
        cmocka_unit_test(says_which_lines_are_level_triggered),
        cmocka_unit_test(bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
