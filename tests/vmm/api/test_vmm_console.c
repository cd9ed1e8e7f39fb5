/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/machine/board.h"

static struct stasis_board_state board;

static void default_board(void)
{
    const struct stasis_board_options options = {
        .cpu_model = "baseline", .vcpus = 1, .memory_bytes = 8 << 20};
    struct stasis_error err;

    assert_int_equal(stasis_board_default(&options, &board, &err), 0);
}

/* One more of a kind, as a board of an embedder's program can have. */
static void add_device(const struct stasis_schema *schema, const char *instance)
{
    struct stasis_board_device_state *device = &board.devices[board.devices_count++];

    snprintf(device->type, sizeof(device->type), "%s", schema->type);
    snprintf(device->instance, sizeof(device->instance), "%s", instance);
}

static void assert_refused(const char *instance)
{
    struct stasis_error err;

    assert_int_equal(stasis_vmm_console_check_board(&board, &err), STASIS_ERR_VERSION);
    assert_int_equal(stasis_err_exit_status(STASIS_ERR_VERSION), 4);
    assert_non_null(strstr(err.msg, instance));
    assert_null(strchr(err.msg, '\n'));
}

static void default_boards_are_served(void **state)
{
    struct stasis_error err;

    (void)state;
    default_board();
    assert_int_equal(stasis_vmm_console_check_board(&board, &err), 0);
}

/* Its output would go to the console's sink, and never be resumed when that is busy. */
static void second_serial_port_is_refused(void **state)
{
    (void)state;
    default_board();
    add_device(&stasis_serial_schema, "com2");
    assert_refused("com2");
}

/* One would disarm the other's alarm. */
static void second_clock_is_refused(void **state)
{
    (void)state;
    default_board();
    add_device(&stasis_pl031_schema, "rtc2");
    assert_refused("rtc2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_boards_are_served),
        cmocka_unit_test(second_serial_port_is_refused),
        cmocka_unit_test(second_clock_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
