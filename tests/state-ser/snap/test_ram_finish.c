/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory that leaves the process is verified first, whatever the mode and the background: no save
 * makes a whole file of a damaged one, and none meets the background's work on its way.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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

/* ---- scenes ---- */

struct scene {
    struct built built;
    char in[128], out[128];
    size_t last; /* offset in the file of the last chunk's last byte */
    char place[64];
};

static void scene_init(struct scene *scene)
{
    struct stasis_snap_chunk chunk;
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    const char *folder = folder_make();
    uint64_t last;

    snprintf(scene->in, sizeof(scene->in), "%s/in.snap", folder);
    snprintf(scene->out, sizeof(scene->out), "%s/out.snap", folder);
    built_init(&scene->built);
    built_add(&scene->built, 0, 16 << 20);
    fill_random(scene->built.ram[0], 16 << 20, 1);
    if (stasis_snap_save(scene->built.snap, scene->in, NULL, NULL, &err) ||
        stasis_snap_open(scene->in, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    last = stasis_snap_chunk_count(snap) - 1;
    chunk = stasis_snap_chunk_at(snap, last);
    scene->last = chunk.offset + chunk.stored_len - 1;
    snprintf(scene->place, sizeof(scene->place), "chunk %u,", (unsigned)last);
    stasis_snap_free(snap);
}

static void scene_fini(struct scene *scene)
{
    folder_remove();
    built_fini(&scene->built);
}

static void scene_damage(const struct scene *scene)
{
    int fd = open(scene->in, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)scene->last), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)scene->last), 1);
    close(fd);
}

static void scene_attach(const struct scene *scene, struct rig *rig, enum stasis_ram_mode mode,
                         bool background)
{
    int fd = open(scene->in, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    rig_attach(rig, fd, mode, background);
    close(fd);
}

static struct stasis_snap *snap_of(const struct rig *rig)
{
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err = {0};

    assert_non_null(snap);
    stasis_snap_set_ram_source(snap, rig->ram);
    if (stasis_snap_add_ram(snap, 0, rig->host[0], rig->size[0], &err))
        fail_msg("%s", err.msg);
    return snap;
}

static void assert_whole(const char *path)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};

    if (stasis_snap_open(path, NULL, &snap, &err) || stasis_snap_verify(snap, 0, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

/* ---- damaged files ---- */

static void assert_refused(const struct scene *scene, const struct rig *rig, int rc,
                           const struct stasis_error *err)
{
    struct stasis_ram_metrics metrics = rig_metrics(rig);

    assert_int_equal(rc, STASIS_ERR_CORRUPT);
    if (!strstr(err->msg, scene->place))
        fail_msg("%s lacks %s", err->msg, scene->place);
    assert_true(metrics.failed);
    assert_int_equal(rig->failures, 1);
}

static void save_of_damaged(const struct scene *scene, enum stasis_ram_mode mode, bool background,
                            bool packed)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = packed};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct rig rig;

    scene_attach(scene, &rig, mode, background);
    snap = snap_of(&rig);
    assert_refused(scene, &rig, stasis_snap_save(snap, scene->out, &opts, NULL, &err), &err);
    assert_non_null(strstr(err.msg, "the old file is whole"));
    assert_whole(scene->out);
    assert_refused(scene, &rig, stasis_snap_save(snap, scene->out, &opts, NULL, &err), &err);
    stasis_snap_free(snap);
    rig_fini(&rig);
}

static void stream_of_damaged(const struct scene *scene, enum stasis_ram_mode mode, bool background)
{
    int fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct stat st;
    struct rig rig;

    assert_true(fd >= 0);
    scene_attach(scene, &rig, mode, background);
    snap = snap_of(&rig);
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
    struct scene scene;

    (void)state;
    scene_init(&scene);
    if (stasis_snap_save(scene.built.snap, scene.out, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    scene_damage(&scene);
    for (unsigned i = 0; i < 8; i++) {
        enum stasis_ram_mode mode = modes[i & 1];

        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        save_of_damaged(&scene, mode, i & 2, i & 4);
        stream_of_damaged(&scene, mode, i & 2);
    }
    scene_fini(&scene);
}

static void finish_says_what_a_copy_of_memory_is_worth(void **state)
{
    struct stasis_error err = {0};
    struct scene scene;
    struct rig rig;

    (void)state;
    scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_COPY; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        scene_attach(&scene, &rig, mode, false);
        assert_int_equal(stasis_ram_finish(rig.ram, 0, NULL, NULL, &err), 0);
        assert_true(rig_metrics(&rig).complete);
        assert_int_equal(rig_metrics(&rig).verified_bytes, rig_metrics(&rig).stored_bytes);
        assert_int_equal(rig_metrics(&rig).faults, 0);
        assert_same(&rig, &scene.built);
        rig_fini(&rig);
    }
    scene_damage(&scene);
    scene_attach(&scene, &rig, STASIS_RAM_MAP, false);
    assert_refused(&scene, &rig, stasis_ram_finish(rig.ram, 0, NULL, NULL, &err), &err);
    rig_fini(&rig);
    scene_fini(&scene);
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
    struct scene scene;
    struct rig rig;

    (void)state;
    scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_MAP; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        for (unsigned background = 0; background < 2; background++) {
            scene_attach(&scene, &rig, mode, background);
            snap = snap_of(&rig);
            opts.progress = give_up;
            assert_int_equal(stasis_snap_save(snap, scene.out, &opts, NULL, &err),
                             STASIS_ERR_CANCELLED);
            assert_false(rig_metrics(&rig).failed);
            if (background)
                rig_wait(&rig);
            opts.progress = NULL;
            if (stasis_snap_save(snap, scene.out, &opts, NULL, &err))
                fail_msg("%s", err.msg);
            assert_whole(scene.out);
            assert_same(&rig, &scene.built);
            stasis_snap_free(snap);
            rig_fini(&rig);
        }
    }
    scene_fini(&scene);
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
    struct scene scene;
    struct rig rig;

    (void)state;
    if (!has_lazy())
        return;
    scene_init(&scene);
    for (unsigned i = 0; i < 20; i++) {
        no_move = i % 2;
        scene_attach(&scene, &rig, STASIS_RAM_LAZY, true);
        if (i % 4 >= 2)
            rig_wait(&rig); /* it makes huge pages now */
        snap = snap_of(&rig);
        order = (struct order){.rig = &rig};
        if (stasis_snap_save(snap, scene.out, &opts, NULL, &err))
            fail_msg("%s", err.msg);
        assert_true(order.calls > 1);
        assert_same(&rig, &scene.built);
        stasis_snap_free(snap);
        rig_fini(&rig);
    }
    no_move = false;
    scene_fini(&scene);
}

/* ---- a read that hangs ---- */

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

static void hang(const struct scene *scene)
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

static void save_that_hangs(const struct scene *scene, enum stasis_ram_mode mode, bool background,
                            unsigned threads)
{
    struct stasis_save_opts opts = {.size = sizeof(opts),
                                    .threads = threads,
                                    .no_sync = true,
                                    .progress = give_up_once_it_hangs};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct rig rig;

    hang(scene);
    scene_attach(scene, &rig, mode, background);
    snap = snap_of(&rig);
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
    assert_whole(scene->out);
    assert_same(&rig, &scene->built);
    stasis_snap_free(snap);
    rig_fini(&rig);
}

/* Whichever thread it is that does not come back: one of the background's or of the save's. */
static void save_is_cancelled_while_a_read_hangs(void **state)
{
    struct scene scene;

    (void)state;
    alarm(120); /* a save that waits for the read */
    scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_MAP; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        for (unsigned i = 0; i < 4; i++)
            save_that_hangs(&scene, mode, i & 1, i & 2 ? 3 : 1);
    }
    scene_fini(&scene);
    alarm(0);
}

static void *touch_it(void *at)
{
    return (void *)(uintptr_t)touch(at);
}

/* Who waits for memory is sent away although the thread that serves it does not come back. */
static void cancel_waiters_waits_for_no_thread(void **state)
{
    struct scene scene;
    pthread_t toucher;
    struct rig rig;
    void *result;

    (void)state;
    if (!has_lazy())
        return;
    scene_init(&scene);
    scene_attach(&scene, &rig, STASIS_RAM_LAZY, false);
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
    scene_fini(&scene);
}

/* A save waits for the background to end what it is at: it must not wait for a processor for
 * longer than the save itself would. */
static void background_work_has_the_priority_of_its_owner(void **state)
{
    struct scene scene;
    struct rig rig;

    (void)state;
    scene_init(&scene);
    for (enum stasis_ram_mode mode = STASIS_RAM_MAP; mode <= STASIS_RAM_LAZY; mode++) {
        if (mode == STASIS_RAM_LAZY && !has_lazy())
            continue;
        lowest = INT_MIN;
        scene_attach(&scene, &rig, mode, true);
        rig_wait(&rig);
        assert_int_equal(lowest, getpriority(PRIO_PROCESS, 0));
        rig_fini(&rig);
    }
    scene_fini(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_file_is_never_saved_as_whole),
        cmocka_unit_test(finish_says_what_a_copy_of_memory_is_worth),
        cmocka_unit_test(cancelled_finish_leaves_all_as_it_was),
        cmocka_unit_test(save_meets_no_background_work),
        cmocka_unit_test(save_is_cancelled_while_a_read_hangs),
        cmocka_unit_test(cancel_waiters_waits_for_no_thread),
        cmocka_unit_test(background_work_has_the_priority_of_its_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
