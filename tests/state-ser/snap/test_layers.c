/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Layers that were written one on another hold what the guest had, however they are opened and
 * read, and can be made one file again.
 */
#include "tests/state-ser/snap/chain_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/object.h"
#include "tests/state-ser/snap/ram_rig.h"

#define LAYERS 9u

static void assert_whole(struct stasis_snap *snap, const struct built *built)
{
    struct stasis_error err = {0};

    assert_same_ram(snap, built, 2);
    if (stasis_snap_verify(snap, 2, NULL, NULL, &err))
        fail_msg("%s", err.msg);
}

static void copy_file(const char *from, const char *to)
{
    struct image image = image_read(from);

    file_write(to, &image);
    image_fini(&image);
}

static void assert_chunks_are_same(const struct stasis_snap *snap, const struct built *built)
{
    static uint8_t bytes[STASIS_CHUNK_SIZE];
    uint64_t first = 0;

    for (uint32_t r = 0; r < 2; r++) {
        for (size_t at = 0; at < built->size[r]; at += STASIS_CHUNK_SIZE, first++) {
            size_t left = built->size[r] - at;

            memset(bytes, 0xa5, sizeof(bytes));
            assert_int_equal(stasis_snap_read_chunk(snap, first, bytes, NULL), 0);
            assert_memory_equal(bytes, built->ram[r] + at,
                                left < sizeof(bytes) ? left : sizeof(bytes));
        }
    }
}

static void in_every_mode(const struct chain *chain)
{
    for (unsigned m = 0; m < RIG_MODES; m++) {
        struct stasis_ram_opts opts = {.size = sizeof(opts), .mode = rig_modes[m]};
        struct stasis_error err = {0};
        struct stasis_snap *snap;
        struct rig rig;

        if (!rig_can(rig_modes[m]))
            continue;
        snap = chain_reopen(chain);
        if (rig_try_snap(&rig, snap, RIG_USED, opts, &err))
            fail_msg("%s", err.msg);
        stasis_snap_free(snap);
        assert_same(&rig, &chain->built);
        if (stasis_ram_finish(rig.ram, 1, NULL, NULL, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(rig_metrics(&rig).verified_bytes, rig_metrics(&rig).stored_bytes);
        rig_fini(&rig);
    }
}

static void read_in_all_ways(const struct stasis_save_opts *save_opts)
{
    struct stasis_snap *snap;
    struct chain chain;

    chain_init(&chain, save_opts);
    for (unsigned i = 0; i < LAYERS; i++) {
        chain_add(&chain);
        snap = chain_reopen(&chain);
        assert_whole(snap, &chain.built);
        assert_chunks_are_same(snap, &chain.built);
        stasis_snap_free(snap);
        assert_whole(chain.top, &chain.built); /* which lies on what was open */
    }
    in_every_mode(&chain);
    chain_fini(&chain);
}

static void layers_hold_what_the_guest_had(void **state)
{
    (void)state;
    read_in_all_ways(NULL);
}

static void layers_with_digests_do(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .digests = true};

    (void)state;
    read_in_all_ways(&opts);
}

static void compressed_layers_do(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};

    (void)state;
    read_in_all_ways(&opts);
}

static void partial_indexes_add_up(void **state)
{
    uint64_t before = 0;
    struct chain chain;

    (void)state;
    chain_init(&chain, NULL);
    chain.touches = 2; /* so that both are partial */
    for (unsigned i = 0; i < 2; i++) {
        struct stasis_snap *snap;

        chain_add(&chain);
        snap = chain_reopen(&chain);
        assert_in_range(stasis_snap_info(snap)->partial_index_bytes, before + 64, 1 << 20);
        before = stasis_snap_info(snap)->partial_index_bytes;
        stasis_snap_free(snap);
    }
    chain_fini(&chain);
}

static void a_layer_says_what_it_consists_of(void **state)
{
    struct chain chain;
    struct stasis_snap *snap;
    unsigned extents = 0, others = 0;
    uint64_t chunks;

    (void)state;
    chain_init(&chain, NULL);
    assert_true(stasis_snap_info(chain.top)->whole);
    for (unsigned i = 0; i < 3; i++)
        chain_add(&chain);
    snap = chain_reopen(&chain);
    assert_true(stasis_snap_info(snap)->layer);
    assert_false(stasis_snap_info(snap)->whole);
    assert_true(stasis_snap_info(snap)->partial_index_bytes > 3 * 64);
    assert_int_equal(stasis_snap_file_count(snap), 4);
    for (uint32_t n = 0; n < 4; n++)
        assert_string_equal(stasis_snap_file_at(snap, n).name, chain_path(3 - n));
    assert_memory_equal(stasis_snap_file_at(snap, 1).uuid, stasis_snap_info(snap)->parent_uuid,
                        STASIS_UUID_SIZE);
    assert_memory_equal(stasis_snap_file_at(snap, 1).root, stasis_snap_info(snap)->parent_root,
                        STASIS_DIGEST_SIZE);
    chunks = stasis_snap_chunk_count(snap);
    for (uint64_t i = 0; i < chunks; i++) {
        struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, i);
        uint32_t count = stasis_snap_extent_count(snap, i), len = 0, pages = 0;

        assert_true(chunk.kind == (count ? STASIS_CHUNK_EXTENTS : STASIS_CHUNK_ZERO));
        assert_true(count == 0 || stasis_snap_zero_end(snap, i, chunks) == i);
        assert_true(count != 0 || stasis_snap_zero_end(snap, i, i + 1) == i + 1);
        for (uint32_t k = 0; k < count; k++) {
            struct stasis_snap_extent extent = stasis_snap_extent_at(snap, i, k);

            assert_int_equal(pages & extent.taken_pages, 0);
            pages |= extent.taken_pages;
            len += extent.stored_len;
            others += extent.file != 3;
        }
        extents += count;
        assert_int_equal(chunk.page_mask, pages);
        assert_int_equal(chunk.stored_len, len);
    }
    assert_true(extents > 15 && others > 3);
    stasis_snap_free(snap);
    chain_fini(&chain);
}

static void what_is_open_is_shared(void **state)
{
    struct stasis_parse_opts opts = {.size = sizeof(opts)};
    struct chain chain;
    struct stasis_snap *snap = NULL;
    unsigned before;

    (void)state;
    chain_init(&chain, NULL);
    for (unsigned i = 0; i < 3; i++)
        chain_add(&chain);
    before = open_files();
    assert_int_equal(before, open_files());
    opts.parent = chain.top; /* has all of it, though nothing lies on it */
    assert_int_equal(chain_open(&chain, &opts, &snap, NULL), 0);
    assert_int_equal(open_files(), before + 1);
    assert_whole(snap, &chain.built);
    stasis_snap_free(snap);
    assert_int_equal(open_files(), before);
    assert_int_equal(unlink(chain_path(0)), 0);
    assert_int_equal(chain_open(&chain, &opts, &snap, NULL), 0);
    assert_whole(snap, &chain.built);
    stasis_snap_free(snap);
    chain_fini(&chain);
}

static void a_layer_is_looked_at_without_its_parent(void **state)
{
    const struct stasis_parse_opts alone = {.size = sizeof(alone), .alone = true};
    const struct stasis_ram_opts copy = {.size = sizeof(copy), .mode = STASIS_RAM_COPY};
    struct chain chain;
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    struct rig rig;
    uint8_t bytes[STASIS_CHUNK_SIZE];
    unsigned absent = 0;

    (void)state;
    chain_init(&chain, NULL);
    chain_add(&chain);
    assert_int_equal(unlink(chain_path(0)), 0);
    assert_int_equal(chain_open(&chain, &alone, &snap, NULL), 0);
    assert_true(stasis_snap_info(snap)->partial_index_bytes > 64);
    for (uint64_t i = 0; i < stasis_snap_chunk_count(snap); i++)
        absent += stasis_snap_chunk_at(snap, i).kind == STASIS_CHUNK_ABSENT;
    assert_true(absent > 3 && absent < 24);
    assert_int_equal(stasis_snap_file_count(snap), 1);
    assert_int_equal(stasis_snap_read_chunk(snap, 0, bytes, &err), STASIS_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "cannot be read without what it lies on"));
    assert_int_equal(stasis_snap_load_ram(snap, 0, chain.built.ram[0], 1, NULL, NULL, NULL),
                     STASIS_ERR_NOT_FOUND);
    assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, NULL), STASIS_ERR_NOT_FOUND);
    assert_int_equal(stasis_snap_save(snap, chain_path(7), NULL, NULL, NULL), STASIS_ERR_NOT_FOUND);
    assert_int_equal(rig_try_snap(&rig, snap, RIG_FRESH, copy, NULL), STASIS_ERR_NOT_FOUND);
    stasis_snap_free(snap);
    chain_fini(&chain);
}

/* All RAM in one file, that lies on nothing. */
static void a_layer_is_saved_as_one_file(void **state)
{
    static const struct stasis_save_opts opts[] = {{.size = sizeof(opts[0])},
                                                   {.size = sizeof(opts[0]), .digests = true},
                                                   {.size = sizeof(opts[0]), .zlib_level = 1}};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct chain chain;
        struct stasis_snap *snap, *flat = NULL;
        struct stasis_error err = {0};

        chain_init(&chain, &opts[i]);
        chain_add(&chain);
        chain_add(&chain);
        snap = chain_reopen(&chain);
        if (stasis_snap_save(snap, chain_path(8), NULL, NULL, &err))
            fail_msg("%s", err.msg);
        stasis_snap_free(snap);
        for (unsigned n = 0; n < 3; n++)
            assert_int_equal(unlink(chain_path(n)), 0);
        if (stasis_snap_open(chain_path(8), NULL, &flat, &err))
            fail_msg("%s", err.msg);
        assert_false(stasis_snap_info(flat)->layer);
        assert_int_equal(stasis_snap_info(flat)->digests, opts[i].digests);
        assert_int_equal(stasis_snap_info(flat)->incompatible & STASIS_FEATURE_ZLIB, 0);
        assert_whole(flat, &chain.built);
        stasis_snap_free(flat);
        chain_fini(&chain);
    }
}

/* That is told with the name of the file that has changed, not of the one that was opened. */
static void what_goes_away_below_is_named(void **state)
{
    const struct stasis_ram_opts lazy = {
        .size = sizeof(lazy), .mode = STASIS_RAM_LAZY, .no_prefetch = true};
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct chain chain;
    struct rig rig;
    char name[64];

    (void)state;
    if (!has_poison())
        return;
    chain_init(&chain, NULL);
    chain_add(&chain);
    snprintf(name, sizeof(name), "%s", chain_path(0));
    snap = chain_reopen(&chain);
    if (rig_try_snap(&rig, snap, RIG_FRESH, lazy, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
    assert_int_equal(truncate(name, 4096), 0);
    assert_int_equal(touch(rig.host[0]), SIGBUS);
    assert_int_equal(stasis_ram_finish(rig.ram, 1, NULL, NULL, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, name));
    assert_non_null(strstr(err.msg, "has become shorter"));
    assert_true(stasis_ram_describe_failure(rig.ram, rig.host[0], &err));
    assert_non_null(strstr(err.msg, name));
    assert_non_null(strstr(err.msg, "has become shorter"));
    rig_fini(&rig);
    chain_fini(&chain);
}

/* Most of them are other snapshots, so all of them are opened. */
static void parents_are_found_among_100000_files(void **state)
{
    char folder[] = "/dev/shm/stasis-test-XXXXXX", path[64], other[64] = "";
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .layers = folder};
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    struct chain chain;

    (void)state;
    if (!mkdtemp(folder)) {
        print_message("no /dev/shm\n");
        skip();
    }
    chain_init(&chain, NULL);
    chain.touches = 2; /* so that its index names one file only */
    chain_add(&chain);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(path, sizeof(path), "%s/%u", folder, i);
        if (i == 55555) /* in the middle, in whatever order they are read */
            copy_file(chain_path(0), path);
        else if (i % 10000)
            assert_int_equal(link(other, path), 0);
        else
            copy_file(chain.path, strcpy(other, path));
    }
    if (chain_open(&chain, &opts, &snap, &err))
        fail_msg("%s", err.msg);
    snprintf(path, sizeof(path), "%s/55555", folder);
    assert_string_equal(stasis_snap_file_at(snap, 1).name, path);
    assert_int_equal(unlink(path), 0);
    stasis_snap_free(snap);
    assert_int_equal(chain_open(&chain, &opts, &snap, &err), STASIS_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, folder));
    chain_fini(&chain);
    folder_empty(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_hold_what_the_guest_had),
        cmocka_unit_test(layers_with_digests_do),
        cmocka_unit_test(compressed_layers_do),
        cmocka_unit_test(partial_indexes_add_up),
        cmocka_unit_test(a_layer_says_what_it_consists_of),
        cmocka_unit_test(what_is_open_is_shared),
        cmocka_unit_test(a_layer_is_looked_at_without_its_parent),
        cmocka_unit_test(a_layer_is_saved_as_one_file),
        cmocka_unit_test(what_goes_away_below_is_named),
        cmocka_unit_test(parents_are_found_among_100000_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
