/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Notes: set, replaced, removed, and as the bytes of a section.
 */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/notes.h"

static struct stasis_notes *notes;

static int setup(void **state)
{
    (void)state;
    notes = stasis_notes_new();
    return notes ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    stasis_notes_free(notes);
    return 0;
}

static void set(const char *key, const char *value)
{
    struct stasis_error err = {0};

    if (stasis_notes_set(notes, key, value, &err))
        fail_msg("%s", err.msg);
}

static void refused(const char *key, const char *value, int code, const char *words)
{
    struct stasis_error err = {0};
    size_t count = stasis_notes_count(notes);

    assert_int_equal(stasis_notes_set(notes, key, value, &err), code);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
    assert_int_equal(stasis_notes_count(notes), count);
}

static void assert_note(size_t index, const char *key, const char *value)
{
    assert_in_range(index, 0, stasis_notes_count(notes) - 1);
    assert_string_equal(stasis_notes_at(notes, index).key, key);
    assert_string_equal(stasis_notes_at(notes, index).value, value);
}

static char *repeated(char c, size_t count)
{
    char *text = malloc(count + 1);

    memset(text, c, count);
    text[count] = '\0';
    return text;
}

static void notes_are_sorted_by_key(void **state)
{
    (void)state;
    assert_int_equal(stasis_notes_count(notes), 0);
    assert_null(stasis_notes_get(notes, "image"));
    set("ticket", "4711");
    set("image", "debian-12");
    set("z", "");
    set("owner", "J\xc3\xb6rg");
    assert_int_equal(stasis_notes_count(notes), 4);
    assert_note(0, "image", "debian-12");
    assert_note(1, "owner", "J\xc3\xb6rg");
    assert_note(2, "ticket", "4711");
    assert_note(3, "z", "");
    assert_string_equal(stasis_notes_get(notes, "ticket"), "4711");
    assert_string_equal(stasis_notes_get(notes, "z"), "");
    assert_null(stasis_notes_get(notes, "imag"));
    assert_null(stasis_notes_get(notes, "images"));
    assert_null(stasis_notes_get(notes, "zz"));
}

static void a_note_is_replaced_or_removed(void **state)
{
    (void)state;
    set("a", "1");
    set("b", "2");
    set("c", "3");
    set("b", "a longer value than before");
    assert_int_equal(stasis_notes_count(notes), 3);
    assert_note(1, "b", "a longer value than before");
    set("b", NULL);
    set("b", NULL);
    set("0", NULL);
    assert_int_equal(stasis_notes_count(notes), 2);
    assert_note(0, "a", "1");
    assert_note(1, "c", "3");
    set("c", NULL);
    set("a", NULL);
    assert_int_equal(stasis_notes_count(notes), 0);
    set("a", "again");
    assert_note(0, "a", "again");
}

static void keys_and_values_have_bounds(void **state)
{
    char *key = repeated('k', STASIS_NOTE_KEY_MAX + 1);
    char *value = repeated('v', STASIS_NOTE_VALUE_MAX + 1);

    (void)state;
    refused("", "v", STASIS_ERR_RANGE, "\"\" cannot be the key of a note: give 1 to 32 characters");
    refused(key, "v", STASIS_ERR_RANGE, "cannot be the key");
    refused(key, NULL, STASIS_ERR_RANGE, "cannot be the key");
    refused("Image", "v", STASIS_ERR_RANGE, "\"Image\" cannot be the key");
    refused("a b", "v", STASIS_ERR_RANGE, "cannot be the key");
    refused("a=b", "v", STASIS_ERR_RANGE, "cannot be the key");
    refused("k", value, STASIS_ERR_RANGE, "the value of the note k has more than 1024 bytes");
    refused("k", "a\nb", STASIS_ERR_RANGE, "control characters");
    refused("k", "\xff", STASIS_ERR_RANGE, "not UTF-8");
    key[STASIS_NOTE_KEY_MAX] = '\0';
    value[STASIS_NOTE_VALUE_MAX] = '\0';
    set(key, value);
    assert_note(0, key, value);
    set("az.09_-", "");
    free(key);
    free(value);
}

static void there_is_room_for_so_many(void **state)
{
    char key[16];

    (void)state;
    for (unsigned i = 0; i < STASIS_NOTES_MAX; i++) {
        snprintf(key, sizeof(key), "k%03u", (i * 37) % STASIS_NOTES_MAX);
        set(key, "v");
    }
    assert_int_equal(stasis_notes_count(notes), STASIS_NOTES_MAX);
    assert_note(STASIS_NOTES_MAX - 1, "k063", "v");
    refused("k999", "v", STASIS_ERR_FULL, "no room for the note k999: there are 64");
    refused("a", "v", STASIS_ERR_FULL, "no room");
    set("k063", "another");
    assert_note(STASIS_NOTES_MAX - 1, "k063", "another");
    set("k999", NULL);
    set("k000", NULL);
    set("k999", "v");
    assert_note(STASIS_NOTES_MAX - 1, "k999", "v");
}

/* ---- bytes ---- */

static void assert_bytes(const char *expected, size_t expected_len)
{
    struct stasis_error err;
    uint8_t *bytes;
    size_t len;

    assert_int_equal(stasis_notes_encode(notes, &bytes, &len, &err), 0);
    assert_int_equal(len, expected_len);
    assert_memory_equal(bytes, expected, len);
    free(bytes);
}

static void sections_are_written_byte_by_byte(void **state)
{
    static const char some[] = "\x92"
                               "\x92\xa5image\xa9"
                               "debian-12"
                               "\x92\xa6ticket\xa0";

    (void)state;
    assert_bytes("\x90", 1);
    set("ticket", "");
    set("image", "debian-12");
    assert_bytes(some, sizeof(some) - 1);
}

/* The longest section there can be, and back. */
static void the_fullest_set_comes_back(void **state)
{
    char *value = repeated('v', STASIS_NOTE_VALUE_MAX);
    char key[STASIS_NOTE_KEY_MAX + 1];
    struct stasis_notes *back;
    uint8_t *bytes;
    uint8_t *again;
    size_t len;
    size_t len_again;

    (void)state;
    for (unsigned i = 0; i < STASIS_NOTES_MAX; i++) {
        snprintf(key, sizeof(key), "%032u", i);
        set(key, value);
    }
    assert_int_equal(stasis_notes_encode(notes, &bytes, &len, NULL), 0);
    assert_int_equal(len, 3 + STASIS_NOTES_MAX *
                                  (1 + 2 + STASIS_NOTE_KEY_MAX + 3 + STASIS_NOTE_VALUE_MAX));
    assert_in_range(len, 1, STASIS_NOTES_SECTION_MAX);
    assert_int_equal(stasis_notes_parse(bytes, len, &back, NULL), 0);
    assert_int_equal(stasis_notes_count(back), STASIS_NOTES_MAX);
    assert_string_equal(stasis_notes_at(back, 63).key, key);
    assert_string_equal(stasis_notes_at(back, 0).value, value);
    assert_int_equal(stasis_notes_encode(back, &again, &len_again, NULL), 0);
    assert_int_equal(len_again, len);
    assert_memory_equal(again, bytes, len);
    stasis_notes_free(back);
    free(again);
    free(bytes);
    free(value);
}

static void bytes_beyond_the_rules_are_corrupt(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *words; /* NULL: they are good */
    } rows[] = {
        {"\x90", 1, NULL},
        {"\x91\x92\xa1k\xa0", 5, NULL},
        {"\x92\x92\xa1k\xa0\x92\xa1l\xa1v", 10, NULL},
        {"\x92\x92\xa1k\xa0\x92\xa2ka\xa0", 10, NULL},
        {"", 0, "note 0: "},
        {"\x80", 1, "note 0: "},
        {"\x90\x90", 2, "note 0: bytes behind the last note"},
        {"\x91\x92\xa1k\xa0\xc0", 6, "note 1: bytes behind the last note"},
        {"\x91\xa1k", 3, "note 0: "},
        {"\x91\x91\xa1k", 4, "note 0: "},
        {"\x92\x91\xa1k\xa0", 5, "note 0: it is not a pair"},
        {"\x91\x93\xa1k\xa0\xa0", 6, "note 0: it is not a pair"},
        {"\x91\x92\xa0\xa0", 4, "note 0: its key is empty, too long, or not of a-z"},
        {"\x91\x92\xa1K\xa0", 5, "note 0: its key is empty"},
        {"\x91\x92\x01\xa0", 4, "note 0: "},
        {"\x91\x92\xa1k\x01", 5, "note 0: "},
        {"\x91\x92\xa1k\xc4\x00", 6, "note 0: "},
        {"\x91\x92\xa1k\xa1\x1f", 6, "note 0: its value is too long, not UTF-8"},
        {"\x91\x92\xa1k\xa1\xff", 6, "note 0: its value is too long, not UTF-8"},
        {"\x91\x92\xa1k\xd9\x01v", 7, "note 0: "},
        {"\x91\x92\xd9\x01k\xa0", 6, "note 0: "},
        {"\x92\x92\xa1k\xa0\x92\xa1k\xa1v", 10, "note 1: its key is not above the one before"},
        {"\x92\x92\xa1l\xa0\x92\xa1k\xa0", 9, "note 1: its key is not above the one before"},
        {"\x92\x92\xa2ka\xa0\x92\xa1k\xa0", 10, "note 1: its key is not above"},
        {"\xdc\x00\x41", 3, "note 0: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stasis_notes *back = notes;
        struct stasis_error err = {0};
        uint8_t *copy = malloc(rows[i].len + 1); /* of its own, for the sanitizers */
        int rc;

        memcpy(copy, rows[i].bytes, rows[i].len);
        rc = stasis_notes_parse(copy, rows[i].len, &back, &err);
        free(copy);
        if (!rows[i].words) {
            assert_int_equal(rc, 0);
            stasis_notes_free(back);
            continue;
        }
        assert_int_equal(rc, STASIS_ERR_CORRUPT);
        assert_ptr_equal(back, notes);
        assert_int_equal(err.code, STASIS_ERR_CORRUPT);
        if (strncmp(err.msg, "notes section, ", 15) != 0 || !strstr(err.msg, rows[i].words))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.msg, rows[i].words);
    }
}

/* A section of `count` notes with these lengths, as no set would write it. */
static int parse_made(unsigned count, size_t key_len, size_t value_len)
{
    size_t size = 3 + (size_t)count * (key_len + value_len + 6);
    uint8_t *bytes = malloc(size);
    struct stasis_notes *back;
    uint8_t *p = bytes;
    int rc;

    *p++ = 0xdc;
    *p++ = (uint8_t)(count >> 8);
    *p++ = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        *p++ = 0x92;
        *p++ = 0xd9;
        *p++ = (uint8_t)key_len;
        p += snprintf((char *)p, key_len + 1, "%0*u", (int)key_len, i);
        *p++ = 0xda;
        *p++ = (uint8_t)(value_len >> 8);
        *p++ = (uint8_t)value_len;
        memset(p, 'v', value_len);
        p += value_len;
    }
    assert_ptr_equal(p, bytes + size);
    rc = stasis_notes_parse(bytes, size, &back, NULL);
    if (!rc)
        stasis_notes_free(back);
    free(bytes);
    return rc;
}

static void each_bound_holds_for_bytes_too(void **state)
{
    (void)state;
    assert_int_equal(parse_made(STASIS_NOTES_MAX, 32, STASIS_NOTE_VALUE_MAX), 0);
    assert_int_equal(parse_made(STASIS_NOTES_MAX + 1, 32, 256), STASIS_ERR_CORRUPT);
    assert_int_equal(parse_made(16, STASIS_NOTE_KEY_MAX + 1, 256), STASIS_ERR_CORRUPT);
    assert_int_equal(parse_made(16, 32, STASIS_NOTE_VALUE_MAX + 1), STASIS_ERR_CORRUPT);
}

/* Every prefix of a good section is cut off somewhere. */
static void no_prefix_of_a_section_is_one(void **state)
{
    struct stasis_notes *back;
    uint8_t *bytes;
    size_t len;

    (void)state;
    set("image", "debian-12");
    set("ticket", "4711");
    assert_int_equal(stasis_notes_encode(notes, &bytes, &len, NULL), 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(stasis_notes_parse(bytes, i, &back, NULL), STASIS_ERR_CORRUPT);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(notes_are_sorted_by_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_note_is_replaced_or_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_and_values_have_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_room_for_so_many, setup, teardown),
        cmocka_unit_test_setup_teardown(sections_are_written_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(the_fullest_set_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_beyond_the_rules_are_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(each_bound_holds_for_bytes_too, setup, teardown),
        cmocka_unit_test_setup_teardown(no_prefix_of_a_section_is_one, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
