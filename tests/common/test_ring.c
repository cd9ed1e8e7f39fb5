/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <string.h>

#include "common/ring.h"

static void header_is_text_of_128_bytes(void **state)
{
    static const char start[] = "STASIS-RING 1\nsize 00000000000001048576\n"
                                "total 00000000000000000042\n";
    const struct stasis_ring ring = {.size = 1 << 20, .total = 42};
    uint8_t header[STASIS_RING_HEADER_LEN];

    (void)state;
    stasis_ring_header_write(&ring, header);
    assert_memory_equal(header, start, sizeof(start) - 1);
    for (size_t i = sizeof(start) - 1; i < STASIS_RING_HEADER_LEN - 1; i++)
        assert_int_equal(header[i], ' ');
    assert_int_equal(header[STASIS_RING_HEADER_LEN - 1], '\n');
}

static void header_reads_back(void **state)
{
    static const struct stasis_ring rows[] = {
        {1, 0}, {8, 8}, {STASIS_RING_SIZE_MAX, UINT64_MAX}, {UINT64_MAX, 1}, {0, 0}};
    uint8_t header[STASIS_RING_HEADER_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stasis_ring found = {3, 3};

        stasis_ring_header_write(&rows[i], header);
        assert_true(stasis_ring_header_read(header, &found));
        assert_int_equal(found.size, rows[i].size);
        assert_int_equal(found.total, rows[i].total);
    }
}

/* Numbers that strtoull() takes and we never write, too: a sign, a space, a missing zero. */
static void nothing_else_is_a_header(void **state)
{
    static const char others[] = "~ +-\n9";
    const struct stasis_ring ring = {.size = 8, .total = 10};
    uint8_t header[STASIS_RING_HEADER_LEN];

    (void)state;
    for (size_t at = 0; at < STASIS_RING_HEADER_LEN; at++) {
        for (size_t i = 0; i < sizeof(others) - 1; i++) {
            struct stasis_ring found = {3, 3};
            uint8_t before;

            stasis_ring_header_write(&ring, header);
            before = header[at];
            header[at] = (uint8_t)others[i];
            if (header[at] == before || stasis_ring_header_read(header, &found)) {
                /* a 9 among digits is another ring, which no header can tell */
                assert_true(header[at] == before || others[i] == '9');
                continue;
            }
            assert_int_equal(found.size, 3);
        }
    }
}

static void bytes_lie_where_their_number_says(void **state)
{
    static const struct {
        struct stasis_ring ring;
        uint64_t oldest, offset, room; /* of the oldest byte */
    } rows[] = {{{8, 0}, 0, 128, 8}, {{8, 3}, 0, 128, 8},   {{8, 8}, 0, 128, 8},
                {{8, 9}, 1, 129, 7}, {{8, 15}, 7, 135, 1},  {{8, 16}, 8, 128, 8},
                {{1, 5}, 4, 128, 1}, {{10, 25}, 15, 133, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t room = 0;

        assert_int_equal(stasis_ring_oldest(&rows[i].ring), rows[i].oldest);
        assert_int_equal(stasis_ring_offset(&rows[i].ring, rows[i].oldest, &room), rows[i].offset);
        assert_int_equal(room, rows[i].room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_text_of_128_bytes),
        cmocka_unit_test(header_reads_back),
        cmocka_unit_test(nothing_else_is_a_header),
        cmocka_unit_test(bytes_lie_where_their_number_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
