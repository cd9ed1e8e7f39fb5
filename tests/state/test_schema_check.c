/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One fault at a time, in a table that is otherwise good.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/bind.h"
#include "stasis/state.h"

struct part {
    uint32_t at;
};

struct device {
    uint8_t level;
    uint16_t words[4];
    uint8_t bytes[8];
    char label[6];
    struct part part;
    struct part parts[2];
    uint32_t byte_count;
    uint32_t part_count;
    int64_t offset;
};

static struct stasis_field part_fields[1];
static struct stasis_schema part_schema;
static struct stasis_field fields[7];
static struct stasis_old_bound past[3];
static struct stasis_migration migrations[3];
static struct stasis_schema schema;
static struct stasis_error err;

static const struct stasis_field good_part_fields[] = {
    STASIS_BIND_INT(struct part, at, 1, 1, 0, 0xff, "where"),
};
static const struct stasis_field good_fields[] = {
    STASIS_BIND_INT(struct device, level, 1, 1, 3, 0x7f, "level"),
    STASIS_BIND_INTS(struct device, words, 2, 2, 0xffff, "words"),
    STASIS_BIND_BUF(struct device, bytes, byte_count, 3, 1, 4, "bytes"),
    STASIS_BIND_STR(struct device, label, 4, STASIS_REMOVED(1, 3), "none", "label"),
    STASIS_BIND_STRUCT(struct device, part, 5, 1, part_schema, "part"),
    STASIS_BIND_LIST(struct device, parts, part_count, 6, 1, part_schema, "parts"),
    STASIS_BIND_INT(struct device, offset, 7, 3, -1, -1, "offset"),
};

static int setup(void **state)
{
    (void)state;
    memset(&err, 0, sizeof(err));
    memcpy(fields, good_fields, sizeof(fields));
    memcpy(part_fields, good_part_fields, sizeof(part_fields));
    memset(past, 0, sizeof(past));
    past[0] = (struct stasis_old_bound){.before = 2, .id = 1, .bound = 0x0f};
    past[1] = (struct stasis_old_bound){.before = 3, .id = 1, .bound = 0x1f};
    memset(migrations, 0, sizeof(migrations));
    migrations[0].to = 2;
    migrations[1].to = 3;
    part_schema = (struct stasis_schema){.type = "part",
                                         .version = 1,
                                         STASIS_BIND_FIELDS(struct part, part_fields),
                                         .doc = "a part"};
    schema = (struct stasis_schema){.type = "test.device",
                                    .version = 3,
                                    STASIS_BIND_FIELDS(struct device, fields),
                                    .history = past,
                                    .migrations = migrations,
                                    .doc = "a device"};
    return 0;
}

static void assert_refused(const char *text)
{
    assert_int_equal(stasis_schema_check(&schema, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, text))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, text);
    setup(NULL);
}

static void good_tables_pass(void **state)
{
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);

    (void)state;
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    schema.history = NULL;
    schema.migrations = NULL;
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    for (size_t i = 0; i < count; i++) {
        if (stasis_schema_check(all[i], &err))
            fail_msg("%s", err.msg);
    }
}

static void the_schema_itself(void **state)
{
    (void)state;
    schema.version = 0;
    assert_refused("schema test.device: versions start at 1");
    schema.type = NULL;
    assert_refused("its type");
    schema.type = "Test";
    assert_refused("its type");
    schema.type = "a.type.that.has.thirtythree.bytes";
    assert_refused("its type");
    schema.doc = NULL;
    assert_refused("its doc");
    schema.fields = NULL;
    assert_refused("no table of fields");
    schema.field_count = STASIS_SCHEMA_FIELDS_MAX + 1;
    assert_refused("more than 1024");
    migrations[1].to = 2;
    assert_refused("migrations do not rise");
    migrations[1].to = 4;
    assert_refused("migrations do not rise");
    past[1].id = 8;
    assert_refused("no such version or field");
    past[1].before = 4;
    assert_refused("no such version or field");
    past[0].bound = 0x3f;
    assert_refused("field 1 (level): its past allows more");
}

static void ids_and_versions(void **state)
{
    (void)state;
    fields[1].id = 3;
    assert_refused("field 3 (words): ids start at 1 and rise by one");
    fields[0].id = 0;
    assert_refused("ids start at 1");
    fields[6].since = 4;
    assert_refused("field 7 (offset): came with a version");
    fields[6].since = 0;
    assert_refused("came with a version");
    fields[3].until = 1;
    assert_refused("went before it came");
    fields[3].until = 4;
    assert_refused("went before it came");
    part_fields[0].since = 4;
    assert_refused("schema part, field 1 (at): came with a version");
}

static void places(void **state)
{
    (void)state;
    fields[6].offset = sizeof(struct device) - 7;
    assert_refused("(offset): lies outside");
    fields[0].offset = SIZE_MAX;
    assert_refused("lies outside");
    fields[1].max = UINT32_MAX;
    assert_refused("lies outside");
    fields[1].max = 0;
    assert_refused("has no room");
    fields[2].count_offset = sizeof(struct device) - 3;
    assert_refused("its count lies outside");
    fields[5].max = 100;
    assert_refused("lies outside");
    fields[2].max = 6;
    assert_refused("not whole registers");
    fields[2].elem_size = 0;
    assert_refused("not whole registers");
    fields[0].max = 2;
    assert_refused("(level): its kind holds one value");
    fields[4].max = 2;
    fields[4].offset = fields[5].offset;
    assert_refused("(part): its kind holds one value");
}

static void counts(void **state)
{
    (void)state;
    fields[2].count_size = 8; /* as is there, from there to the end */
    fields[2].count_offset = sizeof(struct device) - 8;
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    fields[2].count_offset++;
    assert_refused("(bytes): its count lies outside");
    fields[2].count_size = 3;
    assert_refused("(bytes): its count has 1, 2, 4 or 8 bytes");
    fields[2].count_size = 1;
    fields[2].count_offset = sizeof(struct device) - 1;
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    fields[2].is_pointer = true;
    fields[2].offset = sizeof(struct device) - sizeof(void *);
    fields[2].max = 252;
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    fields[2].max = 256;
    assert_refused("(bytes): its count is too small for its maximum");
    fields[2].is_pointer = true;
    fields[2].offset = sizeof(struct device) - sizeof(void *) + 1;
    assert_refused("(bytes): lies outside");
    fields[1].is_pointer = true;
    assert_refused("(words): only bytes and lists can be behind a pointer");
    fields[2].is_fixed = true;
    assert_refused("(bytes): only a list in its struct can be without a count");
    fields[5].is_fixed = true;
    fields[5].count_offset = SIZE_MAX; /* there is none */
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    fields[5].is_pointer = true;
    assert_refused("(parts): only a list in its struct can be without a count");
    fields[5].is_fixed = true;
    past[0] = (struct stasis_old_bound){.before = 2, .id = 6, .bound = 1};
    assert_refused("(parts): its past has a bound of 0, of a part of a register, or of a list "
                   "without a count");
}

/* The schema of an older version has these as maximums. */
static void past_maximums(void **state)
{
    static const struct {
        uint64_t id, bound;
    } bad[] = {{3, 0}, {3, 6}, {4, 0}, {5, 0}, {6, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        past[0] = (struct stasis_old_bound){
            .before = 2, .id = (uint16_t)bad[i].id, .bound = bad[i].bound};
        assert_refused(
            "its past has a bound of 0, of a part of a register, or of a list without a count");
    }
    past[0] = (struct stasis_old_bound){.before = 2, .id = 3, .bound = 4};
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    past[0] = (struct stasis_old_bound){.before = 2, .id = 1, .bound = 0}; /* a mask */
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
}

static void names_are_unique(void **state)
{
    (void)state;
    fields[1].name = "level";
    assert_refused("field 2 (level): another field has its name");
    fields[2].name = "label";
    assert_refused("field 4 (label): another field has its name");
    fields[6].name = "label"; /* came when the other went */
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
}

static void values(void **state)
{
    (void)state;
    fields[0].elem_size = 3;
    assert_refused("1, 2, 4 or 8 bytes");
    fields[0].is_signed = true; /* of a byte, 0x7f is the largest value */
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    fields[0].mask = 0x80;
    assert_refused("wider than its type");
    fields[0].is_signed = true;
    fields[0].mask = (uint64_t)-128;
    fields[0].default_int = (uint64_t)-128;
    fields[0].since = 1;
    past[0].before = 0;
    assert_int_equal(stasis_schema_check(&schema, &err), 0);
    fields[0].default_int = (uint64_t)-256; /* no bit outside the mask, but no byte */
    past[0].before = 0;
    assert_refused("outside its mask");
    fields[1].is_signed = true;
    assert_refused("(words): the integers of an array are unsigned");
    fields[0].mask = 0x100;
    assert_refused("wider than its type");
    fields[0].mask = 0x0c;
    assert_refused("outside its mask");
    fields[3].default_str = NULL;
    assert_refused("(label): its default");
    fields[3].max = 0; /* a reader would refuse the file */
    assert_refused("(label): has no room");
    fields[3].default_str = "sixlen";
    assert_refused("its default");
    fields[3].default_str = "\x1b[m";
    assert_refused("its default");
    fields[0].kind = (enum stasis_kind)99;
    assert_refused("no such kind");
    fields[0].name = "";
    assert_refused("its name");
    fields[0].name = "one.of_another";
    assert_refused("its name");
    fields[0].doc = NULL;
    assert_refused("(level): its doc");
    fields[0].doc = "\x1b";
    assert_refused("(level): its doc");
}

static void nesting(void **state)
{
    struct stasis_field in_itself = part_fields[0];

    (void)state;
    fields[4].sub = NULL;
    assert_refused("(part): its schema is missing");
    part_schema.size++;
    assert_refused("another size");
    in_itself.kind = STASIS_KIND_STRUCT;
    in_itself.sub = &part_schema;
    part_fields[0] = in_itself;
    assert_refused("nested too deep");
    part_fields[0].mask = UINT64_MAX;
    assert_refused("schema part, field 1 (at): its mask");
}

/* As much as every reader of the schema section has room for, and not a byte more. */
static void room(void **state)
{
    static const struct {
        uint32_t max;
        uint16_t until;
        bool good;
    } cases[] = {{STASIS_SCHEMA_ROOM_MAX - 8, 0, true},
                 {STASIS_SCHEMA_ROOM_MAX - 7, 0, false},
                 {STASIS_SCHEMA_ROOM_MAX, 0, false},
                 {STASIS_SCHEMA_ROOM_MAX, 2, false}, /* of an older version */
                 {UINT32_MAX - 64, 0, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_field field[2] = {{.id = 1,
                                         .name = "bytes",
                                         .doc = "",
                                         .kind = STASIS_KIND_BUF,
                                         .since = 1,
                                         .offset = 8,
                                         .elem_size = 1,
                                         .max = cases[i].max,
                                         .until = cases[i].until},
                                        {.id = 2,
                                         .name = "more",
                                         .doc = "",
                                         .kind = STASIS_KIND_INT,
                                         .since = 3,
                                         .elem_size = 1,
                                         .max = 1,
                                         .mask = 1,
                                         .offset = 4}};
        struct stasis_schema large = {.type = "large",
                                      .version = 3,
                                      .doc = "",
                                      .fields = field,
                                      .size = (size_t)UINT32_MAX,
                                      .field_count = 1};
        int rc = stasis_schema_check(&large, &err);

        assert_int_equal(rc, cases[i].good ? 0 : STASIS_ERR_ARG);
        assert_true(cases[i].good || strstr(err.msg, "schema large: takes more than 4 MiB"));
        if (!cases[i].good)
            continue;
        large.field_count = 2;
        assert_int_equal(stasis_schema_check(&large, &err), STASIS_ERR_ARG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_tables_pass, setup),
        cmocka_unit_test_setup(the_schema_itself, setup),
        cmocka_unit_test_setup(ids_and_versions, setup),
        cmocka_unit_test_setup(places, setup),
        cmocka_unit_test_setup(counts, setup),
        cmocka_unit_test_setup(past_maximums, setup),
        cmocka_unit_test_setup(names_are_unique, setup),
        cmocka_unit_test_setup(values, setup),
        cmocka_unit_test_setup(nesting, setup),
        cmocka_unit_test(room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
