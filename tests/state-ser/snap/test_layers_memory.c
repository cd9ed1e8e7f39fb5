/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Layers that are opened when memory runs out: each allocation fails once. That is an error, and
 * nothing is left behind.
 */
#include "tests/state-ser/snap/chain_rig.h"

#include <errno.h>

#include "tests/state-ser/snap/crash_alloc.h"

#define LAYERS 4u

static void layers_without_memory_are_refused(void **state)
{
    unsigned files, number = 1;
    struct chain chain;
    long living;
    bool failed;

    (void)state;
    chain_init(&chain, NULL);
    for (unsigned i = 0; i < LAYERS; i++)
        chain_add(&chain);
    files = open_files();
    living = crash_alloc_living();
    do {
        struct stasis_snap *snap = NULL;
        struct stasis_error err = {0};
        int rc;

        crash_alloc_fail_at(number++);
        rc = chain_open(&chain, NULL, &snap, &err);
        failed = crash_alloc_failed();
        /* In static programs those of opendir() fail, too. */
        if (failed ? rc != STASIS_ERR_NOMEM && err.os_errno != ENOMEM : rc)
            fail_msg("allocation %u: %d: %s", number - 1, rc, err.msg);
        if (!rc)
            assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, &err), 0);
        stasis_snap_free(snap);
        assert_int_equal(crash_alloc_living(), living);
        assert_int_equal(open_files(), files);
    } while (failed);
    assert_in_range(number, 20, 1000);
    chain_fini(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_without_memory_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
