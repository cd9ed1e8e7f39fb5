/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

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

static void what_a_terminal_does_not_show_is_escaped(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_one_line_that_begins_with_the_program),
        cmocka_unit_test(what_a_terminal_does_not_show_is_escaped),
        cmocka_unit_test(long_text_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
