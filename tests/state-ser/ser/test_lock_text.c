/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frozen text that is none.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "lock_rig.h"

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
        assert_true(lock_compare(copy) != 0);
        tried++;
    }
    assert_int_equal(tried, 15);
    free(copy);
}

static void a_line_has_a_longest_length(void **state)
{
    enum { LONGEST = 1024 };
    char *copy = malloc(LONGEST + 3 + strlen(frozen));

    (void)state;
    assert_non_null(copy);
    for (size_t len = LONGEST; len <= LONGEST + 1; len++) {
        memset(copy, '#', len);
        sprintf(copy + len, "\n%s", frozen);
        assert_int_equal(lock_compare(copy), len == LONGEST ? 0 : STASIS_ERR_CORRUPT);
    }
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
        if (lock_compare(texts[i]) != STASIS_ERR_CORRUPT || !err.msg[0])
            fail_msg("taken: %s", texts[i]);
    }
    assert_int_equal(
        lock_compare("format 1\nrelease 1\nfield 1 a kind=int size=1 signed=0 since=1 until=0 "
                     "max=1 mask=0x1 sub=- default=0x0\nend\n"),
        STASIS_ERR_CORRUPT); /* of no record */
    assert_int_equal(
        lock_compare("format 1\nrelease 1\nrecord a version=1 optional=0\nfield 2 a kind=int "
                     "size=1 signed=0 since=1 until=0 max=1 mask=0x1 sub=- default=0x0\n"
                     "end\n"),
        STASIS_ERR_CORRUPT); /* no field 1 before it */
    assert_int_equal(
        stasis_lock_check(&now.set, "format 1\nrelease 1\nend\0x\n", 25, NULL, NULL, &result, &err),
        STASIS_ERR_CORRUPT);
    assert_int_equal(lock_compare("# a comment\nformat 1\n\nrelease 1\nend\n"), 0);
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
    assert_int_equal(lock_compare(text), STASIS_ERR_CORRUPT);
    snprintf(text, sizeof(text), "format 1\nrelease 1\n#%s\nend\n", filler);
    assert_int_equal(lock_compare(text), STASIS_ERR_CORRUPT);
    snprintf(text, sizeof(text), "format 1\nrelease 1\n#%.1023s\nend\n", filler);
    assert_int_equal(lock_compare(text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_are_corrupt, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(lines_are_missed, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(a_line_has_a_longest_length, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(other_text_is_corrupt, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_corrupt, lock_setup, lock_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
