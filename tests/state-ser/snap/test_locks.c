/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Locks, conditions and memory over the whole of a snapshot's life: every unlock has its lock, on
 * the same thread, who waits holds the lock, and what was made is destroyed and freed. Each mutex
 * is of the kind that checks this.
 */
#include "tests/state-ser/snap/crash_alloc.h"
#include "tests/state-ser/snap/ram_rig.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "state-ser/snap/pool.h"
#include "state-ser/snap/ram_internal.h"
#include "stasis/notes.h"

static atomic_int mutexes, conditions; /* that were made and not destroyed */
static atomic_int wrong;               /* calls that failed */
static atomic_int made;
static long living;           /* blocks of memory, when the case began */
static unsigned threads_then; /* at first */

static unsigned threads_now(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int judged(int rc)
{
    if (rc && rc != ETIMEDOUT)
        atomic_fetch_add(&wrong, 1);
    return rc;
}

#define WRAP(name, counting, parameters, arguments)                                                \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        counting;                                                                                  \
        return judged(__real_##name arguments);                                                    \
    }

WRAP(pthread_mutex_destroy, atomic_fetch_sub(&mutexes, 1), (pthread_mutex_t * mutex), (mutex))
WRAP(pthread_mutex_lock, (void)0, (pthread_mutex_t * mutex), (mutex))
WRAP(pthread_mutex_unlock, (void)0, (pthread_mutex_t * mutex), (mutex))
WRAP(pthread_cond_init, atomic_fetch_add(&conditions, 1),
     (pthread_cond_t * cond, const pthread_condattr_t *attr), (cond, attr))
WRAP(pthread_cond_destroy, atomic_fetch_sub(&conditions, 1), (pthread_cond_t * cond), (cond))
WRAP(pthread_cond_wait, (void)0, (pthread_cond_t * cond, pthread_mutex_t *mutex), (cond, mutex))
WRAP(pthread_cond_timedwait, (void)0,
     (pthread_cond_t * cond, pthread_mutex_t *mutex, const struct timespec *until),
     (cond, mutex, until))

int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    pthread_mutexattr_t checking;
    int rc;

    assert_null(attr);
    pthread_mutexattr_init(&checking);
    pthread_mutexattr_settype(&checking, PTHREAD_MUTEX_ERRORCHECK);
    rc = __real_pthread_mutex_init(mutex, &checking);
    pthread_mutexattr_destroy(&checking);
    atomic_fetch_add(&mutexes, 1);
    atomic_fetch_add(&made, 1);
    return rc;
}

/* ---- the life of a snapshot ---- */

struct scene {
    struct built built;
    char path[160];
};

static int setup(void **state)
{
    static struct scene scene;

    atomic_store(&made, 0);
    living = crash_alloc_living();
    alarm(120); /* who locks what it has locked waits for ever */
    built_large(&scene.built);
    snprintf(scene.path, sizeof(scene.path), "%s/snap", folder_make());
    *state = &scene;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_remove();
    alarm(0);
    return 0;
}

/* A thread that was left to itself may still be about to end. */
static void assert_all_right(struct scene *scene)
{
    built_fini(&scene->built);
    assert_int_equal(atomic_load(&wrong), 0);
    while (threads_now() > threads_then)
        sched_yield();
    assert_int_equal(crash_alloc_living(), living);
    assert_int_equal(atomic_load(&mutexes), 0);
    assert_int_equal(atomic_load(&conditions), 0);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_not_equal(atomic_load(&made), 0);
}

static bool go_on(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done <= total;
}

static bool cancel(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)total;
    return done == 0;
}

static void saving(void **state)
{
    struct scene *scene = *state;

    for (unsigned level = 0; level < 2; level++) {
        for (unsigned threads = 1; threads < 4; threads += 2) {
            struct stasis_save_opts opts = {
                .size = sizeof(opts), .threads = threads, .zlib_level = level, .progress = go_on};
            struct image stream;

            assert_int_equal(stasis_snap_save(scene->built.snap, scene->path, &opts, NULL, NULL),
                             0);
            stream = image_of_stream_with(&scene->built, &opts);
            image_fini(&stream);
            opts.progress = NULL;
            assert_int_equal(stasis_snap_save(scene->built.snap, scene->path, &opts, NULL, NULL),
                             0);
            opts.progress = cancel;
            assert_int_equal(stasis_snap_save(scene->built.snap, scene->path, &opts, NULL, NULL),
                             STASIS_ERR_CANCELLED);
        }
    }
    assert_all_right(scene);
}

static void loading(void **state)
{
    struct scene *scene = *state;
    struct stasis_snap *snap = NULL;

    assert_int_equal(stasis_snap_save(scene->built.snap, scene->path, NULL, NULL, NULL), 0);
    assert_int_equal(stasis_snap_open(scene->path, NULL, &snap, NULL), 0);
    for (unsigned threads = 1; threads < 4; threads += 2) {
        assert_same_ram(snap, &scene->built, threads);
        assert_int_equal(stasis_snap_verify(snap, threads, go_on, NULL, NULL), 0);
        (void)!stasis_snap_verify(snap, threads, cancel, NULL, NULL);
    }
    stasis_snap_free(snap);
    assert_all_right(scene);
}

/* With all that a file can have besides; and saved again. */
static void editing(void **state)
{
    struct scene *scene = *state;
    struct stasis_snap *snap = NULL;
    struct image image;
    char again[176];
    int fd;

    snprintf(again, sizeof(again), "%s-again", scene->path);
    assert_int_equal(stasis_notes_set(stasis_snap_notes(scene->built.snap), "key", "value", NULL),
                     0);
    image = image_of(&scene->built);
    image_add_section(&image, 0x40, 100);
    image_reseal(&image);
    fd = image_fd(&image);
    if (stasis_snap_open_fd(fd, "test", NULL, &snap, NULL))
        fail_msg("it is not opened");
    close(fd);
    assert_int_equal(stasis_snap_read_notes(snap, NULL), 0);
    assert_int_equal(stasis_snap_unknown_count(snap), 1);
    assert_int_equal(stasis_snap_save(snap, again, NULL, NULL, NULL), 0);
    assert_int_equal(stasis_snap_save(snap, again, NULL, NULL, NULL), 0);
    stasis_snap_free(snap);
    snap = NULL;
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "test", NULL, &snap, NULL), 0);
    stasis_snap_set_records(snap, stasis_records_new());
    stasis_snap_free(snap);
    close(fd);
    for (size_t cut = 0; cut < image.len; cut += image.len / 7) { /* refused at any place */
        struct image piece = image_copy(&image);

        image_resize(&piece, cut);
        (void)!check_image(&piece, NULL);
        image_fini(&piece);
    }
    image_fini(&image);
    assert_all_right(scene);
}

static void attach(struct scene *scene, struct rig *rig, enum stasis_ram_mode mode, bool background)
{
    struct stasis_ram_opts opts = {.mode = mode, .no_prefetch = !background, .threads = 2};
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};

    if (stasis_snap_open(scene->path, NULL, &snap, &err) ||
        rig_try_snap(rig, snap, RIG_FRESH, opts, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

static void restoring(void **state)
{
    struct scene *scene = *state;

    assert_int_equal(stasis_snap_save(scene->built.snap, scene->path, NULL, NULL, NULL), 0);
    for (int m = 0; m < RIG_MODES; m++) {
        struct stasis_error err = {0};
        struct rig rig;

        if (!rig_can(rig_modes[m]))
            continue;
        attach(scene, &rig, rig_modes[m], true);
        rig_wait(&rig);
        assert_same(&rig, &scene->built);
        (void)stasis_ram_uffd(rig.ram);
        rig_fini(&rig);
        attach(scene, &rig, rig_modes[m], false);
        assert_int_equal(stasis_ram_finish(rig.ram, 2, go_on, NULL, NULL), 0);
        assert_int_equal(stasis_ram_failure(rig.ram, &err), 0);
        assert_true(stasis_ram_is_complete(rig.ram));
        rig_fini(&rig);
        attach(scene, &rig, rig_modes[m], true);
        stasis_ram_hold(rig.ram);
        stasis_ram_release(rig.ram);
        assert_int_equal(stasis_ram_hold_while(rig.ram, go_on, NULL, NULL), 0);
        stasis_ram_fail(rig.ram, &err);
        stasis_ram_cancel_waiters(rig.ram);
        rig_fini(&rig);
    }
    assert_all_right(scene);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void *end_at_once(void *arg)
{
    return arg;
}

/* ThreadSanitizer starts a thread of its own with the first one, and keeps it. */
static void count_threads(void)
{
    pthread_t first;

    assert_int_equal(pthread_create(&first, NULL, end_at_once, NULL), 0);
    assert_int_equal(pthread_join(first, NULL), 0);
    threads_then = threads_now();
}

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(saving), CASE(loading), CASE(editing), CASE(restoring)};

    count_threads();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
