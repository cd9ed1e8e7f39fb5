/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <msgpack.h>
#include <string.h>

#include "state-ser/ser/reader.h"

static const uint64_t edges[] = {
    0,          1,
    0x7f,       0x80,
    0xff,       0x100,
    0xffff,     0x10000,
    UINT32_MAX, UINT64_C(1) << 32,
    INT64_MAX,  UINT64_C(1) << 63,
    UINT64_MAX,
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

static struct stasis_reader reader_on(const void *bytes, size_t len)
{
    struct stasis_reader reader;

    stasis_reader_init(&reader, bytes, len);
    return reader;
}

static void test_uint_is_what_msgpack_packs(void **state)
{
    (void)state;
    for (size_t i = 0; i < EDGES; i++) {
        struct stasis_reader reader;
        msgpack_sbuffer buffer;
        msgpack_packer packer;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        msgpack_pack_uint64(&packer, edges[i]);
        for (size_t len = 0; len < buffer.size; len++) {
            reader = reader_on(buffer.data, len);
            assert_int_equal(stasis_reader_uint(&reader), 0);
            assert_string_equal(reader.fault, "cut off");
        }
        reader = reader_on(buffer.data, buffer.size);
        assert_true(stasis_reader_uint(&reader) == edges[i]);
        assert_null(reader.fault);
        assert_ptr_equal(reader.pos, reader.end);
        msgpack_sbuffer_destroy(&buffer);
    }
}

static void test_int_is_what_msgpack_packs(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * EDGES; i++) {
        int64_t value = (int64_t)(i & 1 ? ~edges[i / 2] : edges[i / 2]);
        struct stasis_reader reader;
        msgpack_sbuffer buffer;
        msgpack_packer packer;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        msgpack_pack_int64(&packer, value);
        reader = reader_on(buffer.data, buffer.size);
        assert_true(stasis_reader_int(&reader) == value);
        assert_null(reader.fault);
        assert_ptr_equal(reader.pos, reader.end);
        reader = reader_on(buffer.data, buffer.size - 1);
        assert_int_equal(stasis_reader_int(&reader), 0);
        assert_string_equal(reader.fault, "cut off");
        msgpack_sbuffer_destroy(&buffer);
    }
}

struct bad {
    const char *bytes;
    size_t len;
    const char *fault;
};
#define BAD(literal, why)                                                                          \
    {                                                                                              \
        literal, sizeof(literal) - 1, why                                                          \
    }
#define OVERLONG "not in its shortest form"
#define TYPE     "not of the type the format asks for"
#define BOMB     "more elements than bytes left"

static void test_overlong_uints(void **state)
{
    static const struct bad cases[] = {
        BAD("\xcc\x7f", OVERLONG),
        BAD("\xcd\x00\xff", OVERLONG),
        BAD("\xce\x00\x00\xff\xff", OVERLONG),
        BAD("\xcf\x00\x00\x00\x00\xff\xff\xff\xff", OVERLONG),
        BAD("\xff", TYPE),
        BAD("\xd0\x7f", TYPE),
        BAD("\xc0", TYPE),
        BAD("\xc3", TYPE),
        BAD("\xca\x00\x00\x00\x00", TYPE),
        BAD("\xa0", TYPE),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_reader reader = reader_on(cases[i].bytes, cases[i].len);

        assert_int_equal(stasis_reader_uint(&reader), 0);
        assert_string_equal(reader.fault, cases[i].fault);
        assert_ptr_equal(reader.pos, reader.end);
    }
}

static void test_overlong_ints(void **state)
{
    static const struct bad cases[] = {
        BAD("\xd0\x05", OVERLONG),
        BAD("\xd0\xe0", OVERLONG),
        BAD("\xd1\xff\x80", OVERLONG),
        BAD("\xd1\x01\x00", OVERLONG),
        BAD("\xd2\xff\xff\x80\x00", OVERLONG),
        BAD("\xd3\xff\xff\xff\xff\x80\x00\x00\x00", OVERLONG),
        BAD("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", OVERLONG),
        BAD("\xcf\x80\x00\x00\x00\x00\x00\x00\x00", "larger than a signed integer"),
        BAD("\xcc\x7f", OVERLONG),
        BAD("\xd1\xff", "cut off"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_reader reader = reader_on(cases[i].bytes, cases[i].len);

        assert_int_equal(stasis_reader_int(&reader), 0);
        assert_string_equal(reader.fault, cases[i].fault);
    }
}

static void test_bytes(void **state)
{
    static const struct bad cases[] = {
        BAD("\xd9\x01x", OVERLONG),
        BAD("\xda\x00\x20x", OVERLONG),
        BAD("\xdb\x00\x00\x00\xffx", OVERLONG),
        BAD("\xa2x", "cut off"),
        BAD("\xdb\xff\xff\xff\xffx", "cut off"),
        BAD("\xc4\x00", TYPE),
        BAD("\xd9", "cut off"),
    };
    struct stasis_reader reader = reader_on("\xa2hi\xc4\x01!", 6);
    const uint8_t *bytes;
    const char *str;

    (void)state;
    assert_int_equal(stasis_reader_str(&reader, &str), 2);
    assert_memory_equal(str, "hi", 2);
    assert_int_equal(stasis_reader_bin(&reader, &bytes), 1);
    assert_int_equal(*bytes, '!');
    assert_null(reader.fault);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        reader = reader_on(cases[i].bytes, cases[i].len);
        assert_int_equal(stasis_reader_str(&reader, &str), 0);
        assert_null(str);
        assert_string_equal(reader.fault, cases[i].fault);
    }
    reader = reader_on("\xc5\x00\x01x", 4);
    assert_int_equal(stasis_reader_bin(&reader, &bytes), 0);
    assert_string_equal(reader.fault, OVERLONG);
}

static void test_counts(void **state)
{
    static const struct bad arrays[] = {
        BAD("\xdd\x10\x00\x00\x00", BOMB),
        BAD("\xdd\xff\xff\xff\xff", BOMB),
        BAD("\x92\x01", BOMB),
        BAD("\xdc\x00\x0f", OVERLONG),
        BAD("\xdd\x00\x00\xff\xff", OVERLONG),
        BAD("\x80", TYPE),
    };
    static const struct bad maps[] = {
        BAD("\xdf\x10\x00\x00\x00", BOMB),
        BAD("\x81\x01", BOMB),
        BAD("\xde\x00\x0f", OVERLONG),
        BAD("\x90", TYPE),
    };
    struct stasis_reader reader = reader_on("\x92\x81\x01\x02", 4);

    (void)state;
    assert_int_equal(stasis_reader_array(&reader), 2);
    assert_int_equal(stasis_reader_map(&reader), 1);
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        reader = reader_on(arrays[i].bytes, arrays[i].len);
        assert_int_equal(stasis_reader_array(&reader), 0);
        assert_string_equal(reader.fault, arrays[i].fault);
    }
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        reader = reader_on(maps[i].bytes, maps[i].len);
        assert_int_equal(stasis_reader_map(&reader), 0);
        assert_string_equal(reader.fault, maps[i].fault);
    }
}

/* Against msgpack's own idea of each first byte. */
static void test_peek(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t first = (uint8_t)byte;
        struct stasis_reader reader = reader_on(&first, 1);
        enum stasis_wire want = STASIS_WIRE_OTHER;

        if (byte < 0x80 || (byte >= 0xcc && byte <= 0xcf))
            want = STASIS_WIRE_UINT;
        else if (byte < 0x90 || byte == 0xde || byte == 0xdf)
            want = STASIS_WIRE_MAP;
        else if (byte < 0xa0 || byte == 0xdc || byte == 0xdd)
            want = STASIS_WIRE_ARRAY;
        else if (byte < 0xc0 || (byte >= 0xd9 && byte <= 0xdb))
            want = STASIS_WIRE_STR;
        else if (byte >= 0xc4 && byte <= 0xc6)
            want = STASIS_WIRE_BIN;
        else if (byte >= 0xe0 || (byte >= 0xd0 && byte <= 0xd3))
            want = STASIS_WIRE_NEGATIVE;
        assert_int_equal(stasis_reader_peek(&reader), want);
        reader = reader_on(&first, 0);
        assert_int_equal(stasis_reader_peek(&reader), STASIS_WIRE_END);
    }
}

static void test_first_fault_sticks(void **state)
{
    struct stasis_reader reader = reader_on("\xc0\x01\x02", 3);

    (void)state;
    assert_int_equal(stasis_reader_uint(&reader), 0);
    assert_int_equal(stasis_reader_uint(&reader), 0);
    assert_int_equal(stasis_reader_array(&reader), 0);
    assert_string_equal(reader.fault, TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uint_is_what_msgpack_packs),
        cmocka_unit_test(test_int_is_what_msgpack_packs),
        cmocka_unit_test(test_overlong_uints),
        cmocka_unit_test(test_overlong_ints),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_peek),
        cmocka_unit_test(test_first_fault_sticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
