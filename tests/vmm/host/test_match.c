/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/host/match.h"

static void start(struct stasis_match *match, const char *text)
{
    assert_int_equal(stasis_match_init(match, text, strlen(text), NULL), 0);
}

/* Where a naive search finds the first end of text in the stream, counted from 1; 0: nowhere. */
static size_t naive(const char *stream, size_t len, const char *text)
{
    size_t text_len = strlen(text);

    for (size_t end = text_len; end <= len; end++)
        if (!memcmp(stream + end - text_len, text, text_len))
            return end;
    return 0;
}

static void finds_text_at_its_last_byte(void **state)
{
    struct stasis_match match;

    (void)state;
    start(&match, "login:");
    assert_int_equal(stasis_match_feed(&match, "Debian login: ", 14), 13);
    assert_int_equal(stasis_match_feed(&match, " ", 1), 0);
}

static void finds_text_across_every_split(void **state)
{
    static const char stream[] = "xxabcabdabcabcabdx";

    (void)state;
    for (size_t split = 0; split < sizeof(stream) - 1; split++) {
        struct stasis_match match;
        size_t at;

        start(&match, "abcabcabd");
        at = stasis_match_feed(&match, stream, split);
        if (!at) {
            at = stasis_match_feed(&match, stream + split, sizeof(stream) - 1 - split);
            assert_int_not_equal(at, 0);
            at += split;
        }
        assert_int_equal(at, 17);
    }
}

static void finds_overlapping_matches(void **state)
{
    struct stasis_match match;
    size_t count = 0;

    (void)state;
    start(&match, "aba");
    for (size_t i = 0; i < 9; i++)
        count += stasis_match_feed(&match, &"ababababa"[i], 1) ? 1 : 0;
    assert_int_equal(count, 4);
}

/* Every text of up to 5 letters of {a, b} in every stream of 10. */
static void agrees_with_a_naive_search(void **state)
{
    (void)state;
    for (unsigned text_bits = 0; text_bits < 32; text_bits++) {
        for (unsigned stream_bits = 0; stream_bits < 1024; stream_bits++) {
            for (size_t len = 1; len <= 5; len++) {
                struct stasis_match match;
                char text[6] = "";
                char stream[10];

                for (size_t i = 0; i < len; i++)
                    text[i] = text_bits >> i & 1 ? 'b' : 'a';
                for (size_t i = 0; i < sizeof(stream); i++)
                    stream[i] = stream_bits >> i & 1 ? 'b' : 'a';
                start(&match, text);
                assert_int_equal(stasis_match_feed(&match, stream, sizeof(stream)),
                                 naive(stream, sizeof(stream), text));
            }
        }
    }
}

static void takes_any_bytes_up_to_its_limit(void **state)
{
    struct stasis_match match;
    uint8_t text[STASIS_MATCH_MAX];

    (void)state;
    memset(text, 0, sizeof(text));
    text[STASIS_MATCH_MAX - 1] = 0xff;
    assert_int_equal(stasis_match_init(&match, text, sizeof(text), NULL), 0);
    assert_int_equal(stasis_match_feed(&match, "\0\0\0", 3), 0);
    assert_int_equal(stasis_match_feed(&match, text, sizeof(text)), sizeof(text));
}

static void refuses_no_text_and_too_much(void **state)
{
    struct stasis_match match;
    char text[STASIS_MATCH_MAX + 1] = "";

    (void)state;
    assert_int_equal(stasis_match_init(&match, text, 0, NULL), STASIS_ERR_ARG);
    assert_int_equal(stasis_match_init(&match, text, sizeof(text), NULL), STASIS_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_text_at_its_last_byte),
        cmocka_unit_test(finds_text_across_every_split),
        cmocka_unit_test(finds_overlapping_matches),
        cmocka_unit_test(agrees_with_a_naive_search),
        cmocka_unit_test(takes_any_bytes_up_to_its_limit),
        cmocka_unit_test(refuses_no_text_and_too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
