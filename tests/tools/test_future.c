/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A file of a later release: what looks shows all of it, what restores refuses.
 */
#include "tests/tools/future.h"

#include <stdlib.h>
#include <string.h>

#define REFUSED                                                                                    \
    "/f.snap: written by stasis " STASIS_VERSION ": record future.fan fan0 is of a type that this" \
    " release does not know"

static struct run run;
static struct built built;

static int set_up(void **state)
{
    int rc = setup_folder(state);

    built_future(&built);
    save_to(&built, in_folder("f.snap"));
    return rc;
}

static int tear_down(void **state)
{
    built_fini(&built);
    run_fini(&run);
    return teardown_folder(state);
}

static void info(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "info", in_folder("f.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, " records, 2 unknown to this release\n");
    assert_has(run.out, "unknown to this release: future.fan fan0, version 1, by its schema in the "
                        "file\n"
                        "  maker                    \"Zephyr\"\n"
                        "  blades[0].angle          0x111\n"
                        "  blades[1].angle          0x222\n"
                        "  serial                   000000");
    assert_has(run.out, "0... (100 bytes)\n"
                        "  taps[0]                  00000000\n"
                        "  taps[1]                  00ab0000\n"
                        "  speeds[0]                0x0\n"
                        "  speeds[1]                0x0\n"
                        "  speeds[2]                0x4b0\n");
    assert_has(run.out,
               "unknown to this release: x86.tsc cpu0, version 2, by its schema in the file\n"
               "  khz                      0x2dc6c0\n"
               "  drift                    -5\n");
    assert_has(run.out, "vCPU cpu0, 64-bit"); /* and what is known is shown as ever */
}

static void json(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "json", in_folder("f.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\"type\": \"x86.tsc\",\n      \"instance\": \"cpu0\",\n"
                        "      \"version\": 2,\n      \"optional\": false,\n"
                        "      \"known\": false,\n      \"state\": {\n"
                        "        \"khz\": 3000000,\n        \"drift\": -5\n");
    assert_has(run.out, "\"maker\": \"Zephyr\",");
}

static void verify(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "verify", in_folder("f.snap"), NULL);
    assert_ended(&run, 4, REFUSED); /* but first */
    assert_has(run.out, "/f.snap: whole; ");
    assert_has(run.out, "\nunknown to this release, checked for its form only: future.fan fan0, "
                        "version 1 (as its schema in the file says)\n");
    assert_has(run.out,
               "\nunknown to this release, checked for its form only: x86.tsc cpu0, version "
               "2 (as its schema in the file says)\n");
}

static void ram(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "memory", in_folder("f.snap"), NULL);
    assert_ended(&run, 0, NULL);
    run_inspect(&run, NULL, "extract", "--gpa", "0", "--len", "4096", in_folder("f.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_int_equal(run.out_len, 4096);
}

static void core(void **state)
{
    static const struct stasis_schema newer = {
        .type = "x86.xsave", .version = 9, .size = 1, .doc = "later"};
    struct built other;

    (void)state;
    run_inspect(&run, NULL, "core", in_folder("f.snap"), "-o", in_folder("core"), NULL);
    assert_ended(&run, 0, NULL); /* it has no place for a TSC or a fan */
    built_machine(&other);
    add_state(&other, &newer, "cpu0", "");
    save_to(&other, in_folder("c.snap"));
    run_inspect(&run, NULL, "core", in_folder("c.snap"), "-o", in_folder("core"), NULL);
    assert_ended(&run, 4,
                 "/c.snap: written by stasis " STASIS_VERSION ": record x86.xsave cpu0 is "
                 "of version 9, this release reads up to 1; use the program that wrote");
    built_fini(&other);
}

static void schemas(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "schema", in_folder("f.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out,
               "x86.tsc, version 2: TSC that drifts\n"
               "    1  khz                    uint32                 kHz\n"
               "    2  drift                  int64                  against the host's\n");
    assert_has(run.out, "blade, nested: a blade\n"
                        "    1  angle                  uint64                 mrad\n"
                        "future.fan, version 1: a fan\n"
                        "    1  maker                  string<=16             who made it\n"
                        "    2  blades                 blade<=4               clockwise\n"
                        "    3  serial                 bytes<=300             number\n");
}

static void commands_that_need_all_records_refuse_a_newer_file(void **state)
{
    struct stasis_snap *snap;
    struct stasis_error err;

    (void)state;
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("f.snap"), in_folder("o"), NULL);
    assert_ended(&run, 4, REFUSED);
    assert_int_equal(stasis_snap_open(in_folder("f.snap"), NULL, &snap, &err), STASIS_ERR_VERSION);
    assert_has(err.msg, REFUSED);
}

/* Another program's file is whole by its optional records, and refused by its mandatory ones: in
 * its own name. */
static void the_producer_is_named(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .producer = "acme-emu 3.1"};
    struct stasis_schema optional = {
        .type = "acme.fan", .version = 1, .optional = true, .size = 1, .doc = "a fan"};
    struct stasis_error err;
    struct built other;

    (void)state;
    built_future(&other);
    assert_int_equal(stasis_snap_save(other.snap, in_folder("acme.snap"), &opts, NULL, &err), 0);
    built_fini(&other);
    run_inspect(&run, NULL, "info", in_folder("acme.snap"), NULL);
    assert_has(run.out, "  producer    acme-emu 3.1, format 2, ");
    run_inspect(&run, NULL, "verify", in_folder("acme.snap"), NULL);
    assert_ended(&run, 4,
                 "/acme.snap: written by acme-emu 3.1: record future.fan fan0 is of a type that "
                 "this release does not know: use the program that wrote it\n");
    built_machine(&other);
    add_state(&other, &optional, "fan0", "");
    save_to(&other, in_folder("acme.snap"));
    built_fini(&other);
    run_inspect(&run, NULL, "verify", in_folder("acme.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "unknown to this release, checked for its form only: acme.fan fan0");
}

static void a_newer_version_is_named(void **state)
{
    const struct future_tsc tsc = {0};
    struct stasis_snap *snap;
    struct stasis_error err;
    struct built other;

    (void)state;
    built_machine(&other);
    add_state(&other, &future_tsc_schema, "cpu0", &tsc);
    save_to(&other, in_folder("v.snap"));
    assert_int_equal(stasis_snap_open(in_folder("v.snap"), NULL, &snap, &err), STASIS_ERR_VERSION);
    assert_has(err.msg, "/v.snap: written by stasis " STASIS_VERSION ": record x86.tsc cpu0 has "
                        "version 2, this release reads up to 1");
    built_fini(&other);
}

/* Replaces the schema section by one of one state, and puts the CRCs right. */
static void replace_schemas(const char *name, const uint8_t *bytes, size_t len)
{
    struct image image = image_read(in_folder("f.snap"));
    uint8_t *section = image_section(&image, STASIS_SECTION_SCHEMA);
    uint64_t at = section_offset(section);

    assert_true(len <= section_length(section));
    memset(image.bytes + at, 0, section_length(section));
    memcpy(image.bytes + at, bytes, len);
    memset(section + 16, 0, 8);
    section[16] = (uint8_t)len;
    image_reseal(&image);
    write_file(in_folder(name), image.bytes, image.len);
    image_fini(&image);
}

/* Fields by id are what is left, and a reason. */
static void schemas_that_do_not_help(void **state)
{
    static const uint8_t none[] = {0x90};
    /* x86.tsc, version 2, without fields */
    static const uint8_t lie[] = {0x91, 0x94, 0xa7, 'x', '8',  '6', '.',
                                  't',  's',  'c',  2,   0xa0, 0x90};

    (void)state;
    replace_schemas("none.snap", none, sizeof(none));
    run_inspect(&run, NULL, "info", in_folder("none.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "x86.tsc cpu0, version 2, without a schema; json has its fields by id\n");
    run_inspect(&run, NULL, "schema", in_folder("none.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_string_equal(run.out, "the file came without schemas\n");
    replace_schemas("lie.snap", lie, sizeof(lie));
    run_inspect(&run, NULL, "info", in_folder("lie.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "x86.tsc cpu0, version 2, which is not what its schema in the file says; "
                        "json has its fields by id\n");
    run_inspect(&run, NULL, "json", in_folder("lie.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\"1\": 3000000,\n        \"2\": -5\n");
    run_inspect(&run, NULL, "verify", in_folder("lie.snap"), NULL);
    assert_ended(&run, 4, "/lie.snap: written by");
    assert_has(run.out, "x86.tsc cpu0, version 2 (no schema in the file describes it)\n");
}

#define BROKEN "broken.snap"
#define UNUSED_OF                                                                                  \
    "/broken.snap: the schema section is damaged (CRC); the records are shown without it"
#define UNKNOWN_AS "x86.tsc cpu0, version 2, without a schema; json has its fields by id\n"

/* Flips a bit of the schema section, as a disk does. */
static void damage_schemas(const char *from)
{
    struct image image = image_read(in_folder(from));

    image.bytes[section_offset(image_section(&image, STASIS_SECTION_SCHEMA)) + 20] ^= 4;
    write_file(in_folder(BROKEN), image.bytes, image.len);
    image_fini(&image);
}

/* The schemas are for display: what needs them refuses broken ones, all else does without. */
static void damaged_schemas(void **state)
{
    char file[256];

    snprintf(file, sizeof(file), "%s", in_folder(BROKEN));
    (void)state;
    damage_schemas("f.snap");
    run_inspect(&run, NULL, "info", file, NULL);
    assert_ended(&run, 0, UNUSED_OF);
    assert_has(run.out, UNKNOWN_AS);
    run_inspect(&run, NULL, "json", file, NULL);
    assert_ended(&run, 0, UNUSED_OF);
    assert_has(run.out, "\"1\": 3000000,\n        \"2\": -5\n");
    run_inspect(&run, NULL, "memory", file, NULL);
    assert_ended(&run, 0, UNUSED_OF);
    run_inspect(&run, NULL, "extract", "--gpa", "0", "--len", "4096", file, NULL);
    assert_ended(&run, 0, UNUSED_OF);
    assert_int_equal(run.out_len, 4096);
    run_inspect(&run, NULL, "core", file, "-o", in_folder("core"), NULL);
    assert_ended(&run, 0, UNUSED_OF);
    run_inspect(&run, NULL, "diff", file, in_folder("f.snap"), NULL);
    assert_has(run.err, UNUSED_OF);
    assert_true(run.status < 2);
    run_inspect(&run, NULL, "schema", file, NULL);
    assert_ended(&run, 3, "/broken.snap: the schema section is damaged (CRC); do not trust");
    assert_string_equal(run.out, "");
}

/* Damage is a verdict only on a file that this release reads. */
static void damage_and_verdict(void **state)
{
    static const uint8_t broken[] = {0xc0};
    struct built today;

    (void)state;
    replace_schemas(BROKEN, broken, sizeof(broken));
    run_inspect(&run, NULL, "verify", in_folder(BROKEN), NULL);
    assert_ended(&run, 4, "/broken.snap: written by");
    assert_has(run.out, "/broken.snap: schema section, state 0: ");
    run_inspect(&run, NULL, "info", in_folder(BROKEN), NULL);
    assert_ended(&run, 0, "/broken.snap: schema section, state 0: ");
    built_machine(&today);
    save_to(&today, in_folder("today.snap"));
    built_fini(&today);
    damage_schemas("today.snap");
    run_inspect(&run, NULL, "verify", in_folder(BROKEN), NULL);
    assert_ended(&run, 3, "/broken.snap: the section of type 4 is damaged (CRC); do not trust");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info),
        cmocka_unit_test(json),
        cmocka_unit_test(verify),
        cmocka_unit_test(ram),
        cmocka_unit_test(core),
        cmocka_unit_test(schemas),
        cmocka_unit_test(commands_that_need_all_records_refuse_a_newer_file),
        cmocka_unit_test(the_producer_is_named),
        cmocka_unit_test(a_newer_version_is_named),
        cmocka_unit_test(schemas_that_do_not_help),
        cmocka_unit_test(damaged_schemas),
        cmocka_unit_test(damage_and_verdict),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
