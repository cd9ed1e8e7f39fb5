/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The examples of FIPS 180-2, appendix B, however the bytes are cut.
 */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state-ser/snap/sha256.h"

static void expect(const void *bytes, size_t len, const char *hex)
{
    uint8_t digest[STASIS_DIGEST_SIZE];
    char text[2 * STASIS_DIGEST_SIZE + 1];

    stasis_sha256(bytes, len, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void published_examples(void **state)
{
    char *many = malloc(1000000);

    (void)state;
    assert_non_null(many);
    memset(many, 'a', 1000000);
    expect("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect(many, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(many);
}

static void pieces_are_as_the_whole(void **state)
{
    uint8_t bytes[300], whole[STASIS_DIGEST_SIZE], pieces[STASIS_DIGEST_SIZE];
    struct stasis_sha256 sum;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    stasis_sha256(bytes, sizeof(bytes), whole);
    for (size_t step = 1; step < sizeof(bytes); step += 13) {
        stasis_sha256_begin(&sum);
        for (size_t at = 0; at < sizeof(bytes); at += step)
            stasis_sha256_add(&sum, bytes + at,
                              sizeof(bytes) - at < step ? sizeof(bytes) - at : step);
        stasis_sha256_end(&sum, pieces);
        assert_memory_equal(pieces, whole, sizeof(whole));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples),
        cmocka_unit_test(pieces_are_as_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
