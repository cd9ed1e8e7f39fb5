/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/panic_text.h"

#include <string.h>

#include "support/cmocka_all.h"

/* Whether the text is found, by whole and byte by byte. */
static bool finds(const char *printed)
{
    struct stasis_panic_text whole = {.len = 0}, bytewise = {.len = 0};
    bool found = stasis_panic_text_feed(&whole, printed, strlen(printed));
    bool found_bytewise = false;

    for (const char *at = printed; *at; at++)
        found_bytewise |= stasis_panic_text_feed(&bytewise, at, 1);
    assert_int_equal(found, found_bytewise);
    return found;
}

static void panics_are_found(void **state)
{
    static const char *const printed[] = {
        "Kernel panic - not syncing",
        "Kernel panic - not syncing: Attempted to kill init!\n",
        "up\r\nKernel panic - not syncing",
        "[    1.234567] Kernel panic - not syncing: VFS",
        "[12345.000001][    T1] Kernel panic - not syncing",
        "[    1.234567] [    T1] Kernel panic - not syncing",
        "[    0.1] x\n[    0.2][   C0] Kernel panic - not syncing",
        "# Kernel panic - not syncing: sysrq triggered crash",
        "root@debian:~# [   12.345678] Kernel panic - not syncing",
        "x\n$ [    0.2][   C0] Kernel panic - not syncing",
        "debian login: [    1.234567] [    T1] Kernel panic - not syncing",
        "debian login: root\r\nPassword: Kernel panic - not syncing",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(printed) / sizeof(printed[0]); i++)
        if (!finds(printed[i]))
            fail_msg("\"%s\" is a panic", printed[i]);
}

static void other_lines_are_not(void **state)
{
    static const char *const printed[] = {
        "",
        "Kernel panic - not syncin",
        "Kernel panic - not syncinx",
        "kernel panic - not syncing",
        " Kernel panic - not syncing",
        "# echo Kernel panic - not syncing",
        "---[ end Kernel panic - not syncing: VFS ]---",
        "[    1.0] host b: Kernel panic - not syncing",
        "host b: [    1.0] Kernel panic - not syncing",
        "#Kernel panic - not syncing",
        "login:[    1.0] Kernel panic - not syncing",
        "$ [    1.0]Kernel panic - not syncing",
        "$ 1.0] Kernel panic - not syncing",
        "[x] Kernel panic - not syncing",
        "[    1.0]Kernel panic - not syncing",
        "[Kernel panic - not syncing",
        "Kernel Kernel panic - not syncing",
        "Kernel panic\n - not syncing",
    };
    char line[300];

    (void)state;
    for (size_t i = 0; i < sizeof(printed) / sizeof(printed[0]); i++)
        if (finds(printed[i]))
            fail_msg("\"%s\" is no panic", printed[i]);
    memset(line, '[', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    assert_false(finds(line));
    memset(line, '1', 200);
    strcpy(line + 200, "Kernel panic - not syncing");
    assert_false(finds(line));
}

/* What lies behind a long line is not lost. */
static void line_that_is_cut_ends_with_it(void **state)
{
    char printed[300];

    (void)state;
    memset(printed, 'x', 200);
    strcpy(printed + 200, "\nKernel panic - not syncing");
    assert_true(finds(printed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(panics_are_found),
        cmocka_unit_test(other_lines_are_not),
        cmocka_unit_test(line_that_is_cut_ends_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
