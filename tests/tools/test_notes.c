/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The notes of a snapshot: shown, compared, and kept by a migration.
 */
#include "tests/tools/rig.h"

#include <string.h>

#include "stasis/notes.h"

static struct run run;
static struct built built;

static void note(const char *key, const char *value)
{
    struct stasis_error err = {0};

    if (stasis_notes_set(stasis_snap_notes(built.snap), key, value, &err))
        fail_msg("%s", err.msg);
}

static void save(const char *name)
{
    save_to(&built, in_folder(name));
}

/* a.snap and b.snap: one note is equal, one different, one in each alone; none.snap has none. */
static int set_up(void **state)
{
    setup_folder(state);
    built_machine(&built);
    save("none.snap");
    note("image", "debian-12");
    note("owner", "J\xc3\xb6rg");
    note("ticket", "4711");
    save("a.snap");
    note("ticket", NULL);
    note("image", "debian-13");
    note("zone", "");
    save("b.snap");
    return 0;
}

static int tear_down(void **state)
{
    built_fini(&built);
    run_fini(&run);
    return teardown_folder(state);
}

static void info_shows_them(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "info", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\n  notes       image=debian-12\n"
                        "              owner=J\xc3\xb6rg\n"
                        "              ticket=4711\n"
                        "  generation  ");
    run_inspect(&run, NULL, "info", in_folder("none.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_null(strstr(run.out, "notes"));
}

/* A zero-width space is text for the format, and no text for a terminal. */
static void info_escapes_them(void **state)
{
    (void)state;
    note("image", "a\xe2\x80\x8b"
                  "b");
    save("odd.snap");
    note("image", "debian-13");
    run_inspect(&run, NULL, "info", in_folder("odd.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "image=a\\xe2\\x80\\x8bb\n");
}

static void json_holds_them(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "json", in_folder("b.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "  \"notes\": {\n    \"image\": \"debian-13\",\n"
                        "    \"owner\": \"J\xc3\xb6rg\",\n    \"zone\": \"\"\n  },\n"
                        "  \"regions\": [");
    run_inspect(&run, NULL, "json", in_folder("none.snap"), NULL);
    assert_has(run.out, "  \"notes\": {},\n");
}

static void diff(const char *a, const char *b, int status)
{
    run_inspect(&run, NULL, "diff", in_folder(a), in_folder(b), NULL);
    assert_ended(&run, status, NULL);
}

static void diff_compares_them(void **state)
{
    (void)state;
    diff("a.snap", "b.snap", 1);
    assert_string_equal(run.out, "note image: debian-12 -> debian-13\n"
                                 "note ticket: 4711 -> absent\n"
                                 "note zone: absent -> \n"
                                 "different: 3 of 4 notes differ; 0 of 8 records differ; 0 of 50 "
                                 "pages of memory differ\n");
    diff("b.snap", "none.snap", 1);
    assert_has(run.out, "note zone:  -> absent\ndifferent: 3 of 3 notes differ; ");
    diff("none.snap", "a.snap", 1);
    assert_has(run.out, "note image: absent -> debian-12\n");
    diff("a.snap", "a.snap", 0);
    assert_string_equal(run.out,
                        "same: 0 of 3 notes differ; 0 of 8 records differ; 0 of 50 pages of memory "
                        "differ\n");
    diff("none.snap", "none.snap", 0);
    assert_int_equal(strncmp(run.out, "same: 0 of 8 records differ; ", 29), 0);
}

static void diff_json_lists_them(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "diff", "--json", in_folder("a.snap"), in_folder("b.snap"), NULL);
    assert_ended(&run, 1, NULL);
    assert_has(run.out, "  \"notes\": [\n"
                        "    {\n      \"key\": \"image\",\n      \"a\": \"debian-12\",\n"
                        "      \"b\": \"debian-13\"\n    },\n"
                        "    {\n      \"key\": \"ticket\",\n      \"a\": \"4711\"\n    },\n"
                        "    {\n      \"key\": \"zone\",\n      \"b\": \"\"\n    }\n  ],\n"
                        "  \"records\": [],\n");
    assert_has(run.out, "\"notes\": 4,\n    \"notes_different\": 3,\n");
    assert_has(run.out, "\"same\": false");
}

static void a_migration_keeps_them(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("a.snap"), in_folder("c.snap"),
                NULL);
    assert_ended(&run, 0, NULL);
    diff("a.snap", "c.snap", 0);
    assert_has(run.out, "same: 0 of 3 notes differ; ");
}

/* Who only looks is told; who promises more refuses. */
static void damaged_notes_stop_nobody_who_looks(void **state)
{
    struct image image = image_read(in_folder("a.snap"));
    uint64_t at = section_offset(image_section(&image, STASIS_SECTION_NOTES));

    (void)state;
    image.bytes[at + 4] ^= 1;
    write_file(in_folder("bad.snap"), image.bytes, image.len);
    image_fini(&image);
    run_inspect(&run, NULL, "info", in_folder("bad.snap"), NULL);
    assert_ended(&run, 0, "the notes section is damaged (CRC); its notes are left out\n");
    assert_null(strstr(run.out, "notes"));
    run_inspect(&run, NULL, "json", in_folder("bad.snap"), NULL);
    assert_ended(&run, 0, "its notes are left out");
    assert_has(run.out, "\"notes\": {},");
    run_inspect(&run, NULL, "extract", "--gpa", "0", "--len", "4096", in_folder("bad.snap"), NULL);
    assert_ended(&run, 0, NULL);
    run_inspect(&run, NULL, "diff", in_folder("bad.snap"), in_folder("none.snap"), NULL);
    assert_ended(&run, 0, "its notes are left out");
    run_inspect(&run, NULL, "verify", in_folder("bad.snap"), NULL);
    assert_ended(&run, 3, "the section of type 5 is damaged (CRC)");
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("bad.snap"), in_folder("o"),
                NULL);
    assert_ended(&run, 3, "bad.snap: the section of type 5 is damaged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_shows_them),
        cmocka_unit_test(info_escapes_them),
        cmocka_unit_test(json_holds_them),
        cmocka_unit_test(diff_compares_them),
        cmocka_unit_test(diff_json_lists_them),
        cmocka_unit_test(a_migration_keeps_them),
        cmocka_unit_test(damaged_notes_stop_nobody_who_looks),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
