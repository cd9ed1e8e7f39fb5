/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include "stasis/error.h"

static void names_the_part_and_the_option(void **state)
{
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(stasis_fail_absent(&err, "--demo", "STASIS_DEMO"), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "this build has no --demo; rebuild it with -DSTASIS_DEMO=ON");
    assert_int_equal(stasis_err_exit_status(err.code), 2);
    assert_int_equal(stasis_fail_absent(NULL, "--demo", "STASIS_DEMO"), STASIS_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_part_and_the_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
