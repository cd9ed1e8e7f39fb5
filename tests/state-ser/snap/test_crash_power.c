/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The calls of a save, replayed into a model of a disk that loses its power behind each of them:
 * a process that is killed loses no page cache, so that killing proves nothing about fsync.
 */
#include "tests/state-ser/snap/crash_model.h"
#include "tests/state-ser/snap/crash_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_STATES 96 /* for each prefix */
#define FIRST_SEED    20230301u

struct save_kind {
    const char *name;
    bool with_old;
    bool no_tmpfile;
    bool no_sync;
    bool layer;
};

static const struct save_kind replacing = {.name = "over an old file", .with_old = true};
static const struct save_kind fresh = {.name = "to a free name"};
static const struct save_kind replacing_named = {
    .name = "over an old file, without O_TMPFILE", .with_old = true, .no_tmpfile = true};
static const struct save_kind fresh_named = {.name = "to a free name, without O_TMPFILE",
                                             .no_tmpfile = true};
static const struct save_kind unsynced = {
    .name = "over an old file, without sync", .with_old = true, .no_sync = true};

static const struct save_kind layer = {
    .name = "a layer over an old file", .with_old = true, .layer = true};

struct recorded {
    struct crash_scene scene;
    struct crash_log log;
    struct image saved; /* what the save left, which is the new file */
    bool no_sync;
    int rc;
};

/* ---- recording ---- */

static void save_it(void *ctx)
{
    struct recorded *recorded = ctx;
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = 1, .no_sync = recorded->no_sync};

    recorded->rc =
        stasis_snap_save(recorded->scene.built.snap, recorded->scene.path, &opts, NULL, NULL);
}

static struct recorded *record(const struct save_kind *kind)
{
    struct recorded *recorded = calloc(1, sizeof(*recorded));
    struct crash_watch watch = {save_it, recorded, crash_log_call, NULL};
    unsigned temporary;

    assert_non_null(recorded);
    recorded->no_sync = kind->no_sync;
    recorded->log.no_tmpfile = kind->no_tmpfile;
    watch.ctx = &recorded->log;
    crash_scene_init(&recorded->scene, crash_guest_striped, kind->with_old);
    if (kind->layer)
        crash_scene_lay(&recorded->scene);
    if (!crash_watch(&watch)) {
        printf("skipped: no seccomp listener here\n");
        crash_scene_fini(&recorded->scene);
        free(recorded);
        skip();
        return NULL; /* skip() does not come back, but does not say so */
    }
    assert_int_equal(recorded->rc, 0);
    if (recorded->log.unknown)
        fail_msg("the model does not know system call %ld", recorded->log.unknown_nr);
    assert_int_equal(crash_scene_look(&recorded->scene, &temporary), CRASH_NEW);
    assert_int_equal(temporary, 0);
    recorded->saved = image_read(recorded->scene.path);
    return recorded;
}

static void forget(struct recorded *recorded)
{
    image_fini(&recorded->saved);
    crash_log_fini(&recorded->log);
    crash_scene_fini(&recorded->scene);
    free(recorded);
}

/* ---- replaying ---- */

enum left { LEFT_NOTHING, LEFT_OLD, LEFT_NEW, LEFT_BROKEN, LEFT_COUNT };

struct tally {
    unsigned states;
    unsigned left[LEFT_COUNT];
    unsigned at_end[LEFT_COUNT]; /* of those after the save has returned */
};

static bool same(const struct image *a, const struct image *b)
{
    return a->len == b->len && !memcmp(a->bytes, b->bytes, a->len);
}

static enum left left_after(const struct recorded *recorded, unsigned prefix, enum crash_keep keep,
                            uint32_t *seed)
{
    struct image image;
    enum left left = LEFT_BROKEN;

    if (!crash_log_after(&recorded->log, prefix, keep, seed, CRASH_TARGET, &recorded->scene.old,
                         &image))
        return LEFT_NOTHING;
    if (same(&image, &recorded->saved))
        left = LEFT_NEW;
    else if (same(&image, &recorded->scene.old))
        left = LEFT_OLD;
    image_fini(&image);
    return left;
}

static struct tally replay(const struct recorded *recorded)
{
    struct tally tally = {0};
    uint32_t seed = FIRST_SEED;

    for (unsigned prefix = 0; prefix <= recorded->log.count; prefix++) {
        for (unsigned i = 0; i < RANDOM_STATES + 2; i++) {
            enum crash_keep keep = i < 2 ? (enum crash_keep)i : CRASH_KEEP_RANDOM;
            enum left left = left_after(recorded, prefix, keep, &seed);

            tally.states++;
            tally.left[left]++;
            tally.at_end[left] += prefix == recorded->log.count;
        }
    }
    return tally;
}

static void print(const struct tally *tally, const struct recorded *recorded, const char *name)
{
    printf("seed %u, %s: power cut behind each of %u calls, %u states: %u old, %u new, %u nothing, "
           "%u broken\n",
           FIRST_SEED, name, recorded->log.count, tally->states, tally->left[LEFT_OLD],
           tally->left[LEFT_NEW], tally->left[LEFT_NOTHING], tally->left[LEFT_BROKEN]);
}

static void old_or_new_is_there(void **state)
{
    const struct save_kind *kind = *state;
    struct recorded *recorded = record(kind);
    struct tally tally = replay(recorded);

    print(&tally, recorded, kind->name);
    /* Runs, or what a layer has of them; state, index, header; publishing. */
    assert_true(recorded->log.count >= (kind->layer ? 1 : 8) + 3 + 4);
    assert_int_equal(tally.left[LEFT_BROKEN], 0);
    assert_true(tally.left[kind->with_old ? LEFT_OLD : LEFT_NOTHING] > 0);
    assert_int_equal(tally.left[kind->with_old ? LEFT_NOTHING : LEFT_OLD], 0);
    /* What stasis_snap_save() promises when it returns 0. */
    assert_int_equal(tally.at_end[LEFT_NEW], RANDOM_STATES + 2);
    forget(recorded);
}

/* ---- the model can fail ---- */

static void without_fsync_of_the_file_it_breaks(void **state)
{
    struct recorded *recorded = record(*state);
    struct tally tally;

    crash_log_drop(&recorded->log, CRASH_OP_SYNC);
    tally = replay(recorded);
    print(&tally, recorded, "had the file not been synced");
    assert_true(tally.left[LEFT_BROKEN] > 0);
    forget(recorded);
}

static void without_fsync_of_the_folder_the_new_file_may_be_lost(void **state)
{
    struct recorded *recorded = record(*state);
    struct tally tally;

    crash_log_drop(&recorded->log, CRASH_OP_SYNC_FOLDER);
    tally = replay(recorded);
    print(&tally, recorded, "had the folder not been synced");
    assert_int_equal(tally.left[LEFT_BROKEN], 0);
    assert_true(tally.at_end[LEFT_OLD] + tally.at_end[LEFT_NOTHING] > 0);
    forget(recorded);
}

static void a_save_without_sync_is_as_risky_as_documented(void **state)
{
    struct recorded *recorded = record(*state);
    struct tally tally = replay(recorded);

    print(&tally, recorded, unsynced.name);
    assert_true(tally.left[LEFT_BROKEN] > 0);
    forget(recorded);
}

static struct CMUnitTest test(const char *name, CMUnitTestFunction function,
                              const struct save_kind *kind)
{
    return (struct CMUnitTest){
        .name = name, .test_func = function, .initial_state = (void *)(uintptr_t)kind};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test("old_or_new_is_there", old_or_new_is_there, &replacing),
        test("nothing_or_new_is_there", old_or_new_is_there, &fresh),
        test("old_or_new_is_there_without_tmpfile", old_or_new_is_there, &replacing_named),
        test("nothing_or_new_is_there_without_tmpfile", old_or_new_is_there, &fresh_named),
        test("old_or_new_layer_is_there", old_or_new_is_there, &layer),
        test("without_fsync_of_the_file_it_breaks", without_fsync_of_the_file_it_breaks,
             &replacing),
        test("without_fsync_of_the_folder_the_new_file_may_be_lost",
             without_fsync_of_the_folder_the_new_file_may_be_lost, &replacing),
        test("without_fsync_of_the_folder_the_only_file_may_be_lost",
             without_fsync_of_the_folder_the_new_file_may_be_lost, &fresh),
        test("a_save_without_sync_is_as_risky_as_documented",
             a_save_without_sync_is_as_risky_as_documented, &unsynced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
