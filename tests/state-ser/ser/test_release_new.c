/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A release of Stasis and records of a program's own as the target of a conversion.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/bind.h"
#include "stasis/migrate.h"
#include "stasis/state.h"

struct lamp {
    uint16_t level;
    uint16_t fade_ms;
};

static const struct stasis_field lamp_fields[] = {
    STASIS_BIND_INT(struct lamp, level, 1, 1, 0, UINT16_MAX, "level"),
    STASIS_BIND_INT(struct lamp, fade_ms, 2, 2, 0, UINT16_MAX, "fading"),
};
static const struct stasis_schema lamp_schema = {.type = "acme.lamp",
                                                 .version = 2,
                                                 STASIS_BIND_FIELDS(struct lamp, lamp_fields),
                                                 .doc = "a lamp"};
/* Not sorted; one sorts before all of Stasis, one behind. */
static const struct stasis_release_record own[] = {{"zz", 7, 3}, {"acme.lamp", 1, 0}};

static const struct stasis_release *first(void)
{
    const struct stasis_release *release = NULL;

    assert_int_equal(stasis_release_get("0.1.0", &release, NULL), 0);
    return release;
}

static struct stasis_release *acme(void)
{
    struct stasis_release *release = NULL;

    assert_int_equal(stasis_release_new("acme 1.0", first(), own, 2, &release, NULL), 0);
    return release;
}

static void release_knows_the_records_of_its_base_and_its_own(void **state)
{
    const struct stasis_release *base = first();
    struct stasis_release *release = acme();

    (void)state;
    assert_string_equal(release->name, "acme 1.0");
    assert_int_equal(release->vcpus, base->vcpus);
    assert_ptr_equal(release->cpu_models, base->cpu_models);
    assert_int_equal(release->record_count, base->record_count + 2);
    assert_string_equal(release->records[0].type, "acme.lamp");
    assert_string_equal(release->records[release->record_count - 1].type, "zz");
    for (size_t i = 1; i < release->record_count; i++)
        assert_true(strcmp(release->records[i - 1].type, release->records[i].type) < 0);
    for (size_t i = 0; i < base->record_count; i++) {
        const struct stasis_release_record *row = &base->records[i];
        const struct stasis_release_record *copy = stasis_release_record_find(release, row->type);

        assert_non_null(copy);
        assert_int_equal(copy->version, row->version);
        assert_int_equal(copy->behaviour, row->behaviour);
    }
    assert_int_equal(stasis_release_record_find(release, "zz")->version, 7);
    assert_int_equal(stasis_release_record_find(release, "zz")->behaviour, 3);
    stasis_release_free(release);
    stasis_release_free(NULL);
}

static void release_needs_nothing_of_what_it_was_made_from(void **state)
{
    char name[] = "mine", type[] = "acme.lamp";
    struct stasis_release_record row = {type, 1, 0};
    struct stasis_release *base = acme(), *release = NULL;

    (void)state;
    row.type = memcpy(type, "acme.bell", sizeof(type));
    assert_int_equal(stasis_release_new(name, base, &row, 1, &release, NULL), 0);
    stasis_release_free(base);
    memset(name, 'x', sizeof(name) - 1);
    memset(type, 'x', sizeof(type) - 1);
    row.version = 9;
    assert_string_equal(release->name, "mine");
    assert_int_equal(stasis_release_record_find(release, "acme.bell")->version, 1);
    assert_int_equal(stasis_release_record_find(release, "acme.lamp")->version, 1);
    assert_non_null(stasis_release_record_find(release, "x86.xsave"));
    stasis_release_free(release);
}

static void release_may_have_own_records_alone_or_none(void **state)
{
    struct stasis_release *release = NULL;

    (void)state;
    assert_int_equal(stasis_release_new("acme", NULL, own, 2, &release, NULL), 0);
    assert_int_equal(release->record_count, 2);
    assert_int_equal(release->vcpus, UINT32_MAX);
    stasis_release_free(release);
    assert_int_equal(stasis_release_new("empty", NULL, NULL, 0, &release, NULL), 0);
    assert_int_equal(release->record_count, 0);
    stasis_release_free(release);
}

static void assert_refused(const char *name, const struct stasis_release_record *rows, size_t count,
                           const char *msg)
{
    struct stasis_release *release = (struct stasis_release *)&release;
    struct stasis_error err = {0};

    assert_int_equal(stasis_release_new(name, first(), rows, count, &release, &err),
                     STASIS_ERR_ARG);
    assert_string_equal(err.msg, msg);
    assert_ptr_equal(release, &release);
}

static void release_that_is_none_is_refused(void **state)
{
    static const char long_name[] =
        "the name of a release must be 1 to 63 bytes of printable UTF-8";
    static const struct stasis_release_record known[] = {{"acme.lamp", 1, 0}, {"x86.regs", 1, 0}},
                                              twice[] = {{"a", 1, 0}, {"a", 2, 0}},
                                              zero[] = {{"acme.lamp", 0, 0}},
                                              word[] = {{"Acme", 1, 0}}, nothing[] = {{"", 1, 0}};
    char name[65];

    (void)state;
    assert_refused("acme", known, 2, "release acme has the record type x86.regs twice");
    assert_refused("acme", twice, 2, "release acme has the record type a twice");
    assert_refused("acme", zero, 1, "release acme: acme.lamp has version 0; versions start at 1");
    assert_refused("acme", word, 1,
                   "release acme: \"Acme\" is no record type: 1 to 32 of a-z 0-9 . _ -");
    assert_refused("acme", nothing, 1,
                   "release acme: \"\" is no record type: 1 to 32 of a-z 0-9 . _ -");
    assert_refused("", own, 2, long_name);
    assert_refused("a\nb", own, 2, long_name);
    assert_refused("a\xff", own, 2, long_name);
    memset(name, 'n', 64);
    name[64] = '\0';
    assert_refused(name, own, 2, long_name);
}

static void names_and_types_may_be_as_long_as_is_said(void **state)
{
    char name[64], type[33];
    const struct stasis_release_record row = {type, UINT16_MAX, 0};
    struct stasis_release *release = NULL;

    (void)state;
    memset(name, 'n', 63);
    name[63] = '\0';
    memset(type, 't', 32);
    type[32] = '\0';
    assert_int_equal(stasis_release_new(name, NULL, &row, 1, &release, NULL), 0);
    assert_string_equal(release->name, name);
    assert_string_equal(release->records[0].type, type);
    assert_int_equal(release->records[0].version, UINT16_MAX);
    stasis_release_free(release);
}

/* What acme 1.0 writes of the set, or the refusal. */
static struct stasis_records *written_by_first(const struct lamp *lamp, struct stasis_error *err)
{
    struct stasis_release *release = acme();
    struct stasis_records *set = stasis_records_new(), *out = NULL;
    struct stasis_x86_tsc_state tsc = {.khz = 1000};
    int rc;

    assert_int_equal(stasis_records_add(set, &lamp_schema, "hall", lamp, NULL), 0);
    assert_int_equal(stasis_records_add(set, &stasis_x86_tsc_schema, "cpu0", &tsc, NULL), 0);
    rc = stasis_records_convert(set, release, NULL, &out, err);
    assert_int_equal(rc, out ? 0 : STASIS_ERR_VERSION);
    stasis_records_free(set);
    stasis_release_free(release);
    return out;
}

static void records_of_both_are_written_for_it(void **state)
{
    const struct lamp plain = {.level = 42}, fading = {.level = 42, .fade_ms = 5};
    struct stasis_error err = {0};
    struct stasis_records *out = written_by_first(&plain, &err);

    (void)state;
    assert_non_null(out);
    assert_int_equal(stasis_records_count(out), 2);
    assert_string_equal(stasis_records_at(out, 0).type, "acme.lamp");
    assert_int_equal(stasis_records_at(out, 0).version, 1);
    assert_string_equal(stasis_records_at(out, 1).type, "x86.tsc");
    assert_int_equal(stasis_records_at(out, 1).version, 1);
    stasis_records_free(out);
    assert_null(written_by_first(&fading, &err));
    assert_non_null(strstr(err.msg, "record acme.lamp hall: field fade_ms is 0x5, not its default "
                                    "0x0; release acme 1.0 cannot represent that"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_knows_the_records_of_its_base_and_its_own),
        cmocka_unit_test(release_needs_nothing_of_what_it_was_made_from),
        cmocka_unit_test(release_may_have_own_records_alone_or_none),
        cmocka_unit_test(release_that_is_none_is_refused),
        cmocka_unit_test(names_and_types_may_be_as_long_as_is_said),
        cmocka_unit_test(records_of_both_are_written_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
