/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/message.h"

static void check(const char *text, const char *expected)
{
    char line[STASIS_MESSAGE_MAX];
    size_t len = stasis_message_format(line, "prog", text);

    assert_int_equal(len, strlen(expected));
    assert_memory_equal(line, expected, len);
}

static void a_message_is_one_line_that_begins_with_the_program(void **state)
{
    (void)state;
    check("a.snap: it is damaged", "prog: a.snap: it is damaged\n");
    check("", "prog: \n");
    check("a\nb\r", "prog: a\\x0ab\\x0d\n");
}

static void characters_that_terminals_hide_are_escaped(void **state)
{
    (void)state;
    check("a\x1b[2J\x07\x7f", "prog: a\\x1b[2J\\x07\\x7f\n");
    /* U+2066 and U+2069, U+200B, U+009B, a bare byte, an unfinished character */
    check("\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8b\xc2\x9b\xff\xe2\x82",
          "prog: \\xe2\\x81\\xa6\\xe2\\x81\\xa9\\xe2\\x80\\x8b\\xc2\\x9b\\xff\\xe2\\x82\n");
    check("\xc3\xa9\xe2\x82\xac", "prog: \xc3\xa9\xe2\x82\xac\n");
}

/* Every error fits; what is longer is cut between characters. */
static void long_text_is_cut(void **state)
{
    char text[STASIS_MESSAGE_MAX + 8];
    char line[STASIS_MESSAGE_MAX];
    size_t len;

    (void)state;
    memset(text, 1, sizeof(text));
    text[STASIS_ERROR_MSG_MAX - 1] = 0;
    len = stasis_message_format(line, "snapshot-inspect", text);
    assert_int_equal(len, strlen("snapshot-inspect: \n") + 4 * (STASIS_ERROR_MSG_MAX - 1));
    text[STASIS_ERROR_MSG_MAX - 1] = 1;
    text[sizeof(text) - 1] = 0;
    len = stasis_message_format(line, "prog", text);
    assert_in_range(len, STASIS_MESSAGE_MAX - 4, STASIS_MESSAGE_MAX);
    assert_memory_equal(line + len - 5, "\\x01\n", 5);
}

static void a_remedy_is_named_once_and_fits_the_error(void **state)
{
    static const struct {
        enum stasis_err code;
        const char *msg;
        const char *remedy;
        int os_errno;
    } rows[] = {
        {STASIS_ERR_NOT_FOUND, "a.snap: No such file or directory", "; check the name"},
        {STASIS_ERR_NOT_FOUND, "a.snap: lies on b, not in o: name its folder by layers", ""},
        {STASIS_ERR_NOT_FOUND, "a.raw: which is not in its folder; put it there", ""},
        {STASIS_ERR_CORRUPT, "a.snap: another content; name its folder by layers", ""},
        {STASIS_ERR_CORRUPT, "a.snap: truncated", "; do not trust this file, use another copy"},
        {STASIS_ERR_VERSION, "a.disk: a disk; give it to a guest by vmm --block overlay=FILE", ""},
        {STASIS_ERR_VERSION, "a.snap: format 2", "; use the program that wrote it"},
        {STASIS_ERR_VERSION, "a.snap: format 2: use the program that wrote it", ""},
        {STASIS_ERR_WRITE, "out: No space left", "; make room or write elsewhere"},
        {STASIS_ERR_WRITE, "out: Read-only", "; write elsewhere, or allow it there", EROFS},
        {STASIS_ERR_WRITE, "no/out: No such file", "; name a folder that exists", ENOENT},
        {STASIS_ERR_NOMEM, "out of memory", "; free memory, or use a host that has more"},
        {STASIS_ERR_INTERNAL, "oops", "; this is a fault of the program: report it"},
        {STASIS_ERR_ARG, "--memory: give a number", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stasis_error err = {.code = rows[i].code, .os_errno = rows[i].os_errno};

        snprintf(err.msg, sizeof(err.msg), "%s", rows[i].msg);
        assert_string_equal(stasis_message_remedy(&err), rows[i].remedy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_one_line_that_begins_with_the_program),
        cmocka_unit_test(characters_that_terminals_hide_are_escaped),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(a_remedy_is_named_once_and_fits_the_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
