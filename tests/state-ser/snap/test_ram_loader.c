/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The background loading of LAZY where the kernel cannot move pages: whoever touches memory waits
 * for one chunk of it at most, also while the thread that serves faults gets no processor. Shown by
 * the order of the loader's reads; that thread is held all the while. And what else the background
 * does between two blocks: it rests, and hears that it is to stop.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "state-ser/snap/ram_internal.h"

#define BLOCKS 4u
#define SIZE   (BLOCKS * STASIS_HUGE_PAGE)
#define TOUCH  2u          /* number of the read during which memory is touched */
#define READS  (TOUCH + 2) /* that are looked at */

static struct {
    pthread_t owner;
    sem_t reading; /* posted by the loader */
    sem_t touch_is_near;
    sem_t handler_may_run;
    int uffd;
    unsigned count;
    uint64_t offsets[READS];
} seen;

int __real_stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address);
int __wrap_stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address);
size_t __real_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len);
size_t __wrap_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len);
void __real_stasis_ram_io_collapse(uint8_t *host, size_t len);
void __wrap_stasis_ram_io_collapse(uint8_t *host, size_t len);
void __real_stasis_ram_io_sleep_us(unsigned us);
void __wrap_stasis_ram_io_sleep_us(unsigned us);
ssize_t __real_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);

static void take(sem_t *sem)
{
    while (sem_wait(sem))
        ;
}

int __wrap_stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address)
{
    take(&seen.handler_may_run);
    sem_post(&seen.handler_may_run);
    return __real_stasis_uffd_wait(uffd, stop_fd, ret_address);
}

static struct {
    bool can; /* else as before Linux 6.8 */
    atomic_uint begun;
    atomic_uint whole; /* that came to their end */
    atomic_uint asked; /* also where they cannot be */
    sem_t held;        /* the first one has begun */
    sem_t go_on;
} moves;

size_t __wrap_stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from,
                               size_t len)
{
    size_t moved;

    atomic_fetch_add(&moves.asked, 1);
    if (!moves.can)
        return 0;
    if (!atomic_fetch_add(&moves.begun, 1)) {
        sem_post(&moves.held);
        take(&moves.go_on);
    }
    moved = __real_stasis_uffd_move(uffd, host, from, len);
    atomic_fetch_add(&moves.whole, moved == len);
    return moved;
}

static struct {
    atomic_uint count;
    atomic_bool rest_is_due;
    atomic_uint without_rest; /* begun while it was */
    uint8_t *at[BLOCKS];      /* of the first ones */
} collapses;

void __wrap_stasis_ram_io_collapse(uint8_t *host, size_t len)
{
    if (atomic_exchange(&collapses.rest_is_due, true))
        atomic_fetch_add(&collapses.without_rest, 1);
    __real_stasis_ram_io_collapse(host, len);
    if (atomic_load(&collapses.count) < BLOCKS)
        collapses.at[atomic_load(&collapses.count)] = host;
    atomic_fetch_add(&collapses.count, 1);
}

void __wrap_stasis_ram_io_sleep_us(unsigned us)
{
    atomic_store(&collapses.rest_is_due, false);
    __real_stasis_ram_io_sleep_us(us);
}

static void wait_for_fault(void)
{
    struct pollfd fault = {.events = POLLIN};

    sem_post(&seen.reading);
    take(&seen.touch_is_near);
    fault.fd = seen.uffd;
    while (poll(&fault, 1, -1) < 1)
        ;
}

/* All but the owner's are the one loader's. */
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    if (!pthread_equal(pthread_self(), seen.owner) && len <= STASIS_CHUNK_SIZE &&
        seen.count < READS) {
        seen.offsets[seen.count] = offset;
        if (seen.count++ == TOUCH)
            wait_for_fault();
    }
    return __real_stasis_io_pread(fd, buf, len, offset);
}

static void *touch_it(void *at)
{
    return (void *)(uintptr_t)touch(at);
}

static uint64_t offset_of(int fd, uint64_t chunk)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    uint64_t offset;

    if (stasis_snap_open_fd(fd, "test", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    offset = stasis_snap_chunk_at(snap, chunk).offset;
    stasis_snap_free(snap);
    return offset;
}

static void fault_is_served_within_a_block(void **state)
{
    const struct stasis_ram_opts opts = {.mode = STASIS_RAM_LAZY, .threads = 1};
    struct stasis_error err = {0};
    struct built built;
    struct image image;
    pthread_t toucher;
    struct rig rig;
    void *result;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    alarm(300); /* a loader that serves no fault, and does not end either */
    seen.owner = pthread_self();
    sem_init(&seen.reading, 0, 0);
    sem_init(&seen.touch_is_near, 0, 0);
    sem_init(&seen.handler_may_run, 0, 0);
    built_init(&built);
    built_add(&built, 0, SIZE);
    fill_random(built.ram[0], SIZE, 1);
    image = image_of(&built);
    fd = image_fd(&image);
    if (rig_try(&rig, fd, opts, &err))
        fail_msg("%s", err.msg);
    seen.uffd = rig.ram->uffd.fd;
    take(&seen.reading);
    assert_int_equal(pthread_create(&toucher, NULL, touch_it, (uint8_t *)rig.host[0] + SIZE - 1),
                     0);
    sem_post(&seen.touch_is_near);
    pthread_join(toucher, &result);
    assert_null(result);
    sem_post(&seen.handler_may_run);
    rig_wait(&rig);
    for (uint64_t i = 0; i <= TOUCH; i++)
        assert_int_equal(seen.offsets[i], offset_of(fd, i));
    assert_int_equal(seen.offsets[TOUCH + 1], offset_of(fd, SIZE / STASIS_CHUNK_SIZE - 1));
    assert_same(&rig, &built);
    rig_fini(&rig);
    alarm(0);
    close(fd);
    image_fini(&image);
    built_fini(&built);
    sem_destroy(&seen.reading);
    sem_destroy(&seen.touch_is_near);
    sem_destroy(&seen.handler_may_run);
}

/* ---- between two blocks ---- */

struct scene {
    struct built built;
    struct image image;
    struct rig rig;
    int fd;
};

static void scene_start(struct scene *scene)
{
    const struct stasis_ram_opts opts = {.mode = STASIS_RAM_LAZY, .threads = 1};
    struct stasis_error err = {0};

    alarm(300); /* a background that does not do what is waited for */
    seen.owner = pthread_self();
    seen.count = READS; /* none is looked at */
    sem_init(&seen.handler_may_run, 0, 1);
    scene->image = image_of(&scene->built);
    scene->fd = image_fd(&scene->image);
    if (rig_try(&scene->rig, scene->fd, opts, &err))
        fail_msg("%s", err.msg);
}

static void scene_init(struct scene *scene)
{
    built_init(&scene->built);
    built_add(&scene->built, 0, SIZE);
    fill_random(scene->built.ram[0], SIZE, 1);
    scene_start(scene);
}

static void scene_fini(struct scene *scene)
{
    rig_fini(&scene->rig);
    alarm(0);
    close(scene->fd);
    image_fini(&scene->image);
    built_fini(&scene->built);
    sem_destroy(&seen.handler_may_run);
}

/* The kernel holds a lock of the address space while it makes a huge page. */
static void background_rests_behind_each_huge_page(void **state)
{
    struct scene scene;

    (void)state;
    if (!has_lazy())
        return;
    scene_init(&scene);
    while (atomic_load(&collapses.count) < BLOCKS)
        sched_yield();
    scene_fini(&scene);
    assert_int_equal(atomic_load(&collapses.without_rest), 0);
    assert_false(atomic_load(&collapses.rest_is_due));
}

static void wait_for_the_background(struct stasis_ram *ram)
{
    bool ended;

    do {
        sched_yield();
        pthread_mutex_lock(&ram->lock);
        ended = ram->background_ended;
        pthread_mutex_unlock(&ram->lock);
    } while (!ended);
}

/* A block without content stays without memory; and nothing behind the guest's is touched. */
static void only_whole_blocks_with_content_become_huge_pages(void **state)
{
    struct scene scene;

    (void)state;
    if (!has_lazy())
        return;
    atomic_store(&collapses.count, 0);
    atomic_store(&moves.asked, 0);
    built_init(&scene.built);
    built_add(&scene.built, 0, 3 * STASIS_HUGE_PAGE + STASIS_CHUNK_SIZE);
    fill_random(scene.built.ram[0], STASIS_CHUNK_SIZE, 1);
    fill_random(scene.built.ram[0] + 2 * STASIS_HUGE_PAGE, STASIS_HUGE_PAGE, 2);
    fill_random(scene.built.ram[0] + 3 * STASIS_HUGE_PAGE, STASIS_CHUNK_SIZE, 3);
    scene_start(&scene);
    wait_for_the_background(scene.rig.ram);
    assert_int_equal(atomic_load(&collapses.count), 2);
    assert_ptr_equal(collapses.at[0], scene.rig.host[0]);
    assert_ptr_equal(collapses.at[1], (uint8_t *)scene.rig.host[0] + 2 * STASIS_HUGE_PAGE);
    assert_int_equal(scene.rig.ram->collapsed, 4);
    assert_int_equal(atomic_load(&moves.asked), scene.rig.ram->uffd.can_move ? 2 : 0);
    scene_fini(&scene);
}

static void moved_block_is_a_huge_page(void **state)
{
    struct scene scene;

    (void)state;
    if (!has_lazy())
        return;
    sem_init(&moves.held, 0, 0);
    sem_init(&moves.go_on, 0, 1);
    atomic_store(&moves.whole, 0);
    atomic_store(&collapses.count, 0);
    moves.can = true;
    scene_init(&scene);
    wait_for_the_background(scene.rig.ram);
    assert_int_equal(atomic_load(&collapses.count), BLOCKS - atomic_load(&moves.whole));
    assert_same(&scene.rig, &scene.built);
    scene_fini(&scene);
    moves.can = false;
    atomic_store(&moves.begun, 0);
    sem_destroy(&moves.held);
    sem_destroy(&moves.go_on);
}

/* A block of which the guest has touched something is copied, chunk by chunk. */
static void block_that_was_touched_is_not_moved(void **state)
{
    const struct stasis_ram_opts opts = {.mode = STASIS_RAM_LAZY, .no_prefetch = true};
    struct stasis_error err = {0};
    struct scene scene;

    (void)state;
    if (!has_lazy())
        return;
    alarm(300);
    atomic_store(&moves.asked, 0);
    sem_init(&seen.handler_may_run, 0, 1);
    built_init(&scene.built);
    built_add(&scene.built, 0, SIZE);
    fill_random(scene.built.ram[0], SIZE, 1);
    scene.image = image_of(&scene.built);
    scene.fd = image_fd(&scene.image);
    if (rig_try(&scene.rig, scene.fd, opts, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(touch((uint8_t *)scene.rig.host[0] + 2 * STASIS_HUGE_PAGE - 1), 0);
    while (rig_metrics(&scene.rig).populated_bytes < STASIS_CHUNK_SIZE)
        sched_yield(); /* who waited is woken before it is counted */
    assert_int_equal(stasis_ram_finish(scene.rig.ram, 1, NULL, NULL, &err), 0);
    assert_int_equal(atomic_load(&moves.asked), scene.rig.ram->uffd.can_move ? BLOCKS - 1 : 0);
    assert_same(&scene.rig, &scene.built);
    assert_int_equal(stasis_ram_uffd(scene.rig.ram), -1); /* nobody watches any more */
    scene_fini(&scene);
}

/* It has been told to stop by now. */
static bool let_the_first_move_end(void *ctx, uint64_t done, uint64_t total)
{
    bool *ended = ctx;

    (void)done;
    (void)total;
    if (!*ended)
        sem_post(&moves.go_on);
    *ended = true;
    return true;
}

static void background_stops_between_two_blocks(void **state)
{
    struct stasis_error err = {0};
    struct scene scene;
    bool ended = false;

    (void)state;
    if (!has_lazy())
        return;
    sem_init(&moves.held, 0, 0);
    sem_init(&moves.go_on, 0, 0);
    moves.can = true;
    scene_init(&scene);
    if (scene.rig.ram->uffd.can_move) {
        take(&moves.held);
        assert_int_equal(stasis_ram_hold_while(scene.rig.ram, let_the_first_move_end, &ended, &err),
                         0);
        assert_int_equal(atomic_load(&moves.begun), 1);
        stasis_ram_release(scene.rig.ram);
    } else {
        printf("left out: this kernel cannot move pages\n");
    }
    rig_wait(&scene.rig);
    assert_same(&scene.rig, &scene.built);
    scene_fini(&scene);
    moves.can = false;
    sem_destroy(&moves.held);
    sem_destroy(&moves.go_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_is_served_within_a_block),
        cmocka_unit_test(background_rests_behind_each_huge_page),
        cmocka_unit_test(only_whole_blocks_with_content_become_huge_pages),
        cmocka_unit_test(block_that_was_touched_is_not_moved),
        cmocka_unit_test(moved_block_is_a_huge_page),
        cmocka_unit_test(background_stops_between_two_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
