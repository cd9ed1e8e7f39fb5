/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the library asks of the allocator: never much because input claims much, and nothing is lost
 * or half done when it says no. The linker sends the library's calls to the __wrap functions.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "gauge.h"
#include "sample.h"
#include "stasis/migrate.h"
#include "stasis/notes.h"
#include "stasis/schema_set.h"
#include "stasis/ser.h"
#include "stasis/state.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *old);

static size_t largest;     /* allocation since reset() */
static long live;          /* blocks */
static unsigned countdown; /* the allocation that fails, counted from 1; 0 for none */

static void reset(unsigned fail_at)
{
    largest = 0;
    countdown = fail_at;
}

/* What runs at the end of the process gets all that it asks for. */
static int forget(void **unused)
{
    (void)unused;
    reset(0);
    return 0;
}

static bool refuse(size_t size)
{
    if (size > largest)
        largest = size;
    return countdown && !--countdown;
}

void *__wrap_malloc(size_t size)
{
    void *block = refuse(size) ? NULL : __real_malloc(size);

    live += block != NULL;
    return block;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *block = refuse(count * size) ? NULL : __real_calloc(count, size);

    live += block != NULL;
    return block;
}

void *__wrap_realloc(void *old, size_t size)
{
    void *block = refuse(size) ? NULL : __real_realloc(old, size);

    live += block && !old;
    return block;
}

void __wrap_free(void *old)
{
    live -= old != NULL;
    __real_free(old);
}

static void test_claims_cost_nothing(void **unused)
{
    static const char *const bombs[] = {
        "\xdd\x10\x00\x00\x01",
        "\xdd\xff\xff\xff\xff",
        "\x91\xdd\x10\x00\x00\x01",
        "\x91\x95\xdb\xff\xff\xff\xff",
        "\x91\x95\xa1x\xa1y\x01\x01\xdf\x10\x00\x00\x01",
        "\x91\x95\xa1x\xa1y\x01\x01\x81\x01\xdd\x10\x00\x00\x01",
        "\x91\x95\xa1x\xa1y\x01\x01\x81\x01\xc6\xff\xff\xff\xff",
        "\x91\x95\xa8x86.msrs\xa1y\x01",
    };
    static const uint8_t list[] = "\x91\x95\xa8x86.msrs\xa1y\x01\x00\x81\x01\xdd\x10\x00\x00\x00";
    struct stasis_records *set;
    long before = live;

    (void)unused;
    for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
        reset(0);
        assert_int_equal(
            stasis_records_parse((const uint8_t *)bombs[i], strlen(bombs[i]), NULL, &set, NULL),
            STASIS_ERR_CORRUPT);
        assert_in_range(largest, 1, 65536);
    }
    reset(0);
    assert_int_equal(stasis_records_parse(list, sizeof(list) - 1, NULL, &set, NULL),
                     STASIS_ERR_CORRUPT);
    assert_in_range(largest, 1, 65536);
    assert_int_equal(live, before);
}

/* Adds, packs, parses and gets back; the first error, or 0. */
static int whole_story(struct stasis_records *set, struct stasis_error *err)
{
    struct stasis_sample_state sample, got;
    struct stasis_records *parsed = NULL;
    uint8_t *bytes = NULL;
    size_t len, count = stasis_records_count(set);
    int rc;

    sample_fill(&sample);
    memset(&got, 0xa5, sizeof(got));
    rc = stasis_records_add(set, &stasis_sample_schema, "a", &sample, err);
    if (rc) {
        assert_int_equal(stasis_records_count(set), count);
        return rc;
    }
    rc = stasis_records_encode(set, &bytes, &len, err);
    if (!rc)
        rc = stasis_records_parse(bytes, len, NULL, &parsed, err);
    if (!rc)
        rc = stasis_records_get(parsed, &stasis_sample_schema, "a", &got, err);
    if (!rc)
        assert_memory_equal(&got, &sample, sizeof(got));
    else
        assert_int_equal(got.small, 0xa5);
    stasis_records_free(parsed);
    free(bytes);
    return rc;
}

static void test_every_allocation_may_fail(void **unused)
{
    struct stasis_error err;
    unsigned fail_at = 0;
    long before = live;
    int rc;

    (void)unused;
    do {
        struct stasis_records *set;

        memset(&err, 0, sizeof(err));
        reset(0);
        set = stasis_records_new();
        reset(++fail_at);
        rc = whole_story(set, &err);
        reset(0);
        assert_int_equal(err.code, rc);
        assert_true(rc == 0 || rc == STASIS_ERR_NOMEM);
        stasis_records_free(set);
        assert_int_equal(live, before);
    } while (rc);
    assert_in_range(fail_at, 9, 20);
    reset(1);
    assert_null(stasis_records_new());
    reset(0);
}

/* Sets, replaces, copies, packs and parses; the first error, or 0. */
static int story_of_notes(struct stasis_notes *notes, struct stasis_error *err)
{
    struct stasis_notes *copy = stasis_notes_new();
    struct stasis_notes *parsed = NULL;
    uint8_t *bytes = NULL;
    size_t len;
    int rc = copy ? stasis_notes_set(notes, "a", "1", err)
                  : stasis_fail(err, STASIS_ERR_NOMEM, "no memory");

    if (!rc)
        rc = stasis_notes_set(notes, "b", "2", err);
    if (!rc) {
        rc = stasis_notes_set(notes, "a", "3", err);
        assert_string_equal(stasis_notes_get(notes, "a"), rc ? "1" : "3");
    }
    if (!rc)
        rc = stasis_notes_copy(notes, copy, err);
    if (!rc)
        rc = stasis_notes_encode(copy, &bytes, &len, err);
    if (!rc)
        rc = stasis_notes_parse(bytes, len, &parsed, err);
    if (!rc)
        assert_string_equal(stasis_notes_get(parsed, "b"), "2");
    else
        assert_null(parsed);
    stasis_notes_free(parsed);
    stasis_notes_free(copy);
    free(bytes);
    return rc;
}

static void test_every_allocation_of_notes_may_fail(void **unused)
{
    unsigned fail_at = 0;
    long before = live;
    int rc;

    (void)unused;
    do {
        struct stasis_notes *notes = stasis_notes_new();
        struct stasis_error err = {0};

        reset(++fail_at);
        rc = story_of_notes(notes, &err);
        reset(0);
        assert_int_equal(err.code, rc);
        assert_true(rc == 0 || rc == STASIS_ERR_NOMEM);
        stasis_notes_free(notes);
        assert_int_equal(live, before);
    } while (rc);
    assert_int_equal(fail_at, 11); /* two sets, three notes, two copies, bytes, two notes, none */
    reset(1);
    assert_null(stasis_notes_new());
    reset(0);
}

static void test_a_claim_of_notes_costs_nothing(void **unused)
{
    static const uint8_t many[] = "\xdd\x10\x00\x00\x00";
    static const uint8_t large[] = "\x91\x92\xa1k\xdb\x10\x00\x00\x00";
    struct stasis_notes *notes;

    (void)unused;
    reset(0);
    assert_int_equal(stasis_notes_parse(many, sizeof(many) - 1, &notes, NULL), STASIS_ERR_CORRUPT);
    assert_int_equal(stasis_notes_parse(large, sizeof(large) - 1, &notes, NULL),
                     STASIS_ERR_CORRUPT);
    assert_in_range(largest, 1, 4096);
}

static void test_json_without_memory(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_sample_state sample;
    struct stasis_json json;
    char text[4096];
    FILE *out = fmemopen(text, sizeof(text), "w");

    (void)unused;
    sample_fill(&sample);
    assert_int_equal(stasis_records_add(set, &stasis_sample_schema, "a", &sample, NULL), 0);
    stasis_json_init(&json, out);
    reset(1);
    assert_int_equal(stasis_records_json(set, &json, NULL), STASIS_ERR_NOMEM);
    reset(0);
    fclose(out);
    stasis_records_free(set);
}

static void test_schemas_without_memory(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_schema_set *schemas = NULL;
    struct stasis_error err = {0};
    struct stasis_sample_state sample;
    uint8_t *bytes = NULL;
    size_t len = 0;
    unsigned at = 0;
    long before;
    int rc;

    (void)unused;
    sample_fill(&sample);
    assert_int_equal(stasis_records_add(set, &stasis_sample_schema, "a", &sample, NULL), 0);
    before = live;
    do {
        reset(++at);
        rc = stasis_schema_set_encode(set, &bytes, &len, &err);
        assert_true(!rc || (rc == STASIS_ERR_NOMEM && live == before && !bytes));
        assert_true(!rc || !strcmp(err.msg, "no memory for the schemas"));
    } while (rc);
    assert_in_range(at, 4, 20);
    at = 0;
    do {
        reset(++at);
        rc = stasis_schema_set_parse(bytes, len, &schemas, &err);
        assert_true(!rc || (rc == STASIS_ERR_NOMEM && live == before + 1 && !schemas));
    } while (rc);
    assert_in_range(at, 5, 20);
    reset(0);
    stasis_schema_set_free(schemas);
    free(bytes);
    assert_int_equal(live, before);
    stasis_records_free(set);
}

/* A whole machine, as a downgrade reads its board. */
static void test_a_downgrade_without_memory(void **unused)
{
    struct stasis_records *set = stasis_records_new(), *down = NULL, *none = NULL;
    struct stasis_convert_opts opts = {.size = sizeof(opts)};
    const struct stasis_release *release;
    static struct stasis_board_state board;
    struct stasis_pl031_state rtc;
    long before;
    unsigned at = 0;
    int rc;

    (void)unused;
    stasis_state_init(&stasis_board_schema, &board);
    board.vcpus = 1;
    board.ram_count = 1;
    board.ram[0].size = 4096;
    stasis_state_init(&stasis_pl031_schema, &rtc);
    assert_int_equal(stasis_records_add(set, &stasis_board_schema, "board", &board, NULL), 0);
    assert_int_equal(stasis_records_add(set, &stasis_pl031_schema, "rtc", &rtc, NULL), 0);
    assert_int_equal(stasis_release_get("0.1.0", &release, NULL), 0);
    before = live;
    do {
        reset(++at);
        rc = stasis_records_convert(set, release, NULL, &down, NULL);
        assert_true(!rc || (rc == STASIS_ERR_NOMEM && live == before && !down));
    } while (rc);
    assert_in_range(at, 4, 60);
    reset(0);
    assert_int_equal(stasis_records_count(down), 2);
    opts.size--;
    assert_int_equal(stasis_records_convert(set, release, &opts, &none, NULL), STASIS_ERR_ARG);
    assert_null(none);
    stasis_records_free(down);
    assert_int_equal(live, before);
    stasis_records_free(set);
}

/* A record of a stranger's type, which its file describes; and memory for what its rows point to.
 */
static void test_embedded_schemas_without_memory(void **unused)
{
    const struct stasis_parse_opts tolerant = {.size = sizeof(tolerant), .tolerant = true};
    struct stasis_records *set = stasis_records_new(), *read = NULL;
    struct stasis_schema_set *schemas = NULL;
    struct stasis_error err = {0};
    struct gauge gauge, got;
    uint8_t *bytes, *described;
    size_t len, described_len;
    unsigned at = 0;
    long before;
    int rc;

    (void)unused;
    reset(0);
    gauge_fill(&gauge);
    assert_int_equal(stasis_records_add(set, &gauge_schema, "a", &gauge, NULL), 0);
    assert_int_equal(stasis_schema_set_encode(set, &described, &described_len, NULL), 0);
    assert_int_equal(stasis_schema_set_parse(described, described_len, &schemas, NULL), 0);
    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    before = live;
    do {
        memset(&got, 0xa5, sizeof(got));
        reset(++at);
        rc = stasis_records_get(set, &gauge_schema, "a", &got, &err);
        assert_true(!rc || (rc == STASIS_ERR_NOMEM && live == before && got.s8 == (int8_t)0xa5));
    } while (rc);
    assert_in_range(at, 4, 20); /* the struct, and what its pointers point to */
    reset(0);
    stasis_state_fini(&gauge_schema, &got);
    assert_int_equal(live, before);
    assert_int_equal(stasis_records_parse(bytes, len, &tolerant, &read, NULL), 0);
    before = live;
    reset(1);
    assert_int_equal(stasis_records_use_embedded_schemas(read, schemas, &err), STASIS_ERR_NOMEM);
    assert_string_equal(err.msg, "record test.gauge: out of memory");
    assert_false(stasis_records_at(read, 0).embedded);
    reset(0);
    assert_int_equal(stasis_records_use_embedded_schemas(read, schemas, &err), 0);
    assert_true(stasis_records_at(read, 0).embedded);
    assert_int_equal(live, before);
    stasis_state_fini(&gauge_schema, &gauge);
    stasis_records_free(read);
    stasis_records_free(set);
    stasis_schema_set_free(schemas);
    free(described);
    free(bytes);
}

static void test_a_release_without_memory(void **unused)
{
    static const struct stasis_release_record row = {"acme.lamp", 1, 0};
    struct stasis_release *release = NULL;
    struct stasis_error err = {0};
    long before = live;
    unsigned at = 0;
    int rc;

    (void)unused;
    do {
        reset(++at);
        rc = stasis_release_new("acme", NULL, &row, 1, &release, &err);
        assert_true(!rc || rc == STASIS_ERR_NOMEM);
        assert_true(!rc || (live == before && !release));
    } while (rc);
    assert_int_equal(at, 3);
    reset(0);
    stasis_release_free(release);
    assert_int_equal(live, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims_cost_nothing),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_every_allocation_of_notes_may_fail),
        cmocka_unit_test(test_a_claim_of_notes_costs_nothing),
        cmocka_unit_test(test_json_without_memory),
        cmocka_unit_test(test_schemas_without_memory),
        cmocka_unit_test(test_a_downgrade_without_memory),
        cmocka_unit_test(test_embedded_schemas_without_memory),
        cmocka_unit_test(test_a_release_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, forget);
}
