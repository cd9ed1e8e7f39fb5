/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the line of progress promises. The terminal is a file, and the past is set by hand.
 */
#include "tests/tools/rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/progress.h"

#define MIB UINT64_C(0x100000)

/* What is shown of work that began `ms` ago. */
static void shown(uint64_t ms, uint64_t done, uint64_t total, char *ret_text, size_t size)
{
    int file = memfd_create("stderr", MFD_CLOEXEC), kept = dup(STDERR_FILENO);
    struct stasis_progress progress;
    ssize_t len;

    assert_true(file >= 0 && kept >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    stasis_progress_init(&progress, "saving");
    progress.terminal = true;
    progress.start_ms -= ms;
    assert_true(stasis_progress_show(&progress, done, total));
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    len = pread(file, ret_text, size - 1, 0);
    assert_true(len >= 0);
    ret_text[len] = '\0';
    close(kept);
    close(file);
}

static void estimates(void **state)
{
    char text[256];

    (void)state;
    shown(10000, 100 * MIB, 1000 * MIB, text, sizeof(text));
    assert_non_null(strstr(text, "saving: 100 of 1000 MiB (10 %), "));
    assert_non_null(strstr(text, " s left"));
}

/* Neither the first moments nor a rate below what is shown say how long it takes. */
static void no_estimates(void **state)
{
    static const uint64_t rows[][2] = {{0, MIB}, {100, MIB / 2}, {60000, MIB}};
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* However late this process runs: from 1 s on, the rate is below 1 MiB/s. */
        shown(rows[i][0], rows[i][1], 1000 * MIB, text, sizeof(text));
        assert_non_null(strstr(text, " of 1000 MiB ("));
        assert_null(strstr(text, "left"));
    }
}

/* A stream whose end nobody knows promises nothing. */
static void whole_not_known(void **state)
{
    char text[256];

    (void)state;
    shown(10000, 100 * MIB, 0, text, sizeof(text));
    assert_non_null(strstr(text, "saving: 100 MiB, "));
    assert_non_null(strstr(text, " MiB/s"));
    assert_null(strstr(text, "left"));
    assert_null(strstr(text, "%"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates),
        cmocka_unit_test(no_estimates),
        cmocka_unit_test(whole_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
