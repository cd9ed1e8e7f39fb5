/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Layers that are opened when memory runs out: each allocation fails once. That is an error, and
 * nothing is left behind.
 */
#include "tests/state-ser/snap/chain_rig.h"

#include <errno.h>
#include <string.h>

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

static bool fails; /* what the decompressor allocates */

struct libdeflate_decompressor *__real_libdeflate_alloc_decompressor(void);
struct libdeflate_decompressor *__wrap_libdeflate_alloc_decompressor(void);
struct libdeflate_decompressor *__wrap_libdeflate_alloc_decompressor(void)
{
    return fails ? NULL : __real_libdeflate_alloc_decompressor();
}

static unsigned count_unread(struct stasis_snap *snap)
{
    static uint8_t bytes[STASIS_CHUNK_SIZE];
    unsigned unread = 0;

    for (uint64_t i = 0; i < stasis_snap_chunk_count(snap); i++) {
        struct stasis_error err = {0};

        if (!stasis_snap_read_chunk(snap, i, bytes, &err))
            continue;
        assert_int_equal(err.code, STASIS_ERR_NOMEM);
        assert_non_null(strstr(err.msg, "no memory to unpack RAM"));
        unread++;
    }
    return unread;
}

static void compressed_pages_are_not_read_without_memory(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};
    struct stasis_snap *snap;
    struct chain chain;

    (void)state;
    chain_init(&chain, &opts);
    chain_add(&chain);
    snap = chain_reopen(&chain);
    fails = true;
    assert_in_range(count_unread(snap), 1, stasis_snap_chunk_count(snap) - 1);
    fails = false;
    assert_int_equal(count_unread(snap), 0);
    stasis_snap_free(snap);
    chain_fini(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_without_memory_are_refused),
        cmocka_unit_test(compressed_pages_are_not_read_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
