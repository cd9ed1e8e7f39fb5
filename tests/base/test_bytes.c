/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/bytes.h"

#include <stdint.h>

#include "support/cmocka_all.h"

static void zero_is_seen_at_every_byte(void **state)
{
    static uint8_t bytes[64];

    (void)state;
    for (size_t len = 0; len < sizeof(bytes); len++) {
        assert_true(stasis_is_zero(bytes, len));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = 1;
            assert_false(stasis_is_zero(bytes, len));
            bytes[i] = 0;
        }
        bytes[len] = 1; /* is behind them */
        assert_true(stasis_is_zero(bytes, len));
        bytes[len] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_seen_at_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
