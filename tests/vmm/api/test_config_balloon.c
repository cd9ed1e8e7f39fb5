/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The balloon of a configuration.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "vmm/api/config.h"

static void refuse(const struct stasis_vmm_config *config, const char *words)
{
    struct stasis_error err;

    assert_int_equal(stasis_config_check(config, NULL, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
}

static void balloons_that_cannot_be(void **state)
{
    static const struct {
        struct stasis_vmm_balloon balloon;
        const char *words;
    } cases[] = {
        {{.id = ""}, "balloon.id=: give 1 to 20 of a-z"},
        {{.id = "Balloon"}, "balloon.id=Balloon: give 1 to 20 of a-z"},
        {{.id = "a23456789012345678901"}, "give 1 to 20 of a-z"},
        {{.id = "b", .reporting = 2}, "balloon.reporting is out of range"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct stasis_vmm_config config = {.demo = true, .balloon = cases[i].balloon};

        refuse(&config, cases[i].words);
    }
}

static void a_board_has_a_balloon_behind_the_network(void **state)
{
    const struct stasis_vmm_config config = {
        .demo = true, .net = {.passt = "p"}, .balloon = {.id = "b"}};
    struct stasis_board_state board;
    struct stasis_error err;
    const struct stasis_board_device_state *last = board.devices;

    (void)state;
    assert_int_equal(stasis_config_check(&config, NULL, &err), 0);
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    last += board.devices_count - 1;
    assert_string_equal(last->type, "stasis.virtio_balloon");
    assert_string_equal(last->instance, "b");
    assert_int_equal(last->base, 0xd0003000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balloons_that_cannot_be),
        cmocka_unit_test(a_board_has_a_balloon_behind_the_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
