/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <errno.h>
#include <stdlib.h>

#include "stasis/json.h"

struct capture {
    struct stasis_json json;
    char *text;
    size_t len;
};

static void capture_begin(struct capture *capture)
{
    stasis_json_init(&capture->json, open_memstream(&capture->text, &capture->len));
}

static void capture_end(struct capture *capture, const char *want)
{
    assert_int_equal(stasis_json_finish(&capture->json), 0);
    assert_string_equal(capture->text, want);
    fclose(capture->json.out);
    free(capture->text);
}

static void test_layout(void **unused)
{
    struct capture c;

    (void)unused;
    capture_begin(&c);
    stasis_json_object_begin(&c.json);
    stasis_json_key(&c.json, "empty");
    stasis_json_array_begin(&c.json);
    stasis_json_array_end(&c.json);
    stasis_json_key(&c.json, "list");
    stasis_json_array_begin(&c.json);
    stasis_json_bool(&c.json, true);
    stasis_json_bool(&c.json, false);
    stasis_json_object_begin(&c.json);
    stasis_json_object_end(&c.json);
    stasis_json_array_end(&c.json);
    stasis_json_object_end(&c.json);
    capture_end(&c, "{\n"
                    "  \"empty\": [],\n"
                    "  \"list\": [\n"
                    "    true,\n"
                    "    false,\n"
                    "    {}\n"
                    "  ]\n"
                    "}\n");
}

static void test_integers_are_exact(void **unused)
{
    struct capture c;

    (void)unused;
    capture_begin(&c);
    stasis_json_array_begin(&c.json);
    stasis_json_u64(&c.json, UINT64_MAX);
    stasis_json_u64(&c.json, (UINT64_C(1) << 53) + 1);
    stasis_json_i64(&c.json, INT64_MIN);
    stasis_json_array_end(&c.json);
    capture_end(&c, "[\n  18446744073709551615,\n  9007199254740993,\n  -9223372036854775808\n]\n");
}

static void test_strings(void **unused)
{
    struct capture c;

    (void)unused;
    capture_begin(&c);
    stasis_json_str(&c.json,
                    "\" \\ / \n\x1f\x7f \xc2\x9b \xe2\x80\x8b\xef\xbb\xbf\xf3\xa0\x81\x81\x9b "
                    "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa7");
    capture_end(&c, "\"\\\" \\\\ / \\u000a\\u001f\\u007f \\u009b "
                    "\\u200b\\ufeff\\udb40\\udc41\\ufffd \xc3\xa9 \xe2\x82\xac "
                    "\xf0\x9f\x90\xa7\"\n");
    capture_begin(&c);
    stasis_json_strn(&c.json, "abc", 2);
    capture_end(&c, "\"ab\"\n");
    capture_begin(&c);
    stasis_json_object_begin(&c.json);
    stasis_json_key(&c.json, "a\"b");
    stasis_json_hex(&c.json, (const uint8_t *)"\x00\x0f\xf0\xff", 4);
    stasis_json_key(&c.json, "none");
    stasis_json_hex(&c.json, NULL, 0);
    stasis_json_object_end(&c.json);
    capture_end(&c, "{\n  \"a\\\"b\": \"000ff0ff\",\n  \"none\": \"\"\n}\n");
}

static void test_write_error_is_reported(void **unused)
{
    FILE *out = fopen("/dev/full", "w");
    struct stasis_json json;

    (void)unused;
    if (!out)
        skip();
    stasis_json_init(&json, out);
    stasis_json_u64(&json, 1);
    errno = 0;
    assert_int_equal(stasis_json_finish(&json), -1);
    assert_int_equal(errno, ENOSPC);
    fclose(out);

    out = fopen("/dev/full", "w");
    setvbuf(out, NULL, _IONBF, 0);
    stasis_json_init(&json, out);
    stasis_json_u64(&json, 1); /* fails here already */
    errno = 0;
    assert_int_equal(stasis_json_finish(&json), -1);
    assert_int_not_equal(errno, 0);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_integers_are_exact),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_write_error_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
