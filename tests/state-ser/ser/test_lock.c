/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frozen states of a program of its own that has made releases: what the lists of this one, which
 * are edited by tests/schema, have no past for yet. And frozen text that is none.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "sample.h"
#include "stasis/lock.h"

/* A record at version 3: `b` grew with version 2, `c` was gone from 3, to which there is a step. */
struct rig {
    struct stasis_field fields[4], part_fields[1];
    struct stasis_past pasts[3];
    struct stasis_step steps[4];
    struct stasis_schema record, part;
    struct stasis_enum_set color;
    struct stasis_enum_value values[3];
    const struct stasis_schema *schemas[2];
    struct stasis_lock_set set;
};

static void rig_fill(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->part_fields[0] = (struct stasis_field){
        .id = 1, .since = 1, .elem_size = 1, .max = 1, .mask = 1, .name = "p"};
    rig->part = (struct stasis_schema){
        .type = "part", .version = 1, .fields = rig->part_fields, .field_count = 1};
    rig->fields[0] = (struct stasis_field){
        .id = 1, .since = 1, .elem_size = 4, .max = 1, .mask = 0xff, .name = "a"};
    rig->fields[1] = (struct stasis_field){
        .id = 2, .since = 1, .kind = STASIS_KIND_BUF, .elem_size = 2, .max = 8, .name = "b"};
    rig->fields[2] = (struct stasis_field){.id = 3,
                                           .since = 1,
                                           .until = 3,
                                           .kind = STASIS_KIND_STR,
                                           .elem_size = 1,
                                           .max = 9,
                                           .default_str = "two words",
                                           .name = "c"};
    rig->fields[3] = (struct stasis_field){.id = 4,
                                           .since = 2,
                                           .kind = STASIS_KIND_LIST,
                                           .elem_size = 1,
                                           .max = 3,
                                           .sub = &rig->part,
                                           .name = "d"};
    rig->pasts[0] = (struct stasis_past){.before = 2, .id = 2, .bound = 4};
    rig->steps[0] = (struct stasis_step){.to = 3};
    rig->record = (struct stasis_schema){.type = "own.record",
                                         .version = 3,
                                         .fields = rig->fields,
                                         .field_count = 4,
                                         .past = rig->pasts,
                                         .steps = rig->steps};
    rig->color = (struct stasis_enum_set){.name = "COLOR", .record = "own.record"};
    rig->values[0] = (struct stasis_enum_value){&rig->color, "RED", 1, 1, "red"};
    rig->values[1] = (struct stasis_enum_value){&rig->color, "BLUE", 2, 3, "blue"};
    rig->schemas[0] = &rig->record;
    rig->set = (struct stasis_lock_set){.size = sizeof(rig->set),
                                        .schemas = rig->schemas,
                                        .schema_count = 1,
                                        .values = rig->values,
                                        .value_count = 2};
}

static char *freeze(const struct stasis_lock_set *set)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(stasis_lock_write(set, "1.2.3", out, NULL), 0);
    fclose(out);
    return text;
}

static struct rig now;
static char *frozen;
static char said[4096];
static struct stasis_lock_result result;
static struct stasis_error err;

static int setup(void **state)
{
    (void)state;
    rig_fill(&now);
    frozen = freeze(&now.set);
    memset(&result, 0, sizeof(result));
    memset(&err, 0, sizeof(err));
    said[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(frozen);
    return 0;
}

static void hear(void *ctx, enum stasis_lock_class class, bool refused, const char *text)
{
    size_t len = strlen(said);

    assert_ptr_equal(ctx, &now);
    snprintf(said + len, sizeof(said) - len, "%s %s\n", refused ? "refused" : "allowed", text);
    assert_non_null(strstr(text, stasis_lock_class_str(class)));
}

static int compare(const char *text)
{
    said[0] = '\0';
    return stasis_lock_check(&now.set, text, strlen(text), hear, &now, &result, &err);
}

/* The set of `now` is refused against what was frozen, in these words. */
static void assert_refused(const char *words)
{
    int rc = compare(frozen);

    if (rc != STASIS_ERR_VERSION || !strstr(said, words))
        fail_msg("%d, wanted \"%s\", got:\n%s", rc, words, said);
    assert_true(result.refused > 0);
}

static void text_is_as_documented(void **state)
{
    (void)state;
    assert_string_equal(
        frozen,
        "format 1\n"
        "release 1.2.3\n"
        "\n"
        "record own.record version=3 optional=0\n"
        "step to=3\n"
        "field 1 a kind=int size=4 signed=0 since=1 until=0 max=1 mask=0xff sub=- default=0x0\n"
        "field 2 b kind=bytes size=2 signed=0 since=1 until=0 max=8 mask=0x0 sub=- default=\n"
        "field 3 c kind=string size=1 signed=0 since=1 until=3 max=9 mask=0x0 sub=- "
        "default=two words\n"
        "field 4 d kind=list size=0 signed=0 since=2 until=0 max=3 mask=0x0 sub=part default=\n"
        "was id=2 before=2 bound=0x4\n"
        "nested part\n"
        "field 1 p kind=int size=1 signed=0 since=1 until=0 max=1 mask=0x1 sub=- default=0x0\n"
        "\n"
        "enum COLOR record=own.record version=3\n"
        "value RED number=1 since=1\n"
        "value BLUE number=2 since=3\n"
        "\n"
        "end\n");
}

static void what_did_not_change_is_the_same(void **state)
{
    (void)state;
    assert_int_equal(compare(frozen), 0);
    assert_string_equal(said, "");
    assert_string_equal(result.release, "1.2.3");
    assert_int_equal(result.records, 1);
    assert_int_equal(result.nested, 1);
    assert_int_equal(result.fields, 5);
    assert_int_equal(result.values, 2);
    assert_int_equal(result.allowed, 0);
    assert_int_equal(result.refused, 0);
    assert_int_equal(stasis_lock_check(&now.set, frozen, strlen(frozen), NULL, NULL, &result, NULL),
                     0);
}

static void every_kind_of_field_comes_back(void **state)
{
    const struct stasis_schema *schemas[] = {&stasis_sample_schema};
    char *text;

    (void)state;
    now.set =
        (struct stasis_lock_set){.size = sizeof(now.set), .schemas = schemas, .schema_count = 1};
    text = freeze(&now.set);
    assert_int_equal(compare(text), 0);
    assert_string_equal(said, "");
    assert_int_equal(result.fields, 11);
    free(text);
}

static void the_past_does_not_change(void **state)
{
    (void)state;
    now.record.version = 4; /* a new version excuses none of these */
    now.pasts[0].bound = 6;
    assert_refused("own.record has lost the row STASIS_WAS(2, 2, ..., 0x4): breaking");
    now.pasts[0] = (struct stasis_past){0};
    assert_refused("own.record has lost the row STASIS_WAS(2, 2, ..., 0x4): breaking");
    now.pasts[0] = (struct stasis_past){.before = 2, .id = 2, .bound = 4};
    now.pasts[1] = (struct stasis_past){.before = 3, .id = 1, .bound = 1};
    assert_refused("own.record has 2 rows STASIS_WAS about released versions, had 1: breaking");
    now.pasts[1] = (struct stasis_past){.before = 4, .id = 1, .bound = 1};
    assert_refused("own.record.a had mask 0xff, which STASIS_WAS calls 0x1: breaking");
    now.pasts[1] = (struct stasis_past){0};
    now.fields[2].until = 0;
    assert_refused("own.record.c was gone from version 3, now from 0 (0: never): breaking");
    now.fields[2].until = 2;
    assert_refused("own.record.c was gone from version 3, now from 2 (0: never): breaking");
    now.fields[2].until = 4;
    now.steps[1].to = 4;
    assert_refused("own.record.c was gone from version 3, now from 4 (0: never): breaking");
    now.steps[1].to = 0;
    now.fields[2].until = 3;
    now.fields[0].mask = 0x1f0; /* larger, and less */
    assert_refused("own.record.a had mask 0xff, has 0x1f0: breaking");
    now.fields[0].mask = 0xff;
    now.fields[0].until = 3;
    assert_refused("own.record.a was gone from version 0, now from 3 (0: never): breaking");
    now.fields[0].until = 0;
    now.fields[3].since = 3;
    assert_refused("own.record.d (id 4) came with version 2, now with 3 and as d: breaking");
    now.fields[3].since = 2;
    assert_int_equal(compare(frozen), 0);
}

static void steps_to_released_versions_stay(void **state)
{
    (void)state;
    now.record.version = 4;
    now.steps[0].to = 4;
    assert_refused("own.record has lost its step to version 3: breaking");
    now.steps[0].to = 2;
    now.steps[1].to = 3;
    assert_refused("own.record has 2 steps to released versions, had 1: breaking");
    now.steps[0].to = 3;
    now.steps[1].to = 4;
    assert_int_equal(compare(frozen), 0);
}

static void a_step_is_to_the_version_that_needs_it(void **state)
{
    (void)state;
    now.record.version = 5;
    now.fields[0].until = 5;
    now.steps[1].to = 4;
    assert_refused("own.record.a is gone from version 5: needs-migration: register a step");
    now.steps[2].to = 5;
    assert_int_equal(compare(frozen), 0);
    assert_non_null(strstr(said, "allowed 1.2.3: own.record.a is gone from version 5: needs-mig"));
    now.fields[0].until = 0;
    now.fields[2].default_str = "two  words";
    assert_int_equal(compare(frozen), 0);
    now.steps[1].to = 0;
    assert_refused(
        "own.record.c defaulted to \"two words\", now to \"two  words\": needs-migration");
}

static void versions_only_rise(void **state)
{
    (void)state;
    now.record.version = 2;
    assert_refused("own.record had version 3, has 2: breaking: versions only rise");
    now.record.version = 3;
    now.record.optional = true;
    assert_refused("own.record was mandatory, is optional: breaking");
    now.set.schema_count = 0;
    assert_refused("own.record is gone: breaking");
    assert_int_equal(result.fields, 5); /* walked all the same */
}

static void named_numbers_stay(void **state)
{
    (void)state;
    now.record.version = 4;
    now.values[1].since = 2;
    assert_refused("own.record/COLOR.BLUE came with version 3, now with 2: breaking");
    now.values[1].since = 3;
    now.values[2] = (struct stasis_enum_value){&now.color, "GREEN", 3, 3, "green"};
    now.set.value_count = 3;
    assert_refused("own.record/COLOR has 3 values in released versions, had 2: compatible: give");
    now.values[2].since = 4;
    assert_int_equal(compare(frozen), 0);
    now.values[1].name = "AZURE";
    assert_int_equal(compare(frozen), 0);
    assert_non_null(strstr(said, "COLOR.BLUE (2) is named AZURE: compatible\n"));
}

static void pieces_are_corrupt(void **state)
{
    size_t len = strlen(frozen);

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(stasis_lock_check(&now.set, frozen, cut, NULL, NULL, &result, &err),
                         STASIS_ERR_CORRUPT);
}

/* No line can be left out without notice. */
static void lines_are_missed(void **state)
{
    char *copy = malloc(strlen(frozen) + 1);
    unsigned tried = 0;

    (void)state;
    assert_non_null(copy);
    for (const char *line = frozen; *line; line = strchr(line, '\n') + 1) {
        const char *next = strchr(line, '\n') + 1;

        if (*line == '\n')
            continue;
        sprintf(copy, "%.*s%s", (int)(line - frozen), frozen, next);
        assert_true(compare(copy) != 0);
        tried++;
    }
    assert_int_equal(tried, 15);
    free(copy);
}

static void other_text_is_corrupt(void **state)
{
    static const char *const texts[] = {
        "",
        "end\n",
        "format 2\nrelease 1\nend\n",
        "release 1\nformat 1\nend\n",
        "format 1\nrelease 12345678901234567890123456789012\nend\n",
        "format 1\nrelease 1\nend\nend\n",
        "format 1\nrelease 1\nrecord\nend\n",
        "format 1\nrelease 1\nrecord a version=1 optional=0 \nend\n",
        "format 1\nrelease 1\nrecord a version=x optional=0\nend\n",
        "format 1\nrelease 1\nrecord a version= optional=0\nend\n",
        "format 1\nrelease 1\nrecord a version=12345678901 optional=0\nend\n",
        "format 1\nrelease 1\nrecord a version=0x optional=0\nend\n",
        "format 1\nrelease 1\nrecord a optional=0 version=1\nend\n",
        "format 1\nrelease 1\nnested a\nend\n",
        "format 1\nrelease 1\nvalue A number=1 since=1\nend\n",
        "format 1\nrelease 1\nsurprise\nend\n",
        "format 1\nrelease 1\nend 1\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        err.msg[0] = '\0';
        if (compare(texts[i]) != STASIS_ERR_CORRUPT || !err.msg[0])
            fail_msg("taken: %s", texts[i]);
    }
    assert_int_equal(
        compare("format 1\nrelease 1\nfield 1 a kind=int size=1 signed=0 since=1 until=0 "
                "max=1 mask=0x1 sub=- default=0x0\nend\n"),
        STASIS_ERR_CORRUPT); /* of no record */
    assert_int_equal(
        compare("format 1\nrelease 1\nrecord a version=1 optional=0\nfield 2 a kind=int "
                "size=1 signed=0 since=1 until=0 max=1 mask=0x1 sub=- default=0x0\n"
                "end\n"),
        STASIS_ERR_CORRUPT); /* no field 1 before it */
    assert_int_equal(
        stasis_lock_check(&now.set, "format 1\nrelease 1\nend\0x\n", 25, NULL, NULL, &result, &err),
        STASIS_ERR_CORRUPT);
    assert_int_equal(compare("# a comment\nformat 1\n\nrelease 1\nend\n"), 0);
    assert_int_equal(stasis_lock_check(&now.set, "format 1\nrelease 1\n\0\nend\n", 25, NULL, NULL,
                                       &result, &err),
                     STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "line 3 is not one of a release's frozen states");
}

static void long_lines_are_corrupt(void **state)
{
    char filler[1025] = "", text[2200];

    (void)state;
    memset(filler, 'x', 1024);
    /* One more than a name has room for; and than a line has. */
    snprintf(text, sizeof(text), "format 1\nrelease 1\nrecord %.64s version=1 optional=0\nend\n",
             filler);
    assert_int_equal(compare(text), STASIS_ERR_CORRUPT);
    snprintf(text, sizeof(text), "format 1\nrelease 1\n#%s\nend\n", filler);
    assert_int_equal(compare(text), STASIS_ERR_CORRUPT);
    snprintf(text, sizeof(text), "format 1\nrelease 1\n#%.1023s\nend\n", filler);
    assert_int_equal(compare(text), 0);
}

/* ---- rules that need no release ---- */

static void assert_unsound(const char *words)
{
    FILE *out = fopen("/dev/null", "w");

    assert_non_null(out);
    assert_int_equal(stasis_lock_check_set(&now.set, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("wanted \"%s\", got \"%s\"", words, err.msg);
    assert_int_equal(stasis_lock_write(&now.set, "1.2.3", out, &err), STASIS_ERR_ARG);
    fclose(out);
    rig_fill(&now);
}

static void unsound_lists_are_named(void **state)
{
    char name[65] = "";

    (void)state;
    assert_int_equal(stasis_lock_check_set(&now.set, &err), 0);
    now.fields[3].since = 4;
    assert_unsound("own.record.d: since version 4, but own.record has version 3; raise that");
    now.fields[3].since = 0;
    assert_unsound("own.record.d: since version 0");
    now.part_fields[0].since = 4; /* a nested state counts the versions of its record */
    assert_unsound("part.p: since version 4, but own.record has version 3");
    now.fields[2].until = 4;
    assert_unsound("own.record.c: gone from version 4");
    now.fields[2].until = 1;
    assert_unsound("own.record.c: gone from version 1");
    now.fields[1].id = 3;
    assert_unsound("own.record: row 2 has id 3 and the name \"b\"");
    now.fields[1].name = "b c";
    assert_unsound("own.record: row 2 has id 2 and the name \"b c\"");
    memset(name, 'x', 64);
    now.record.type = name;
    assert_unsound("is not a word of at most 63 bytes");
    now.pasts[0].before = 4;
    assert_unsound("own.record: STASIS_WAS(4, 2, ...), but own.record has version 3");
    now.pasts[0].before = 1;
    assert_unsound("own.record: STASIS_WAS(1, 2, ...)");
    now.pasts[0].id = 5;
    assert_unsound("own.record: STASIS_WAS names the unknown id 5");
    now.steps[1].to = 3;
    assert_unsound("own.record: a step to version 3 stands behind 3");
    now.steps[0].to = 4;
    assert_unsound("own.record: a step to version 4");
    now.values[1].since = 4;
    assert_unsound("COLOR BLUE: own.record has no version 4");
    now.color.record = "own.other";
    assert_unsound("COLOR RED: own.other has no version 1");
    now.values[1].number = 1;
    assert_unsound("COLOR BLUE: the values of a set ascend");
    now.values[1].name = "RED";
    assert_unsound("COLOR RED: the values of a set ascend");
    now.set.size--;
    assert_int_equal(compare(frozen), STASIS_ERR_ARG);
    assert_unsound("the lock set has another size than this library's");
}

static void a_state_is_in_one_record(void **state)
{
    struct stasis_schema other = now.record;

    (void)state;
    other.type = "own.other";
    now.schemas[1] = &other;
    now.set.schema_count = 2;
    assert_unsound("part is in own.record and in own.other");
    other.field_count = 3;
    now.schemas[1] = &other;
    now.set.schema_count = 2;
    assert_int_equal(stasis_lock_check_set(&now.set, &err), 0);
    other.type = "own.record";
    assert_unsound("own.record is in own.record and in own.record");
}

static void too_many_states_are_refused(void **state)
{
    struct stasis_schema *parts = calloc(64, sizeof(*parts));
    static struct stasis_field fields[64];
    static char names[64][8];

    (void)state;
    assert_non_null(parts);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(names[i], sizeof(names[i]), "p%u", i);
        parts[i] = now.part;
        parts[i].type = names[i];
        fields[i] = now.fields[3];
        fields[i].id = (uint16_t)(i + 1);
        fields[i].sub = &parts[i];
        fields[i].name = names[i];
    }
    now.record.fields = fields;
    now.record.past = NULL;
    now.record.field_count = 63;
    assert_int_equal(stasis_lock_check_set(&now.set, &err), 0);
    now.record.field_count = 64;
    assert_unsound("own.record: more than 64 states in one record");
    free(parts);
}

static void names_of_releases_are_words(void **state)
{
    FILE *out = fopen("/dev/null", "w");

    (void)state;
    assert_non_null(out);
    assert_int_equal(stasis_lock_write(&now.set, "", out, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_lock_write(&now.set, "1 2", out, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_lock_write(&now.set, "12345678901234567890123456789012", out, &err),
                     STASIS_ERR_ARG);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_is_as_documented, setup, teardown),
        cmocka_unit_test_setup_teardown(what_did_not_change_is_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(every_kind_of_field_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_past_does_not_change, setup, teardown),
        cmocka_unit_test_setup_teardown(steps_to_released_versions_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_is_to_the_version_that_needs_it, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_only_rise, setup, teardown),
        cmocka_unit_test_setup_teardown(named_numbers_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_are_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_are_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(other_text_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(unsound_lists_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_is_in_one_record, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_states_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_releases_are_words, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
