/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "vmm/api/keyval.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Writes the items of text as "<key>value", one behind the other, "-" for no key. */
static int parse(const char *text, char *list, size_t size)
{
    char copy[128];
    char *cursor = copy;
    struct stasis_keyval item;
    int rc;

    assert_true(strlen(text) < sizeof(copy));
    memcpy(copy, text, strlen(text) + 1);
    list[0] = '\0';
    while ((rc = stasis_keyval_next(&cursor, &item, NULL)) > 0) {
        size_t used = strlen(list);

        snprintf(list + used, size - used, "<%s>%s", item.key ? item.key : "-", item.value);
    }
    return rc;
}

static void splits_items(void **state)
{
    static const struct {
        const char *text;
        const char *items;
    } cases[] = {
        {"", ""},
        {"a=b", "<a>b"},
        {"a=", "<a>"},
        {"a=,b=", "<a><b>"},
        {"a=b,c=d,e=f", "<a>b<c>d<e>f"},
        {"a=b=c,d=e", "<a>b=c<d>e"},
        {"file", "<->file"},
        {"file,a=b", "<->file<a>b"},
        {"file:x=y", "<file:x>y"},
        {"a=\"b,c\",d=e", "<a>b,c<d>e"},
        {"a='b,c',d=e", "<a>b,c<d>e"},
        {"\"b,c=d\",e=f", "<->b,c=d<e>f"},
        {"a=\"\"", "<a>"},
        {"a=\"say \\\"hi\\\"\\\\\"", "<a>say \"hi\"\\"},
        {"a=\"\\n\"", "<a>\\n"},
        {"a='\\'", "<a>\\"},
        {"a='\"'", "<a>\""},
        {"a=dyndbg=\"file x +p\" quiet", "<a>dyndbg=\"file x +p\" quiet"},
        {"a=C:\\b", "<a>C:\\b"},
        {"a=it's", "<a>it's"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char list[256];

        assert_int_equal(parse(cases[i].text, list, sizeof(list)), 0);
        assert_string_equal(list, cases[i].items);
    }
}

static void refuses_malformed_items(void **state)
{
    static const char *const cases[] = {
        ",",    "a=b,",      "a=b,,c=d", ",a=b", "=b",       "a=\"b",
        "a='b", "a=\"b\\\"", "a=\"b\"c", "\"",   "a='b''c'",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char list[256];

        if (parse(cases[i], list, sizeof(list)) != STASIS_ERR_ARG)
            fail_msg("taken: %s", cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_items),
        cmocka_unit_test(refuses_malformed_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
