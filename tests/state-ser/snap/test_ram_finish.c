/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory that leaves the process is verified first, whatever the mode and the background: no save
 * makes a whole file of a damaged one, and none meets the background's work on its way.
 */
#include "tests/state-ser/snap/ram_scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/ram_io.h"

/* ---- what the background does with the address space, counted ---- */

static _Atomic unsigned units; /* begun by any thread */

void __real_stasis_ram_io_collapse(uint8_t *host, size_t len);
void __wrap_stasis_ram_io_collapse(uint8_t *host, size_t len);
size_t __real_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len);
size_t __wrap_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len);
int __real_stasis_uffd_copy(const struct stasis_uffd *uffd, uint8_t *host, const uint8_t *from,
                            size_t len);
int __wrap_stasis_uffd_copy(const struct stasis_uffd *uffd, uint8_t *host, const uint8_t *from,
                            size_t len);

static bool no_move; /* as before Linux 6.8 */

void __wrap_stasis_ram_io_collapse(uint8_t *host, size_t len)
{
    atomic_fetch_add(&units, 1);
    __real_stasis_ram_io_collapse(host, len);
}

size_t __wrap_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len)
{
    atomic_fetch_add(&units, 1);
    return no_move ? 0 : __real_stasis_uffd_move(uffd, host, from, len);
}

int __wrap_stasis_uffd_copy(const struct stasis_uffd *uffd, uint8_t *host, const uint8_t *from,
                            size_t len)
{
    atomic_fetch_add(&units, 1);
    return __real_stasis_uffd_copy(uffd, host, from, len);
}

/* ---- damaged files ---- */

static void assert_refused(const struct ram_scene *scene, const struct rig *rig, int rc,
                           const struct stasis_error *err)
{
    struct stasis_ram_metrics metrics = rig_metrics(rig);

    assert_int_equal(rc, STASIS_ERR_CORRUPT);
    if (!strstr(err->msg, scene->place))
        fail_msg("%s lacks %s", err->msg, scene->place);
    assert_true(metrics.failed);
    assert_int_equal(rig->failures, 1);
}

static void save_of_damaged(const struct ram_scene *scene, enum stasis_ram_mode mode,
                            bool background, bool packed)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = packed};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct rig rig;

    ram_scene_attach(scene, &rig, mode, background);
    snap = ram_scene_snap(&rig);
    assert_refused(scene, &rig, stasis_snap_save(snap, scene->out, &opts, NULL, &err), &err);
    assert_non_null(strstr(err.msg, "the old file is whole"));
    ram_scene_assert_whole(scene->out);
    assert_refused(scene, &rig, stasis_snap_save(snap, scene->out, &opts, NULL, &err), &err);
    stasis_snap_free(snap);
    rig_fini(&rig);
}

static void stream_of_damaged(const struct ram_scene *scene, enum stasis_ram_mode mode,
                              bool background)
{
    int fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct stat st;
    struct rig rig;

    assert_true(fd >= 0);
    ram_scene_attach(scene, &rig, mode, background);
    snap = ram_scene_snap(&rig);
    assert_refused(scene, &rig, stasis_snap_save_stream(snap, fd, NULL, NULL, &err), &err);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    stasis_snap_free(snap);
    rig_fini(&rig);
    close(fd);
}

static void damaged_file_is_never_saved_as_whole(void **state)
{
    static const enum stasis_ram_mode modes[] = {STASIS_RAM_MAP, STASIS_RAM_LAZY};
    struct stasis_error err = {0};
    struct ram_scene scene;

    (void)state;
    ram_scene_init(&scene);
    if (stasis_snap_save(scene.built.snap, scene.out, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    ram_scene_damage(&scene);
    for (unsigned i = 0; i < 8; i++) {
        enum stasis_ram_mode mode = modes[i & 1];

        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        save_of_damaged(&scene, mode, i & 2, i & 4);
        stream_of_damaged(&scene, mode, i & 2);
    }
    ram_scene_fini(&scene);
}

static void finish_says_what_a_copy_of_memory_is_worth(void **state)
{
    struct stasis_error err = {0};
    struct ram_scene scene;
    struct rig rig;

    (void)state;
    ram_scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_COPY; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        ram_scene_attach(&scene, &rig, mode, false);
        assert_int_equal(stasis_ram_finish(rig.ram, 0, NULL, NULL, &err), 0);
        assert_true(rig_metrics(&rig).complete);
        assert_int_equal(rig_metrics(&rig).verified_bytes, rig_metrics(&rig).stored_bytes);
        assert_int_equal(rig_metrics(&rig).faults, 0);
        assert_same(&rig, &scene.built);
        rig_fini(&rig);
    }
    ram_scene_damage(&scene);
    ram_scene_attach(&scene, &rig, STASIS_RAM_MAP, false);
    assert_refused(&scene, &rig, stasis_ram_finish(rig.ram, 0, NULL, NULL, &err), &err);
    rig_fini(&rig);
    ram_scene_fini(&scene);
}

/* ---- giving up ---- */

static bool give_up(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done <= total);
    return false;
}

/* The save is called off while it loads; the background goes on, and the next save succeeds. */
static void cancelled_finish_leaves_all_as_it_was(void **state)
{
    struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = 1, .no_sync = true, .progress = give_up};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct ram_scene scene;
    struct rig rig;

    (void)state;
    ram_scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_MAP; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        for (unsigned background = 0; background < 2; background++) {
            ram_scene_attach(&scene, &rig, mode, background);
            snap = ram_scene_snap(&rig);
            opts.progress = give_up;
            assert_int_equal(stasis_snap_save(snap, scene.out, &opts, NULL, &err),
                             STASIS_ERR_CANCELLED);
            assert_false(rig_metrics(&rig).failed);
            if (background)
                rig_wait(&rig);
            opts.progress = NULL;
            if (stasis_snap_save(snap, scene.out, &opts, NULL, &err))
                fail_msg("%s", err.msg);
            ram_scene_assert_whole(scene.out);
            assert_same(&rig, &scene.built);
            stasis_snap_free(snap);
            rig_fini(&rig);
        }
    }
    ram_scene_fini(&scene);
}

/* ---- the background is held ---- */

struct order {
    unsigned calls;
    unsigned units; /* when the writing began */
    struct rig *rig;
};

static bool watch_units(void *ctx, uint64_t done, uint64_t total)
{
    struct order *order = ctx;

    (void)done;
    (void)total;
    if (!rig_metrics(order->rig).complete)
        return true; /* the loading of what is left */
    if (!order->calls++)
        order->units = atomic_load(&units);
    else
        assert_int_equal(atomic_load(&units), order->units);
    return true;
}

/* From the moment that a save writes, no range of background work begins. With and without the
 * kernel's moving of pages: without, all blocks wait to be made huge. */
static void save_meets_no_background_work(void **state)
{
    struct order order = {0};
    const struct stasis_save_opts opts = {.size = sizeof(opts),
                                          .threads = 1,
                                          .no_sync = true,
                                          .progress = watch_units,
                                          .ctx = &order};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct ram_scene scene;
    struct rig rig;

    (void)state;
    if (!has_lazy())
        return;
    ram_scene_init(&scene);
    for (unsigned i = 0; i < 20; i++) {
        no_move = i % 2;
        ram_scene_attach(&scene, &rig, STASIS_RAM_LAZY, true);
        if (i % 4 >= 2)
            rig_wait(&rig); /* it makes huge pages now */
        snap = ram_scene_snap(&rig);
        order = (struct order){.rig = &rig};
        if (stasis_snap_save(snap, scene.out, &opts, NULL, &err))
            fail_msg("%s", err.msg);
        assert_true(order.calls > 1);
        assert_same(&rig, &scene.built);
        stasis_snap_free(snap);
        rig_fini(&rig);
    }
    no_move = false;
    ram_scene_fini(&scene);
}

/* ---- layers ---- */

#define STORED 115u /* a page of another chunk, that nobody touches */

static uint64_t dirty_words[4][1024];

static void set_dirty(struct stasis_snap *snap, const struct rig *rig)
{
    struct stasis_error err = {0};

    for (uint32_t r = 0; r < rig->region_count; r++) {
        assert_true(rig->size[r] <= sizeof(dirty_words[r]) * 8 * STASIS_PAGE_SIZE);
        if (stasis_snap_set_dirty(snap, r, dirty_words[r], &err))
            fail_msg("%s", err.msg);
    }
}

static void assert_ram(const struct ram_scene *scene, struct stasis_snap *parent, uint32_t region)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .parent = parent};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    uint8_t *ram = malloc(scene->built.size[region]);

    assert_non_null(ram);
    if (stasis_snap_open(scene->out, &opts, &snap, &err) ||
        stasis_snap_load_ram(snap, region, ram, 1, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    assert_memory_equal(ram, scene->built.ram[region], scene->built.size[region]);
    free(ram);
    stasis_snap_free(snap);
}

/* Of memory that is loaded when it is touched, what nobody has changed stays in the file. A page
 * that is called dirty, and was not touched, is what the file says. */
static void layer_loads_dirty_pages_only(void **state)
{
    struct stasis_snap *parent = NULL, *snap;
    struct stasis_error err = {0};
    struct ram_scene scene;
    struct rig rig;

    (void)state;
    if (!has_lazy())
        skip();
    ram_scene_init(&scene);
    if (stasis_snap_open(scene.in, NULL, &parent, &err))
        fail_msg("%s", err.msg);
    ram_scene_attach(&scene, &rig, STASIS_RAM_LAZY, false);
    memset(dirty_words, 0, sizeof(dirty_words));
    snap = ram_scene_snap(&rig);
    assert_int_equal(stasis_snap_set_parent(snap, parent, &err), 0);
    set_dirty(snap, &rig);
    ((uint8_t *)rig.host[0])[5] ^= 0xff;
    scene.built.ram[0][5] ^= 0xff;
    dirty_words[0][0] = 1;
    dirty_words[0][STORED / 64] |= UINT64_C(1) << STORED % 64;
    if (stasis_snap_save(snap, scene.out, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    assert_false(rig_metrics(&rig).complete);
    rig_wait_verified(&rig, 2 * STASIS_CHUNK_SIZE);
    for (uint32_t r = 0; r < rig.region_count; r++)
        assert_ram(&scene, parent, r);
    stasis_snap_free(snap);
    stasis_snap_free(parent);
    rig_fini(&rig);
    ram_scene_fini(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_file_is_never_saved_as_whole),
        cmocka_unit_test(finish_says_what_a_copy_of_memory_is_worth),
        cmocka_unit_test(cancelled_finish_leaves_all_as_it_was),
        cmocka_unit_test(layer_loads_dirty_pages_only),
        cmocka_unit_test(save_meets_no_background_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
