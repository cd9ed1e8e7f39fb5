/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * MAP of a layer: what is whole in one file is mapped, and the rest loaded when it is touched.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/bench/full_file.h"
#include "tests/state-ser/snap/ram_rig.h"

/* Three blocks of 2 MiB, of which the layer has a page of the second. */
static struct stasis_snap *blocks(struct built *built, struct dirty *dirty)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .no_sync = true};
    struct stasis_snap *base = NULL, *snap = NULL;
    struct stasis_error err = {0};
    char path[64];

    snprintf(path, sizeof(path), "%s/base.snap", folder_make());
    built_init(built);
    built_add(built, 0, 96 * STASIS_CHUNK_SIZE);
    fill_random(built->ram[0], built->size[0], 5);
    if (stasis_snap_save(built->snap, path, &opts, NULL, &err) ||
        stasis_snap_open(path, NULL, &base, &err) ||
        stasis_snap_set_parent(built->snap, base, &err) ||
        stasis_snap_set_dirty(built->snap, 0, dirty->words, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(base);
    dirty_add(dirty, 40 * 16 + 3);
    fill_random(built->ram[0] + (size_t)(40 * 16 + 3) * STASIS_PAGE_SIZE, STASIS_PAGE_SIZE, 6);
    memcpy(strrchr(path, '/'), "/top.snap", sizeof("/top.snap"));
    if (stasis_snap_save(built->snap, path, &opts, NULL, &err) ||
        stasis_snap_open(path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    return snap;
}

static const struct stasis_ram_opts mapped = {
    .size = sizeof(mapped), .mode = STASIS_RAM_MAP, .no_prefetch = true};

static void what_is_whole_in_one_file_is_mapped(void **state)
{
    struct stasis_error err = {0};
    struct dirty dirty = {{0}};
    struct stasis_snap *snap;
    struct built built;
    struct rig rig;

    (void)state;
    if (!rig_can(STASIS_RAM_LAZY))
        return;
    snap = blocks(&built, &dirty);
    if (rig_try_snap(&rig, snap, RIG_USED, mapped, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(stasis_ram_mode(rig.ram), STASIS_RAM_MAP);
    assert_null(stasis_ram_reason(rig.ram));
    assert_int_equal(rig_metrics(&rig).ranges, 3); /* two mappings, and what lies between */
    assert_int_equal(rig_metrics(&rig).verified_bytes, 0);
    assert_same(&rig, &built);
    rig_wait_verified(&rig, 32 * STASIS_CHUNK_SIZE);
    for (unsigned block = 0; block < 3; block++) { /* what is given back stays away */
        size_t at = ((size_t)block << 21) + 5 * STASIS_PAGE_SIZE;

        assert_int_equal(stasis_ram_discard(rig.ram, (uint8_t *)rig.host[0] + at, 8192, &err), 0);
        memset(built.ram[0] + at, 0, 8192);
    }
    for (size_t block = 1; block < 3; block++) { /* also if it is some of two */
        size_t at = (block << 21) - 3 * STASIS_PAGE_SIZE;

        assert_int_equal(
            stasis_ram_discard(rig.ram, (uint8_t *)rig.host[0] + at, 6 * STASIS_PAGE_SIZE, &err),
            0);
        memset(built.ram[0] + at, 0, 6 * STASIS_PAGE_SIZE);
    }
    if (stasis_ram_finish(rig.ram, 2, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(rig_metrics(&rig).verified_bytes, rig_metrics(&rig).stored_bytes);
    assert_true(rig_metrics(&rig).complete);
    assert_same(&rig, &built);
    rig_fini(&rig);
    stasis_snap_free(snap);
    built_fini(&built);
    folder_remove();
}

/* Before anything of it was loaded: what is put in place later leaves these pages zero. */
static void what_is_given_back_at_once_stays_away(void **state)
{
    const size_t at = ((size_t)1 << 21) - 3 * STASIS_PAGE_SIZE;
    const size_t len = ((size_t)1 << 21) + 6 * STASIS_PAGE_SIZE; /* the end is in the third block */
    struct stasis_error err = {0};
    struct dirty dirty = {{0}};
    struct stasis_snap *snap;
    struct built built;
    struct rig rig;

    (void)state;
    if (!rig_can(STASIS_RAM_LAZY))
        return;
    snap = blocks(&built, &dirty);
    for (unsigned n = 0; n < 2; n++) {
        size_t end = n ? at + 5 * STASIS_PAGE_SIZE : at + len;

        if (rig_try_snap(&rig, snap, RIG_FRESH, mapped, &err) ||
            stasis_ram_discard(rig.ram, (uint8_t *)rig.host[0] + at, end - at, &err))
            fail_msg("%s", err.msg);
        fill_random(built.ram[0], built.size[0], 5);
        fill_random(built.ram[0] + (size_t)(40 * 16 + 3) * STASIS_PAGE_SIZE, STASIS_PAGE_SIZE, 6);
        memset(built.ram[0] + at, 0, end - at);
        assert_same(&rig, &built);
        if (stasis_ram_finish(rig.ram, 2, NULL, NULL, &err))
            fail_msg("%s", err.msg);
        assert_same(&rig, &built);
        rig_fini(&rig);
    }
    stasis_snap_free(snap);
    built_fini(&built);
    folder_remove();
}

static void damage_that_is_mapped_is_found(void **state)
{
    const struct stasis_ram_opts map = {.size = sizeof(map), .mode = STASIS_RAM_MAP};
    struct stasis_error err = {0};
    struct dirty dirty = {{0}};
    struct stasis_snap *snap;
    struct built built;
    struct rig rig;
    const char *name;
    int fd;

    (void)state;
    if (!rig_can(STASIS_RAM_LAZY))
        return;
    snap = blocks(&built, &dirty);
    name = stasis_snap_file_at(snap, 1).name;
    fd = open(name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(rig_try_snap(&rig, snap, RIG_FRESH, map, &err), STASIS_ERR_IO);
    assert_non_null(strstr(err.msg, "another program has locked it"));
    rig_fini(&rig);
    flip_bit(fd, (size_t)stasis_snap_extent_at(snap, 80, 0).offset + 7, 1);
    close(fd);
    if (rig_try_snap(&rig, snap, RIG_FRESH, map, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(stasis_ram_wait(rig.ram, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, name));
    assert_non_null(strstr(err.msg, "chunk 80"));
    rig_fini(&rig);
    stasis_snap_free(snap);
    built_fini(&built);
    folder_remove();
}

/* Every other chunk is zero, so that each of the others is a mapping of its own. */
static struct stasis_snap *scattered(uint32_t mappings)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .no_sync = true};
    const size_t size = (size_t)mappings * 2 * STASIS_CHUNK_SIZE;
    uint64_t *dirty = calloc(mappings, sizeof(*dirty));
    struct stasis_snap *base = NULL, *snap = NULL;
    struct stasis_error err = {0};
    struct built built;
    char path[64];

    assert_non_null(dirty);
    for (uint32_t i = 0; i < mappings; i++)
        dirty[i / 2] |= UINT64_C(0xffff) << i % 2 * 32;
    snprintf(path, sizeof(path), "%s/base.snap", folder_make());
    assert_int_equal(bench_make_full_file(path, size), 0);
    built_init(&built);
    built_add(&built, 0, size);
    if (stasis_snap_open(path, NULL, &base, &err) ||
        stasis_snap_set_parent(built.snap, base, &err) ||
        stasis_snap_set_dirty(built.snap, 0, dirty, &err))
        fail_msg("%s", err.msg);
    memcpy(strrchr(path, '/'), "/top.snap", sizeof("/top.snap"));
    if (stasis_snap_save(built.snap, path, &opts, NULL, &err) ||
        stasis_snap_open(path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(base);
    built_fini(&built);
    free(dirty);
    return snap;
}

/* Linux has room for 65,530 in a process, and two of them are needed for each. */
static void at_most_4096_are_mapped(void **state)
{
    (void)state;
    if (!rig_can(STASIS_RAM_LAZY))
        return;
    for (uint32_t mappings = 4096; mappings <= 4097; mappings++) {
        struct stasis_snap *snap = scattered(mappings);
        struct stasis_error err = {0};
        struct rig rig;

        if (rig_try_snap(&rig, snap, RIG_FRESH, mapped, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(rig_metrics(&rig).ranges, mappings == 4096 ? 4096 : 1);
        assert_int_equal(!stasis_ram_reason(rig.ram), mappings == 4096);
        rig_fini(&rig);
        stasis_snap_free(snap);
        folder_remove();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_whole_in_one_file_is_mapped),
        cmocka_unit_test(what_is_given_back_at_once_stays_away),
        cmocka_unit_test(damage_that_is_mapped_is_found),
        cmocka_unit_test(at_most_4096_are_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
