/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Notes in a file: written, read when asked for, and never in the way of the machine.
 */
#include "tests/state-ser/snap/fixture.h"

#include <string.h>
#include <unistd.h>

#include "state-ser/snap/le.h"

static struct built built;

static void note(const char *key, const char *value)
{
    struct stasis_error err = {0};

    if (stasis_notes_set(stasis_snap_notes(built.snap), key, value, &err))
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    (void)state;
    built_large(&built);
    return 0;
}

/* The standard ones; setup() alone leaves none. */
static int setup_notes(void **state)
{
    setup(state);
    note("ticket", "4711");
    note("image", "debian-12");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    built_fini(&built);
    return 0;
}

static void assert_standard(const struct stasis_notes *notes)
{
    assert_int_equal(stasis_notes_count(notes), 2);
    assert_string_equal(stasis_notes_get(notes, "image"), "debian-12");
    assert_string_equal(stasis_notes_get(notes, "ticket"), "4711");
}

/* Read when asked for, and not before. */
static void assert_comes_back(struct image image)
{
    struct stasis_snap *snap = image_reopen(&image);
    struct stasis_error err = {0};

    assert_int_equal(stasis_notes_count(stasis_snap_notes(snap)), 0);
    if (stasis_snap_read_notes(snap, &err))
        fail_msg("%s", err.msg);
    assert_standard(stasis_snap_notes(snap));
    assert_same_ram(snap, &built, 1);
    if (stasis_snap_verify(snap, 1, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(stasis_snap_unknown_count(snap), 0);
    stasis_snap_free(snap);
    image_fini(&image);
}

static void notes_are_read_back_in_each_layout(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};

    (void)state;
    assert_comes_back(image_of(&built));
    assert_comes_back(image_of_stream(&built));
    assert_comes_back(image_of_with(&built, &opts));
    assert_comes_back(image_of_stream_with(&built, &opts));
}

static uint32_t section_count(const struct image *image)
{
    return stasis_le32_get(image->bytes + image_header(image) + STASIS_HDR_SECTION_COUNT);
}

/* As a file of 0.1.0: a section more only if there is something in it. */
static void no_notes_take_no_section(void **state)
{
    struct image image = image_of(&built);
    struct stasis_snap *snap = image_reopen(&image);
    struct stasis_error err;

    (void)state;
    assert_int_equal(section_count(&image), 4);
    assert_int_equal(stasis_snap_read_notes(snap, &err), 0);
    assert_int_equal(stasis_notes_count(stasis_snap_notes(snap)), 0);
    stasis_snap_free(snap);
    image_fini(&image);
    note("a", "");
    image = image_of(&built);
    assert_int_equal(section_count(&image), 5);
    image_fini(&image);
    note("a", NULL);
    image = image_of_stream(&built);
    assert_int_equal(section_count(&image), 4);
    image_fini(&image);
}

/* Behind the schemas, without a gap; flagged as what older readers may skip. */
static void the_section_has_its_place(void **state)
{
    struct image image = image_of(&built);
    uint8_t *schema = image_section(&image, STASIS_SECTION_SCHEMA);
    uint8_t *notes = image_section(&image, STASIS_SECTION_NOTES);

    (void)state;
    assert_int_equal(notes - schema, STASIS_SECTION_ENTRY_LEN);
    assert_int_equal(stasis_le32_get(notes + 4), STASIS_SECTION_OPTIONAL);
    assert_int_equal(section_offset(notes), section_offset(schema) + section_length(schema));
    assert_int_equal(section_length(notes), 31);
    image_fini(&image);
    image = image_of_stream(&built);
    schema = image_section(&image, STASIS_SECTION_SCHEMA);
    notes = image_section(&image, STASIS_SECTION_NOTES);
    assert_int_equal(section_offset(notes), section_offset(schema) + section_length(schema));
    assert_int_equal(section_offset(notes) + section_length(notes), image_header(&image));
    image_fini(&image);
}

static void notes_that_were_read_can_be_changed(void **state)
{
    struct image image = image_of(&built);
    struct stasis_snap *snap = image_reopen(&image);
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(stasis_notes_set(stasis_snap_notes(snap), "lost", "by reading", &err), 0);
    assert_int_equal(stasis_snap_read_notes(snap, &err), 0);
    assert_standard(stasis_snap_notes(snap));
    assert_int_equal(stasis_notes_set(stasis_snap_notes(snap), "ticket", "5", &err), 0);
    assert_int_equal(stasis_snap_read_notes(snap, &err), 0);
    assert_string_equal(stasis_notes_get(stasis_snap_notes(snap), "ticket"), "5");
    assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, &err), 0);
    assert_string_equal(stasis_notes_get(stasis_snap_notes(snap), "ticket"), "5");
    stasis_snap_free(snap);
    image_fini(&image);
}

static void only_a_file_is_read(void **state)
{
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(stasis_snap_read_notes(built.snap, &err), STASIS_ERR_ARG);
    assert_int_equal(err.code, STASIS_ERR_ARG);
    assert_standard(stasis_snap_notes(built.snap));
}

/* Damaged notes keep nobody from the machine, but the file is not whole. */
static void assert_damaged(struct image image, const char *words)
{
    struct stasis_snap *snap = image_reopen(&image);
    struct stasis_error err = {0};

    assert_same_ram(snap, &built, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stasis_snap_read_notes(snap, &err), STASIS_ERR_CORRUPT);
        assert_int_equal(strncmp(err.msg, "test: ", 6), 0);
        if (!strstr(err.msg, words))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
        assert_int_equal(stasis_notes_count(stasis_snap_notes(snap)), 0);
    }
    assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, &err), STASIS_ERR_CORRUPT);
    stasis_snap_free(snap);
    image_fini(&image);
}

static uint8_t *notes_of(struct image *image)
{
    return image->bytes + section_offset(image_section(image, STASIS_SECTION_NOTES));
}

static void damage_is_seen(void **state)
{
    struct image image = image_of(&built);

    (void)state;
    notes_of(&image)[8] ^= 1;
    assert_damaged(image, "the notes section is damaged (CRC)");
    image = image_of(&built);
    notes_of(&image)[9] = 0x1f; /* the first byte of a value */
    image_reseal_section(&image, STASIS_SECTION_NOTES);
    assert_damaged(image, "notes section, note 0: ");
    image = image_of_stream(&built);
    notes_of(&image)[0] = 0x91;
    image_reseal_section(&image, STASIS_SECTION_NOTES);
    assert_damaged(image, "bytes behind the last note");
}

static void bounds_of_the_section(void **state)
{
    struct image image;

    (void)state;
    note("ticket", NULL);
    note("image", NULL);
    image = image_of(&built);
    image_add_section(&image, STASIS_SECTION_NOTES, 0);
    assert_damaged(image, "the notes section has 0 bytes, at most 131072");
    image = image_of(&built);
    image_add_section(&image, STASIS_SECTION_NOTES, STASIS_NOTES_SECTION_MAX);
    assert_damaged(image, "notes section, note 0: ");
    image = image_of(&built);
    image_add_section(&image, STASIS_SECTION_NOTES, STASIS_NOTES_SECTION_MAX + 1);
    assert_damaged(image, "the notes section has 131073 bytes, at most 131072");
}

static void a_second_section_is_corrupt(void **state)
{
    struct image image = image_of(&built);
    struct stasis_error err = {0};

    (void)state;
    image_add_section(&image, STASIS_SECTION_NOTES, 4);
    assert_int_equal(check_image(&image, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "section 5 of type 5 is a second one"));
    image_fini(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(notes_are_read_back_in_each_layout, setup_notes, teardown),
        cmocka_unit_test_setup_teardown(no_notes_take_no_section, setup, teardown),
        cmocka_unit_test_setup_teardown(the_section_has_its_place, setup_notes, teardown),
        cmocka_unit_test_setup_teardown(notes_that_were_read_can_be_changed, setup_notes, teardown),
        cmocka_unit_test_setup_teardown(only_a_file_is_read, setup_notes, teardown),
        cmocka_unit_test_setup_teardown(damage_is_seen, setup_notes, teardown),
        cmocka_unit_test_setup_teardown(bounds_of_the_section, setup_notes, teardown),
        cmocka_unit_test_setup_teardown(a_second_section_is_corrupt, setup_notes, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
