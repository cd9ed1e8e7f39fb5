/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Saves, and threads that wait for memory, while a read of the file does not return.
 */
#include "tests/state-ser/snap/ram_scene.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t at; /* a read of this byte waits until this is 0 */
    bool hangs;
} hanging = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int lowest = INT_MIN; /* priority of any thread that read; guarded by hanging.lock */

ssize_t __real_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);

ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    int priority = getpriority(PRIO_PROCESS, 0); /* of this thread */

    pthread_mutex_lock(&hanging.lock);
    if (priority > lowest)
        lowest = priority;
    while (hanging.at && offset <= hanging.at && hanging.at < offset + len) {
        hanging.hangs = true;
        pthread_cond_broadcast(&hanging.changed);
        pthread_cond_wait(&hanging.changed, &hanging.lock);
    }
    pthread_mutex_unlock(&hanging.lock);
    return __real_stasis_io_pread(fd, buf, len, offset);
}

static void hang(const struct ram_scene *scene)
{
    pthread_mutex_lock(&hanging.lock);
    hanging.at = scene->last;
    hanging.hangs = false;
    pthread_mutex_unlock(&hanging.lock);
}

static void hang_no_more(void)
{
    pthread_mutex_lock(&hanging.lock);
    hanging.at = 0;
    pthread_cond_broadcast(&hanging.changed);
    pthread_mutex_unlock(&hanging.lock);
}

static bool give_up_once_it_hangs(void *ctx, uint64_t done, uint64_t total)
{
    bool hangs;

    (void)ctx;
    assert_true(done < total);
    pthread_mutex_lock(&hanging.lock);
    hangs = hanging.hangs;
    pthread_mutex_unlock(&hanging.lock);
    return !hangs;
}

static void save_that_hangs(const struct ram_scene *scene, enum stasis_ram_mode mode,
                            bool background, unsigned threads)
{
    struct stasis_save_opts opts = {.size = sizeof(opts),
                                    .threads = threads,
                                    .no_sync = true,
                                    .progress = give_up_once_it_hangs};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct rig rig;

    hang(scene);
    ram_scene_attach(scene, &rig, mode, background);
    snap = ram_scene_snap(&rig);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(stasis_snap_save(snap, scene->out, &opts, NULL, &err),
                         STASIS_ERR_CANCELLED);
    assert_false(rig_metrics(&rig).complete);
    hang_no_more();
    if (background)
        rig_wait(&rig); /* it goes on, with nobody to start it again */
    opts.progress = NULL;
    if (stasis_snap_save(snap, scene->out, &opts, NULL, &err))
        fail_msg("%s", err.msg);
    ram_scene_assert_whole(scene->out);
    assert_same(&rig, &scene->built);
    stasis_snap_free(snap);
    rig_fini(&rig);
}

/* Whichever thread it is that does not come back: one of the background's or of the save's. */
static void save_is_cancelled_while_a_read_hangs(void **state)
{
    struct ram_scene scene;

    (void)state;
    alarm(120); /* a save that waits for the read */
    ram_scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_MAP; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        for (unsigned i = 0; i < 4; i++)
            save_that_hangs(&scene, mode, i & 1, i & 2 ? 3 : 1);
    }
    ram_scene_fini(&scene);
    alarm(0);
}

static void *touch_it(void *at)
{
    return (void *)(uintptr_t)touch(at);
}

/* Who waits for memory is sent away although the thread that serves it does not come back. */
static void cancel_waiters_waits_for_no_thread(void **state)
{
    struct ram_scene scene;
    pthread_t toucher;
    struct rig rig;
    void *result;

    (void)state;
    if (!has_lazy())
        return;
    ram_scene_init(&scene);
    ram_scene_attach(&scene, &rig, STASIS_RAM_LAZY, false);
    hang(&scene);
    assert_int_equal(
        pthread_create(&toucher, NULL, touch_it, (uint8_t *)rig.host[0] + rig.size[0] - 1), 0);
    pthread_mutex_lock(&hanging.lock);
    while (!hanging.hangs)
        pthread_cond_wait(&hanging.changed, &hanging.lock);
    pthread_mutex_unlock(&hanging.lock);
    stasis_ram_cancel_waiters(rig.ram);
    assert_int_equal(pthread_join(toucher, &result), 0);
    assert_int_equal((uintptr_t)result, SIGSEGV);
    hang_no_more();
    rig_fini(&rig);
    ram_scene_fini(&scene);
}

/* A save waits for the background to end what it is at: it must not wait for a processor for
 * longer than the save itself would. */
static void background_work_has_the_priority_of_its_owner(void **state)
{
    struct ram_scene scene;
    struct rig rig;

    (void)state;
    ram_scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_MAP; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        lowest = INT_MIN;
        ram_scene_attach(&scene, &rig, mode, true);
        rig_wait(&rig);
        assert_int_equal(lowest, getpriority(PRIO_PROCESS, 0));
        rig_fini(&rig);
    }
    ram_scene_fini(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(save_is_cancelled_while_a_read_hangs),
        cmocka_unit_test(cancel_waiters_waits_for_no_thread),
        cmocka_unit_test(background_work_has_the_priority_of_its_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
