/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the tool shows of a later release's file, vmm must not run.
 */
#include "tests/tools/future.h"

#include <string.h>
#include <unistd.h>

static struct run run;

/* The program lies beside the test, wherever that is run. */
static const char *vmm(void)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/vmm"));

    assert_true(len > 0);
    path[len] = '\0';
    memcpy(strrchr(path, '/'), "/vmm", sizeof("/vmm"));
    return path;
}

static void restore_refuses(void **state)
{
    const char *argv[] = {vmm(), "--restore", NULL, NULL};
    struct built built;

    (void)state;
    built_future(&built);
    save_to(&built, in_folder("f.snap"));
    built_fini(&built);
    argv[2] = in_folder("f.snap");
    run_program(&run, NULL, argv);
    if (run.status == 5) {
        print_message("skipped: %s", run.err);
        skip();
    }
    if (run.status != 4)
        fail_msg("status %d: %s", run.status, run.err);
    assert_string_equal(run.out, "");
    assert_has(run.err, "/f.snap: written by stasis " STASIS_VERSION
                        ": record future.fan fan0 is of a type that this release does not know");
    assert_ptr_equal(strchr(run.err, '\n'), run.err + strlen(run.err) - 1);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restore_refuses),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
