/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory that was given back is zero, whatever the file has there: before it is loaded, while it is
 * loaded and afterwards, in every mode, and in the next file.
 */
#include "tests/state-ser/snap/discard_rig.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_resident(const struct rig *rig, size_t at, size_t len)
{
    unsigned char in[512];

    assert_true(len / PAGE <= sizeof(in));
    assert_int_equal(mincore(host_of(rig, at), len, in), 0);
    for (size_t i = 0; i < len / PAGE; i++) {
        if (in[i] & 1)
            return true;
    }
    return false;
}

static void finish(const struct rig *rig)
{
    struct stasis_error err = {0};

    if (stasis_ram_finish(rig->ram, 0, NULL, NULL, &err))
        fail_msg("%s", err.msg);
}

/* The next file has it as zero chunks. */
static void check_next(struct rig *rig, const struct built *built)
{
    struct built next;
    struct image image;
    struct stasis_snap *snap;

    built_init(&next);
    stasis_snap_set_ram_source(next.snap, rig->ram);
    assert_int_equal(stasis_snap_add_ram(next.snap, 0, rig->host[0], rig->size[0], NULL), 0);
    image = image_of(&next);
    snap = image_reopen(&image);
    assert_same_ram(snap, built, 1);
    assert_int_equal(stasis_snap_chunk_at(snap, 4).kind, STASIS_CHUNK_ZERO);
    for (uint64_t i = 2 * MIB / CHUNK; i < 4 * MIB / CHUNK; i++)
        assert_int_equal(stasis_snap_chunk_at(snap, i).kind, STASIS_CHUNK_ZERO);
    assert_int_equal(stasis_snap_chunk_at(snap, 6 * MIB / CHUNK).kind, STASIS_CHUNK_ZERO);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&next);
}

static void taken_at(enum stasis_ram_mode mode, bool background, bool loaded)
{
    struct scene scene;
    struct rig rig;

    scene_init(&scene);
    rig_attach(&rig, scene.fd, mode, background);
    if (loaded)
        finish(&rig);
    take_all(&rig, &scene.built);
    assert_false(is_resident(&rig, 2 * MIB, 2 * MIB));
    if (!loaded)
        finish(&rig);
    assert_false(is_resident(&rig, 2 * MIB, 2 * MIB));
    assert_int_equal(rig_metrics(&rig).verified_bytes, rig_metrics(&rig).stored_bytes);
    assert_same(&rig, &scene.built);
    check_next(&rig, &scene.built);
    assert_int_equal(rig.failures, 0);
    rig_fini(&rig);
    scene_fini(&scene);
}

static void what_is_taken_away_stays_zero_in_every_mode(void **state)
{
    (void)state;
    for (size_t m = 0; m < RIG_MODES; m++) {
        for (unsigned how = 0; rig_can(rig_modes[m]) && how < 4; how++)
            taken_at(rig_modes[m], how & 1, how & 2);
    }
}

/* Memory that nobody has loaded is zero at the touch, and what is beside it is loaded. */
static void a_touch_does_not_bring_it_back(void **state)
{
    struct scene scene;
    struct rig rig;

    (void)state;
    if (!has_lazy())
        return;
    scene_init(&scene);
    rig_attach(&rig, scene.fd, STASIS_RAM_LAZY, false);
    take_all(&rig, &scene.built);
    assert_same(&rig, &scene.built);
    take_all(&rig, &scene.built); /* once more, now that all of it is there */
    assert_same(&rig, &scene.built);
    rig_fini(&rig);
    scene_fini(&scene);
}

/* A page that the guest uses again is the guest's. */
static void what_is_written_afterwards_stays(void **state)
{
    (void)state;
    for (size_t m = 0; m < RIG_MODES; m++) {
        struct scene scene;
        struct rig rig;

        if (!rig_can(rig_modes[m]))
            continue;
        scene_init(&scene);
        rig_attach(&rig, scene.fd, rig_modes[m], false);
        take_all(&rig, &scene.built);
        for (size_t i = 0; i < PIECES; i++) {
            *host_of(&rig, pieces[i].at) = 7;
            scene.built.ram[0][pieces[i].at] = 7;
        }
        finish(&rig);
        assert_same(&rig, &scene.built);
        rig_fini(&rig);
        scene_fini(&scene);
    }
}

/* Shared, of a file, or locked: nothing can be given back, and it is zero all the same. */
static void memory_of_other_kinds_is_zero(void **state)
{
    (void)state;
    for (int kind = RIG_USED; kind < RIG_HUGE; kind++) {
        const struct stasis_ram_opts opts = {.mode = STASIS_RAM_MAP};
        struct scene scene;
        struct rig rig;

        scene_init(&scene);
        assert_int_equal(rig_try_in(&rig, scene.fd, (enum rig_memory)kind, opts, NULL), 0);
        take_all(&rig, &scene.built);
        assert_same(&rig, &scene.built);
        rig_fini(&rig);
        scene_fini(&scene);
    }
}

/* Whoever has locked it meanwhile waits for what is to be loaded, and still finds zeros. */
static void memory_that_was_locked_since_is_zero(void **state)
{
    (void)state;
    for (size_t m = 0; m < RIG_MODES; m++) {
        struct scene scene;
        struct rig rig;

        if (!rig_can(rig_modes[m]))
            continue;
        scene_init(&scene);
        rig_attach(&rig, scene.fd, rig_modes[m], false);
        assert_int_equal(syscall(SYS_mlock2, rig.host[0], rig.size[0], MLOCK_ONFAULT), 0);
        take_all(&rig, &scene.built);
        assert_same(&rig, &scene.built);
        rig_fini(&rig);
        scene_fini(&scene);
    }
}

/* A chunk that is damaged, and that nobody will see. */
static void what_is_wholly_taken_away_is_not_read(void **state)
{
    struct scene scene;
    struct rig rig;

    (void)state;
    if (!has_lazy())
        return;
    scene_init(&scene);
    flip_bit(scene.fd, chunk_offset(scene.fd, 4) + 100, 3);
    rig_attach(&rig, scene.fd, STASIS_RAM_LAZY, false);
    take(&rig, &scene.built, 4 * CHUNK, CHUNK);
    assert_int_equal(touch(host_of(&rig, 4 * CHUNK)), 0);
    finish(&rig);
    assert_same(&rig, &scene.built);
    assert_int_equal(rig.failures, 0);
    rig_fini(&rig);
    scene_fini(&scene);
}

static void what_is_not_whole_pages_of_a_region_is_refused(void **state)
{
    static const struct {
        size_t at;
        uint64_t len;
    } bad[] = {
        {0, 0},
        {0, 1},
        {0, PAGE + 1},
        {1, PAGE},
        {6 * MIB + 2 * PAGE, PAGE},
        {6 * MIB + PAGE, 2 * PAGE},
        {PAGE, UINT64_MAX - PAGE + 1},
    };
    struct stasis_error err;
    struct scene scene;
    struct rig rig;

    (void)state;
    scene_init(&scene);
    rig_attach(&rig, scene.fd, STASIS_RAM_COPY, false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(stasis_ram_discard(rig.ram, host_of(&rig, bad[i].at), bad[i].len, &err),
                         STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "are not whole pages of one region"));
    }
    assert_int_equal(stasis_ram_discard(rig.ram, host_of(&rig, 0) - PAGE, PAGE, &err),
                     STASIS_ERR_ARG);
    assert_same(&rig, &scene.built);
    rig_fini(&rig);
    scene_fini(&scene);
}

/* ---- while it is loaded ---- */

struct taker {
    const struct rig *rig;
    const struct built *built;
    size_t start; /* of its part: each has one of its own */
    uint32_t seed;
    bool bad;
};

#define TAKERS 3u
#define PART   (2 * MIB)

static void *take_about(void *arg)
{
    struct taker *taker = arg;
    uint32_t x = taker->seed;

    for (unsigned i = 0; i < 150; i++) {
        size_t page, pages, look;

        x = x * 1664525u + 1013904223u;
        page = (x >> 8) % (PART / PAGE);
        pages = 1 + (x >> 20) % 40;
        look = taker->start + (x >> 4) % PART;
        if (pages > PART / PAGE - page)
            pages = PART / PAGE - page;
        take(taker->rig, taker->built, taker->start + page * PAGE, pages * PAGE);
        if (*host_of(taker->rig, look) != taker->built->ram[0][look])
            taker->bad = true;
    }
    return NULL;
}

static void take_while_it_loads(enum stasis_ram_mode mode, uint32_t round)
{
    struct taker takers[TAKERS];
    pthread_t threads[TAKERS];
    struct scene scene;
    struct rig rig;

    scene_init(&scene);
    rig_attach(&rig, scene.fd, mode, true);
    for (uint32_t t = 0; t < TAKERS; t++) {
        takers[t] = (struct taker){&rig, &scene.built, t * PART, round * 8 + t, 0};
        assert_int_equal(pthread_create(&threads[t], NULL, take_about, &takers[t]), 0);
    }
    for (unsigned t = 0; t < TAKERS; t++) {
        pthread_join(threads[t], NULL);
        assert_false(takers[t].bad);
    }
    if (round % 2)
        rig_wait(&rig);
    assert_same(&rig, &scene.built);
    assert_int_equal(rig.failures, 0);
    rig_fini(&rig);
    scene_fini(&scene);
}

static void several_take_while_it_loads(void **state)
{
    (void)state;
    for (size_t m = 0; m < RIG_MODES; m++) {
        for (uint32_t round = 0; rig_can(rig_modes[m]) && round < 2; round++)
            take_while_it_loads(rig_modes[m], round);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_away_stays_zero_in_every_mode),
        cmocka_unit_test(a_touch_does_not_bring_it_back),
        cmocka_unit_test(what_is_written_afterwards_stays),
        cmocka_unit_test(memory_of_other_kinds_is_zero),
        cmocka_unit_test(memory_that_was_locked_since_is_zero),
        cmocka_unit_test(what_is_wholly_taken_away_is_not_read),
        cmocka_unit_test(what_is_not_whole_pages_of_a_region_is_refused),
        cmocka_unit_test(several_take_while_it_loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
