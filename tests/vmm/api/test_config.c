/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config.h"

#include "support/cmocka_all.h"

#include <string.h>

static void board_has_what_is_configured(void **state)
{
    struct stasis_config config = {
        .memory_mib = 64, .vcpus = 1, .cpu = STASIS_CONFIG_CPU_BASELINE, .board_release = "0.1.0"};
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_int_equal(board.ram[0].size, 64 << 20);
    assert_int_equal(board.vcpus, 1);
    assert_string_equal(board.cpu_model, "baseline");
    config.board_release = NULL;
    config.cpu = STASIS_CONFIG_CPU_HOST;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_string_equal(board.cpu_model, "host");
    config.cpu = STASIS_CONFIG_CPU_V2;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_string_equal(board.cpu_model, "x86-64-v2");
    config.cpu = STASIS_CONFIG_CPU_V3;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_string_equal(board.cpu_model, "x86-64-v3");
    config.board_release = "9.9";
    assert_true(stasis_config_board(&config, &board, &err) < 0);
    assert_non_null(strstr(err.msg, "9.9"));
}

static void boot_and_thaw_options(void **state)
{
    char kernel[] = "vmlinuz", initrd[] = "rd", cmdline[] = "quiet";
    const struct stasis_config config = {.kernel_path = kernel,
                                         .initrd_path = initrd,
                                         .kernel_cmdline = cmdline,
                                         .kernel_load_addr = 0x200000,
                                         .restore_clock = STASIS_CONFIG_CLOCK_ADVANCE,
                                         .restore_memory = STASIS_RAM_MAP,
                                         .restore_prefetch = STASIS_CONFIG_PREFETCH_OFF,
                                         .ignore_tsc_rate = true};
    struct stasis_boot_options boot = stasis_config_boot(&config);
    struct stasis_thaw_options thaw = stasis_config_thaw(&config);

    (void)state;
    assert_ptr_equal(boot.kernel_path, kernel);
    assert_ptr_equal(boot.initrd_path, initrd);
    assert_ptr_equal(boot.cmdline, cmdline);
    assert_int_equal(boot.load_addr, 0x200000);
    assert_int_equal(thaw.clock, STASIS_CLOCK_ADVANCE);
    assert_int_equal(thaw.memory, STASIS_RAM_MAP);
    assert_true(thaw.no_prefetch && thaw.ignore_tsc_rate);
    thaw = stasis_config_thaw(&(struct stasis_config){0});
    assert_int_equal(thaw.clock, STASIS_CLOCK_CONTINUE);
    assert_false(thaw.no_prefetch || thaw.ignore_tsc_rate);
}

static void streams(void **state)
{
    char dash[] = "-", file[] = "-x";

    (void)state;
    assert_false(stasis_config_freezes_to_stream(&(struct stasis_config){0}));
    assert_false(stasis_config_thaws_from_stream(&(struct stasis_config){.restore_path = file}));
    assert_true(stasis_config_freezes_to_stream(&(struct stasis_config){.snapshot_path = dash}));
    assert_true(stasis_config_thaws_from_stream(&(struct stasis_config){.restore_path = dash}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(board_has_what_is_configured),
        cmocka_unit_test(boot_and_thaw_options),
        cmocka_unit_test(streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
