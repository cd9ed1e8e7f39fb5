/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>
#include <endian.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/field.h"
#include "stasis/state.h"

static const struct stasis_field *find(const struct stasis_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!strcmp(schema->fields[i].name, name))
            return &schema->fields[i];
    }
    fail_msg("no field %s", name);
    return NULL;
}

/* One byte each of all widths, with a neighbour on both sides that must not change. */
static void integers_of_every_width(void **state)
{
    static const uint32_t sizes[] = {1, 2, 4, 8};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct stasis_field field = {.kind = STASIS_KIND_INTS, .elem_size = sizes[i], .offset = 3};
        uint64_t value = UINT64_C(0x8877665544332211), all = UINT64_MAX >> (64 - 8 * sizes[i]);
        uint64_t big_endian = htobe64(value << (64 - 8 * sizes[i]));
        uint64_t little_endian = htole64(value);
        const void *expected = htole16(1) == 1 ? &little_endian : &big_endian;
        uint8_t bytes[3 + 3 * 8 + 1];

        memset(bytes, 0xee, sizeof(bytes));
        stasis_field_set_int(&field, bytes, 1, value);
        assert_int_equal(stasis_field_get_int(&field, bytes, 1), value & all);
        assert_memory_equal(bytes + 3 + sizes[i], expected, sizes[i]);
        assert_int_equal(stasis_field_get_int(&field, bytes, 0), 0xeeeeeeeeeeeeeeee & all);
        assert_int_equal(stasis_field_get_int(&field, bytes, 2), 0xeeeeeeeeeeeeeeee & all);
    }
}

/* The values of a signed integer at the ends of its range, and one beyond each. */
static void signed_integers_of_every_width(void **state)
{
    static const uint32_t sizes[] = {1, 2, 4, 8};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct stasis_field field = {.elem_size = sizes[i], .is_signed = true, .offset = 1};
        int64_t most = INT64_MAX >> (64 - 8 * sizes[i]), least = -most - 1;
        const int64_t values[] = {0, 1, -1, most, least};
        uint8_t bytes[10] = {0};

        for (size_t v = 0; v < 5; v++) {
            stasis_field_set_int(&field, bytes, 0, (uint64_t)values[v]);
            assert_true((int64_t)stasis_field_get_int(&field, bytes, 0) == values[v]);
            assert_true(stasis_field_fits(&field, (uint64_t)values[v]));
        }
        assert_int_equal(bytes[0], 0);
        assert_int_equal(bytes[1 + sizes[i]], 0);
        assert_int_equal(stasis_field_fits(&field, (uint64_t)most + 1), sizes[i] == 8);
        assert_int_equal(stasis_field_fits(&field, (uint64_t)least - 1), sizes[i] == 8);
        field.is_signed = false;
        assert_int_equal(stasis_field_get_int(&field, bytes, 0), (uint64_t)most + 1);
        assert_true(stasis_field_fits(&field, UINT64_MAX >> (64 - 8 * sizes[i])));
        assert_int_equal(stasis_field_fits(&field, UINT64_MAX), sizes[i] == 8);
        assert_int_equal(
            stasis_field_fits(&field, (UINT64_MAX >> (64 - 8 * sizes[i])) + (sizes[i] < 8)),
            sizes[i] == 8);
    }
}

static void counts_of_every_width(void **state)
{
    static const uint8_t sizes[] = {0, 1, 2, 4, 8};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct stasis_field field = {
            .kind = STASIS_KIND_LIST, .count_size = sizes[i], .count_offset = 1, .max = 7};
        size_t size = sizes[i] ? sizes[i] : 4;
        uint8_t bytes[10];

        memset(bytes, 0xff, sizeof(bytes));
        assert_int_equal(stasis_field_get_count(&field, bytes),
                         size == 8 ? UINT32_MAX : UINT64_MAX >> (64 - 8 * size));
        stasis_field_set_count(&field, bytes, 5);
        assert_int_equal(stasis_field_get_count(&field, bytes), 5);
        assert_int_equal(bytes[0], 0xff);
        assert_int_equal(bytes[1 + size], 0xff);
        field.is_fixed = true;
        stasis_field_set_count(&field, bytes, 3);
        assert_int_equal(stasis_field_get_count(&field, bytes), 7);
        field.is_fixed = false;
        assert_int_equal(stasis_field_get_count(&field, bytes), 5);
    }
}

static void a_field_is_in_the_struct_or_behind_its_pointer(void **state)
{
    struct {
        uint8_t before;
        void *pointer;
    } own = {.pointer = &own.before};
    struct stasis_field field = {.offset = (size_t)((uint8_t *)&own.pointer - &own.before)};

    (void)state;
    assert_ptr_equal(stasis_field_at(&field, &own), &own.pointer);
    field.is_pointer = true;
    assert_ptr_equal(stasis_field_at(&field, &own), &own.before);
    stasis_field_set_pointer(&field, &own, &field);
    assert_ptr_equal(own.pointer, &field);
}

static void members_of_real_states(void **state)
{
    struct stasis_serial_state serial;
    struct stasis_x86_ioapic_state ioapic;

    (void)state;
    stasis_state_init(&stasis_serial_schema, &serial);
    stasis_state_init(&stasis_x86_ioapic_schema, &ioapic);
    stasis_field_set_int(find(&stasis_serial_schema, "scr"), &serial, 0, 0x5a);
    assert_int_equal(serial.scr, 0x5a);
    stasis_field_set_count(find(&stasis_serial_schema, "rx_fifo"), &serial, 9);
    assert_int_equal(serial.rx_fifo_len, 9);
    serial.tx_fifo_len = 4;
    assert_int_equal(stasis_field_get_count(find(&stasis_serial_schema, "tx_fifo"), &serial), 4);
    stasis_field_set_int(find(&stasis_x86_ioapic_schema, "redirtbl"), &ioapic, 23, UINT64_MAX);
    assert_int_equal(ioapic.redirtbl[23], UINT64_MAX);
    assert_int_equal(ioapic.redirtbl[22], 0);
}

static void list_counts(void **state)
{
    static struct stasis_board_state board;

    (void)state;
    stasis_field_set_count(find(&stasis_board_schema, "ram"), &board, 2);
    assert_int_equal(board.ram_count, 2);
    assert_int_equal(stasis_field_get_count(find(&stasis_board_schema, "devices"), &board), 0);
}

/* Unicode 15, table 3-7, and its edges; and RFC 3629, section 10. */
static void utf8(void **state)
{
    static const struct {
        const char *bytes;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain ~", true},
        {"\x1f", false}, /* C0 controls */
        {"a\nb", false},
        {"a\tb", false},
        {"\x1b[31m", false},
        {"\x7f", false},
        {"\x80", false},
        {"\xbf", false},
        {"\xc2\x9f", false}, /* C1 controls drive terminals too */
        {"\xc2\x80", false},
        {"\xc2\xa0", true},
        {"\xc3\xa9", true},
        {"\xdf\xbf", true},
        {"\xc2", false},
        {"\xc2z", false},
        {"\xc0\xaf", false}, /* overlong */
        {"\xc1\xbf", false},
        {"\xe0\x80\xaf", false},
        {"\xe0\x9f\xbf", false},
        {"\xe0\xa0\x80", true},
        {"\xe2\x82\xac", true},
        {"\xe2\x82", false},
        {"\xe2\x82z", false},
        {"\xed\x9f\xbf", true},
        {"\xed\xa0\x80", false}, /* surrogates */
        {"\xed\xbf\xbf", false},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbd", true},
        {"\xf0\x80\x80\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf0\x90\x80\x80", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xf0\x9f\x98", false},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"ok\xe2\x82\xac ok\xfe", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (stasis_utf8_valid(cases[i].bytes, strlen(cases[i].bytes)) != cases[i].valid)
            fail_msg("case %zu: \"%s\"", i, cases[i].bytes);
    }
    assert_false(stasis_utf8_valid("a\0b", 3));
    assert_true(stasis_utf8_valid("a\xe2\x82\xac", 4));
}

static void characters_that_terminals_hide_are_known(void **state)
{
    static const uint32_t hidden[][2] = {
        {0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    size_t i = 0;

    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (i < sizeof(hidden) / sizeof(hidden[0]) && code > hidden[i][1])
            i++;
        if (stasis_char_shown(code) !=
            (i == sizeof(hidden) / sizeof(hidden[0]) || code < hidden[i][0]))
            fail_msg("U+%04x", code);
    }
}

static void decodes(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint32_t code;
    } cases[] = {
        {"\n", 1, 0xa},
        {"a", 1, 'a'},
        {"\x7f", 1, 0x7f},
        {"\xc2\x80", 2, 0x80},
        {"\xdf\xbf", 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 0x800},
        {"\xef\xbf\xbf", 3, 0xffff},
        {"\xf0\x90\x80\x80", 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    };
    uint32_t code = 77;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(stasis_utf8_decode(cases[i].bytes, strlen(cases[i].bytes), &code),
                         cases[i].len);
        assert_int_equal(code, cases[i].code);
    }
    code = 77;
    assert_int_equal(stasis_utf8_decode("a", 0, &code), 0);
    assert_int_equal(stasis_utf8_decode("\x80", 1, &code), 0);
    assert_int_equal(stasis_utf8_decode("\xe2\x82", 2, &code), 0);
    assert_int_equal(code, 77);
}

/* Blocks of exactly the length, so that AddressSanitizer sees any look beyond it. */
static void utf8_ends_at_its_length(void **state)
{
    static const char whole[] = "a\xe2\x82\xac\xf0\x9f\x98\x80";
    static const bool valid[] = {true, true, false, false, true, false, false, false, true};

    (void)state;
    for (size_t len = 1; len < sizeof(whole); len++) {
        char *block = malloc(len);

        assert_non_null(block);
        memcpy(block, whole, len);
        assert_int_equal(stasis_utf8_valid(block, len), valid[len]);
        free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width),
        cmocka_unit_test(signed_integers_of_every_width),
        cmocka_unit_test(counts_of_every_width),
        cmocka_unit_test(a_field_is_in_the_struct_or_behind_its_pointer),
        cmocka_unit_test(members_of_real_states),
        cmocka_unit_test(list_counts),
        cmocka_unit_test(utf8),
        cmocka_unit_test(utf8_ends_at_its_length),
        cmocka_unit_test(characters_that_terminals_hide_are_known),
        cmocka_unit_test(decodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
