/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/cli_paths.h"

#include "support/cmocka_all.h"

#include <string.h>

static const struct stasis_config_given none;

static void assert_named(const struct stasis_config_given *by_file, bool everywhere,
                         const char *message, const char *expected)
{
    char text[STASIS_CLI_TEXT_MAX];

    stasis_cli_name_options(by_file, everywhere, message, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void mentioned_paths_become_options(void **state)
{
    static const char *const cases[][2] = {
        {"give more by memory.size_mib", "give more by --memory"},
        {"thaw it by restore.ignore_tsc_rate", "thaw it by --ignore tsc-rate"},
        {"the file is that of snapshot.path; name another", "the file is that of --snapshot-out; "
                                                            "name another"},
        {"no; set serial.out to none, or leave out serial.rate",
         "no; set --serial to none, or leave out "
         "--serial rate"},
        {"change vcpu.num, or leave out board.release", "change --vcpu, or leave out --board"},
        {"cpu.model=x86-64-v3 needs more", "--cpu=x86-64-v3 needs more"},
        {"give cpu.model=baseline", "give --cpu=baseline"},
        {"leave out kernel.load_addr", "leave out --kernel kernel_load_addr"},
        {"give block.path, with block.id=a", "give --block, with --block id=a"},
        {"block[1].path=d: no", "--block=d: no"},
        {"set block[1].id, block[].id or block[x].id", "set --block id, block[].id or block[x].id"},
        {"allow it by allow.disk_changed=a", "allow it by --allow disk-changed=a"},
        {"set a.b, serial.foo and .", "set a.b, serial.foo and ."},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_named(&none, false, cases[i][0], cases[i][1]);
}

static void names_of_files_stay(void **state)
{
    static const char *const cases[] = {
        "serial.out: No such file or directory; check the name",
        "serial.out is a directory",
        "/tmp/serial.out is not a kernel",
        "the kernel kernel.path cannot be read",
        "set xserial.out to none",
        "set demo to true",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_named(&none, false, cases[i], cases[i]);
}

static void text_of_our_own_is_named_everywhere(void **state)
{
    (void)state;
    assert_named(&none, true, "kernel.path and demo exclude each other",
                 "--kernel and --demo exclude each other");
    assert_named(&none, true, "snapshot.drop=allow goes with snapshot.target",
                 "--snapshot-out drop=allow goes with --snapshot-out target");
    assert_named(&none, true, "board.release: demo is no release", "--board: demo is no release");
}

static void errors_are_named_in_place(void **state)
{
    struct stasis_error err = {.code = STASIS_ERR_ARG, .msg = "initrd.path is no UTF-8"};

    (void)state;
    stasis_cli_name_options_in(&none, true, &err);
    assert_string_equal(err.msg, "--initrd is no UTF-8");
    assert_int_equal(err.code, STASIS_ERR_ARG);
}

static void keys_of_the_file_stay(void **state)
{
    struct stasis_config_given by_file = {.keys = {0}};

    (void)state;
    by_file.keys[STASIS_CONFIG_SNAPSHOT] = 1;
    by_file.keys[STASIS_CONFIG_DEMO] = 1;
    assert_named(&by_file, true, "snapshot.path, snapshot.then and demo",
                 "snapshot.path, --snapshot-out then and demo");
}

static void long_messages_are_cut(void **state)
{
    char text[12];

    (void)state;
    stasis_cli_name_options(&none, false, "more by memory.size_mib", text, sizeof(text));
    assert_string_equal(text, "more by --m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mentioned_paths_become_options),
        cmocka_unit_test(names_of_files_stay),
        cmocka_unit_test(text_of_our_own_is_named_everywhere),
        cmocka_unit_test(errors_are_named_in_place),
        cmocka_unit_test(keys_of_the_file_stay),
        cmocka_unit_test(long_messages_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
