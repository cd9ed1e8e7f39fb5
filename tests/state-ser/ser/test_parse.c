/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "random_state.h"
#include "sample.h"
#include "stasis/ser.h"
#include "stasis/state.h"

struct section {
    uint8_t *bytes;
    size_t len;
};

/* Adds a random record whose fields take less than max_len bytes. */
static void add_short(struct stasis_records *set, uint64_t *seed,
                      const struct stasis_schema *schema, size_t max_len)
{
    void *state = malloc(schema->size);
    size_t len;

    do {
        struct stasis_records *one = stasis_records_new();

        random_state(seed, schema, state);
        assert_int_equal(stasis_records_add(one, schema, "a", state, NULL), 0);
        len = stasis_records_at(one, 0).fields_len;
        stasis_records_free(one);
    } while (len >= max_len);
    assert_int_equal(stasis_records_add(set, schema, "a", state, NULL), 0);
    free(state);
}

/* One record of every type there is, and an optional one of a type that parse does not know. */
static struct section make_section(uint64_t seed)
{
    struct stasis_records *set = stasis_records_new();
    const struct stasis_schema *const *all;
    struct stasis_sample_state sample;
    struct section section;
    size_t count;

    all = stasis_schema_all(&count);
    for (size_t i = 0; i < count; i++)
        add_short(set, &seed, all[i], 800);
    sample_fill(&sample);
    assert_int_equal(stasis_records_add(set, &stasis_sample_schema, "a", &sample, NULL), 0);
    assert_int_equal(stasis_records_encode(set, &section.bytes, &section.len, NULL), 0);
    stasis_records_free(set);
    return section;
}

/* The set once more, from decoded states alone (a record of unknown type through the schema that
 * only the test has): what it packs to is the one spelling of these states. */
static struct section encode_again(const struct stasis_records *set)
{
    struct stasis_records *again = stasis_records_new();
    struct section section;

    for (size_t i = 0; i < stasis_records_count(set); i++) {
        struct stasis_record record = stasis_records_at(set, i);
        const struct stasis_schema *schema = record.schema ? record.schema : &stasis_sample_schema;
        void *state = malloc(schema->size);

        assert_int_equal(stasis_records_get(set, schema, record.instance, state, NULL), 0);
        assert_int_equal(stasis_records_add(again, schema, record.instance, state, NULL), 0);
        free(state);
    }
    assert_int_equal(stasis_records_encode(again, &section.bytes, &section.len, NULL), 0);
    stasis_records_free(again);
    return section;
}

/* What another reader and writer of msgpack makes of the same bytes. */
static void assert_msgpack_agrees(const uint8_t *bytes, size_t len)
{
    msgpack_unpacked unpacked;
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    size_t off = 0;

    msgpack_unpacked_init(&unpacked);
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)bytes, len, &off),
                     MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(off, len);
    assert_int_equal(msgpack_pack_object(&packer, unpacked.data), 0);
    assert_int_equal(buffer.size, len);
    assert_memory_equal(buffer.data, bytes, len);
    msgpack_sbuffer_destroy(&buffer);
    msgpack_unpacked_destroy(&unpacked);
}

static bool knows_all(const struct stasis_records *set)
{
    for (size_t i = 0; i < stasis_records_count(set); i++) {
        struct stasis_record record = stasis_records_at(set, i);

        if (!record.schema && strcmp(record.type, stasis_sample_schema.type) != 0)
            return false;
    }
    return true;
}

/* Returns whether the bytes were accepted. What is accepted has no second spelling. */
static bool assert_refused_or_canonical(const uint8_t *bytes, size_t len)
{
    struct stasis_sample_state sample;
    struct stasis_records *set;
    struct section packed;

    if (stasis_records_parse(bytes, len, NULL, &set, NULL))
        return false;
    assert_int_equal(stasis_records_encode(set, &packed.bytes, &packed.len, NULL), 0);
    assert_int_equal(packed.len, len);
    assert_memory_equal(packed.bytes, bytes, len);
    free(packed.bytes);
    assert_msgpack_agrees(bytes, len);
    /* parse does not know the sample's bounds, so a flip may have left them. */
    if (knows_all(set) &&
        stasis_records_get(set, &stasis_sample_schema, NULL, &sample, NULL) == 0) {
        packed = encode_again(set);
        assert_int_equal(packed.len, len);
        assert_memory_equal(packed.bytes, bytes, len);
        free(packed.bytes);
    }
    stasis_records_free(set);
    return true;
}

static void test_every_prefix_is_refused(void **unused)
{
    struct section section = make_section(1);

    (void)unused;
    for (size_t len = 0; len < section.len; len++) {
        struct stasis_records *set = NULL;
        uint8_t *copy = malloc(len ? len : 1); /* of its own: a sanitizer sees an overrun */

        memcpy(copy, section.bytes, len);
        assert_int_equal(stasis_records_parse(copy, len, NULL, &set, NULL), STASIS_ERR_CORRUPT);
        assert_null(set);
        free(copy);
    }
    assert_true(assert_refused_or_canonical(section.bytes, section.len));
    free(section.bytes);
}

/* A big-endian machine is an emulated one, and tries every seventh. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BIT_STEP 7
#else
#define BIT_STEP 1
#endif

static void test_every_bit_flip_is_refused_or_canonical(void **unused)
{
    struct section section = make_section(2);
    size_t accepted = 0, tried = 0;

    (void)unused;
    for (size_t bit = 0; bit < 8 * section.len; bit += BIT_STEP) {
        tried++;
        section.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        accepted += assert_refused_or_canonical(section.bytes, section.len);
        section.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* Values may change, so a good part must have been accepted, or this test tested nothing. */
    assert_in_range(accepted, tried / 8, 7 * (tried / 8));
    free(section.bytes);
}

struct refusal {
    const char *bytes;
    size_t len;
    int code;
    const char *message;
};
#define REFUSAL(literal, code, message)                                                            \
    {                                                                                              \
        literal, sizeof(literal) - 1, STASIS_ERR_##code, message                                   \
    }
#define TSC(instance, khz) "\x95\xa7x86.tsc\xa1" instance "\x01\x00\x81\x01" khz

static void test_refusals(void **unused)
{
    static const struct refusal cases[] = {
        REFUSAL("", CORRUPT, "state section: cut off"),
        REFUSAL("\x90\x00", CORRUPT, "state section: bytes behind the last record"),
        REFUSAL("\x91" TSC("a", "\x05") "\xc0", CORRUPT,
                "state section: bytes behind the last record"),
        REFUSAL("\x80", CORRUPT, "state section: not of the type the format asks for"),
        REFUSAL("\xdd\x10\x00\x00\x00", CORRUPT, "state section: more elements than bytes left"),
        REFUSAL("\xdc\x00\x00", CORRUPT, "state section: not in its shortest form"),
        REFUSAL("\x91\x94\xa7x86.tsc\xa1"
                "a\x01\x00",
                CORRUPT, "state section, record 0: a record must have 5 parts"),
        REFUSAL("\x91\x95\xa7x86.tsC\xa1"
                "a\x01\x00\x81\x01\x05",
                CORRUPT, "state section, record 0: a name must be 1 to 32 of a-z 0-9 . _ -"),
        REFUSAL("\x91\x95\xa7x86.tsc\xa0\x01\x00\x81\x01\x05", CORRUPT,
                "state section, record 0: a name must be 1 to 32 of a-z 0-9 . _ -"),
        REFUSAL("\x91\x95\xa7x86.tsc\xd9\x21"
                "abcdefghijabcdefghijabcdefghijabc\x01\x00\x81\x01\x05",
                CORRUPT, "state section, record 0: a name must be 1 to 32 of a-z 0-9 . _ -"),
        REFUSAL("\x91\x95\xa7x86.tsc\xa1"
                "a\x00\x00\x81\x01\x05",
                CORRUPT, "state section, record 0: a record's version must be 1 to 65535"),
        REFUSAL("\x91\x95\xa7x86.tsc\xa1"
                "a\xce\x00\x01\x00\x00\x00\x81\x01\x05",
                CORRUPT, "state section, record 0: a record's version must be 1 to 65535"),
        REFUSAL("\x91\x95\xa7x86.tsc\xa1"
                "a\x02\x00\x81\x01\x05",
                VERSION,
                "record x86.tsc a has version 2, this release reads up to 1: use the program "
                "that wrote it"),
        REFUSAL("\x91\x95\xa7x86.tsc\xa1"
                "a\x01\x02\x81\x01\x05",
                VERSION,
                "record x86.tsc a has flags 0x2 that this release does not know: use the "
                "program that wrote it"),
        REFUSAL("\x91\x95\xa7x86.tsc\xa1"
                "a\x01\x01\x81\x01\x05",
                CORRUPT, "record x86.tsc a: optional must be 0"),
        REFUSAL("\x91\x95\xa7x86.new\xa1"
                "a\x01\x00\x81\x01\x05",
                VERSION,
                "record x86.new a is of a type that this release does not know: use the "
                "program that wrote it"),
        REFUSAL("\x92" TSC("b", "\x05") TSC("a", "\x05"), CORRUPT,
                "record x86.tsc a does not sort after x86.tsc b"),
        REFUSAL("\x92" TSC("a", "\x05") TSC("a", "\x05"), CORRUPT,
                "record x86.tsc a does not sort after x86.tsc a"),
        REFUSAL("\x92" TSC("a", "\x05") "\x95\xa7x86.ts-\xa1"
                                        "b\x01\x01\x80",
                CORRUPT, "record x86.ts- b does not sort after x86.tsc a"),
        REFUSAL("\x91" TSC("a", "\x00"), CORRUPT, "record x86.tsc a: khz is 0"),
        REFUSAL("\x91\x95\xa7x86.new\xa1"
                "a\x01\x01\x81\x00\x05",
                CORRUPT, "record x86.new a: field ids are not ascending from 1"),
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_records *set = NULL;
        struct stasis_error err = {0};

        assert_int_equal(
            stasis_records_parse((const uint8_t *)cases[i].bytes, cases[i].len, NULL, &set, &err),
            cases[i].code);
        assert_string_equal(err.msg, cases[i].message);
        assert_null(set);
    }
}

static void test_limits(void **unused)
{
    uint8_t *bytes = calloc(1, STASIS_STATE_MAX + 1);
    struct stasis_records *set = NULL;
    struct stasis_error err = {0};

    (void)unused;
    bytes[0] = 0x90;
    assert_int_equal(stasis_records_parse(bytes, STASIS_STATE_MAX + 1, NULL, &set, &err),
                     STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "state section: 16777217 bytes, at most 16777216");
    bytes[0] = 0xdc; /* array of 0x1001 */
    bytes[1] = 0x10;
    bytes[2] = 0x01;
    assert_int_equal(stasis_records_parse(bytes, STASIS_STATE_MAX, NULL, &set, &err),
                     STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "state section: 4097 records, at most 4096");
    free(bytes);
}

static void test_unknown_optional_record_is_kept(void **unused)
{
    struct stasis_sample_state want, got;
    struct stasis_records *set;
    struct section packed;

    (void)unused;
    assert_int_equal(stasis_records_parse(sample_section, sample_section_len, NULL, &set, NULL), 0);
    assert_int_equal(stasis_records_count(set), 1);
    assert_null(stasis_records_at(set, 0).schema);
    assert_true(stasis_records_at(set, 0).optional);
    assert_int_equal(stasis_records_at(set, 0).version, 2);
    assert_int_equal(stasis_records_at(set, 0).fields_len, sample_section_len - sample_fields_at);
    assert_int_equal(stasis_records_encode(set, &packed.bytes, &packed.len, NULL), 0);
    assert_int_equal(packed.len, sample_section_len);
    assert_memory_equal(packed.bytes, sample_section, packed.len);
    /* One who does know the type can read it. */
    sample_fill(&want);
    assert_int_equal(stasis_records_get(set, &stasis_sample_schema, "a", &got, NULL), 0);
    assert_memory_equal(&got, &want, sizeof(want));
    free(packed.bytes);
    stasis_records_free(set);
}

static void test_types_of_the_caller_are_known(void **unused)
{
    static const struct stasis_schema *const schemas[] = {&stasis_sample_schema};
    struct stasis_parse_opts opts = {.size = sizeof(opts), .schemas = schemas, .schema_count = 1};
    struct stasis_records *set = NULL;
    struct stasis_error err = {0};
    uint8_t *bytes = malloc(sample_section_len);

    (void)unused;
    assert_int_equal(stasis_records_parse(sample_section, sample_section_len, &opts, &set, &err),
                     0);
    assert_ptr_equal(stasis_records_at(set, 0).schema, &stasis_sample_schema);
    stasis_records_free(set);
    set = NULL;
    memcpy(bytes, sample_section, sample_section_len);
    bytes[sample_fields_at] = 0x88; /* eight fields */
    assert_int_equal(stasis_records_parse(bytes, sample_section_len, &opts, &set, &err),
                     STASIS_ERR_CORRUPT);
    assert_null(set);
    opts.size--;
    assert_int_equal(stasis_records_parse(sample_section, sample_section_len, &opts, &set, &err),
                     STASIS_ERR_ARG);
    free(bytes);
}

static void test_tolerant_keeps_what_it_cannot_read(void **unused)
{
    static const char mandatory[] = "\x91\x95\xa7x86.new\xa1"
                                    "a\x01\x00\x81\x01\x05";
    static const char newer[] = "\x91\x95\xa7x86.tsc\xa1"
                                "a\x07\x00\x81\x01\x05";
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .tolerant = true};
    const char *const kept[] = {mandatory, newer};
    const size_t lens[] = {sizeof(mandatory) - 1, sizeof(newer) - 1};
    struct stasis_records *set = NULL;

    (void)unused;
    for (int i = 0; i < 2; i++) {
        const uint8_t *bytes = (const uint8_t *)kept[i];

        assert_int_equal(stasis_records_parse(bytes, lens[i], NULL, &set, NULL),
                         STASIS_ERR_VERSION);
        assert_int_equal(stasis_records_parse(bytes, lens[i], &opts, &set, NULL), 0);
        assert_null(stasis_records_at(set, 0).schema);
        assert_false(stasis_records_at(set, 0).optional);
        stasis_records_free(set);
        set = NULL;
    }
}

/* What a tolerant parse refuses has the verdict of a strict one: the first fault decides. */
static void test_tolerant_refuses_as_strict_does(void **unused)
{
    static const struct {
        const char *bytes;
        size_t len;
        int rc;
    } rows[] = {
#define ROW(bytes, rc) {bytes, sizeof(bytes) - 1, rc}
        /* an unknown mandatory type or a newer version: key 0, nil, a corrupt record behind it */
        ROW("\x91\x95\xa7x86.new\xa1"
            "a\x01\x00\x81\x00\x05",
            STASIS_ERR_VERSION),
        ROW("\x91\x95\xa7x86.tsc\xa1"
            "a\x07\x00\xc0",
            STASIS_ERR_VERSION),
        ROW("\x92\x95\xa7x86.new\xa1"
            "a\x01\x00\x81\x01\x05\xc0",
            STASIS_ERR_VERSION),
        /* the same in an optional record, which every reader reads */
        ROW("\x91\x95\xa7x86.new\xa1"
            "a\x01\x01\x81\x00\x05",
            STASIS_ERR_CORRUPT),
        /* a newer version with a flag that its type does not have */
        ROW("\x91\x95\xa7x86.tsc\xa1"
            "a\x07\x01\x81\x01\x05",
            STASIS_ERR_CORRUPT),
#undef ROW
    };
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .tolerant = true};
    struct stasis_records *set = NULL;

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint8_t *bytes = (const uint8_t *)rows[i].bytes;

        assert_int_equal(stasis_records_parse(bytes, rows[i].len, &opts, &set, NULL), rows[i].rc);
        assert_int_equal(stasis_records_parse(bytes, rows[i].len, NULL, &set, NULL), rows[i].rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_every_bit_flip_is_refused_or_canonical),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_unknown_optional_record_is_kept),
        cmocka_unit_test(test_types_of_the_caller_are_known),
        cmocka_unit_test(test_tolerant_keeps_what_it_cannot_read),
        cmocka_unit_test(test_tolerant_refuses_as_strict_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
