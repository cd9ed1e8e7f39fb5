/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM that is loaded when it is touched: only what is touched, and by many at once.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- lazy: only what is touched ---- */

static void memory_never_touched_is_not_loaded(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
    assert_int_equal(rig_metrics(&rig).populated_bytes, 0);
    assert_memory_equal((uint8_t *)rig.host[0] + 0x10000, built.ram[0] + 0x10000, 0x10000);
    assert_memory_equal((uint8_t *)rig.host[0] + 0x9fc00, built.ram[0] + 0x9fc00, 16);
    rig_wait_verified(&rig, 0x20000);
    assert_int_equal(rig_metrics(&rig).populated_bytes, 0x20000);
    assert_int_equal(rig_metrics(&rig).faults, 2);
    assert_int_equal(stasis_ram_wait(rig.ram, NULL), STASIS_ERR_ARG);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void zero_ranges_are_left_to_the_kernel(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_init(&built);
    built_add(&built, 0, 16 << 20);
    built.ram[0][(2 << 20) + 5] = 1;
    built.ram[0][(16 << 20) - 1] = 1;
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
    assert_int_equal(rig_metrics(&rig).ranges, 2);
    for (size_t at = 4 << 20; at < 14 << 20; at += 4096)
        assert_int_equal(((uint8_t *)rig.host[0])[at], 0);
    assert_int_equal(rig_metrics(&rig).faults, 0);
    assert_same(&rig, &built);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

struct toucher {
    struct rig *rig;
    const struct built *built;
    uint32_t seed;
    bool bad;
};

static void *touch_about(void *arg)
{
    struct toucher *toucher = arg;
    uint32_t x = toucher->seed;

    for (unsigned i = 0; i < 400; i++) {
        size_t at;

        x = x * 1664525u + 1013904223u;
        at = (x >> 4) % (toucher->built->size[0] / 4096) * 4096 + x % 4096;
        if (((uint8_t *)toucher->rig->host[0])[at] != toucher->built->ram[0][at])
            toucher->bad = true;
    }
    return NULL;
}

/* Faults of several threads, and the fill moving huge pages in between them. */
static void many_touch_while_it_fills(void **state)
{
    struct built built;
    struct image image;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_init(&built);
    built_add(&built, 0, 24 << 20);
    fill_random(built.ram[0], 11 << 20, 1);
    fill_random(built.ram[0] + (13 << 20), 11 << 20, 2);
    image = image_of(&built);
    fd = image_fd(&image);
    for (uint32_t round = 0; round < 20; round++) {
        struct toucher touchers[4];
        pthread_t threads[4];
        struct rig rig;

        rig_attach(&rig, fd, STASIS_RAM_LAZY, true);
        for (uint32_t t = 0; t < 4; t++) {
            touchers[t] = (struct toucher){&rig, &built, round * 4 + t, false};
            assert_int_equal(pthread_create(&threads[t], NULL, touch_about, &touchers[t]), 0);
        }
        for (unsigned t = 0; t < 4; t++) {
            pthread_join(threads[t], NULL);
            assert_false(touchers[t].bad);
        }
        if (round % 2)
            rig_wait(&rig); /* else freed while it fills */
        assert_same(&rig, &built);
        assert_int_equal(rig.failures, 0);
        rig_fini(&rig);
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* ---- a descriptor of /dev/userfaultfd ---- */

/* Not copied instead: whoever passes one wants it to be used. */
static void a_descriptor_that_is_another_one_is_refused(void **state)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct stasis_ram_opts opts = {.mode = STASIS_RAM_AUTO, .uffd_fd = null};
    struct stasis_error err = {0};
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_try(&rig, fd, opts, &err), STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "is not /dev/userfaultfd: open that"));
        assert_null(rig.ram);
        rig_fini(&rig);
        assert_int_equal(stasis_ram_check_lazy(null, &err), STASIS_ERR_ARG);
        if (!i)
            close(null);
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void a_descriptor_of_the_device_is_used(void **state)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    const struct stasis_ram_opts opts = {.mode = STASIS_RAM_LAZY, .uffd_fd = device};
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (device < 0)
        skip();
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(stasis_ram_check_lazy(device, NULL), 0);
    assert_int_equal(rig_try(&rig, fd, opts, NULL), 0);
    assert_int_equal(stasis_ram_mode(rig.ram), STASIS_RAM_LAZY);
    assert_int_equal(close(device), 0); /* it is ours still */
    assert_same(&rig, &built);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* ---- threads that are limited as they begin ---- */

static _Atomic unsigned begun;

static int note_thread(void *ctx, struct stasis_error *err)
{
    (void)ctx, (void)err;
    atomic_fetch_add(&begun, 1);
    return 0;
}

static int refuse_thread(void *ctx, struct stasis_error *err)
{
    (void)ctx;
    return stasis_fail(err, STASIS_ERR_UNAVAILABLE, "a thread is not to begin");
}

/* The one that serves faults, and that of the background. */
static void each_thread_is_told_of_as_it_begins(void **state)
{
    const struct stasis_ram_opts opts = {.mode = STASIS_RAM_LAZY, .thread_begins = note_thread};
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_init(&built);
    built_add(&built, 0, 4 << 20);
    memset(built.ram[0], 7, 1 << 20);
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(rig_try(&rig, fd, opts, NULL), 0);
    rig_wait(&rig);
    rig_fini(&rig);
    assert_int_equal(begun, 2);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void thread_that_cannot_begin_is_a_failure(void **state)
{
    struct stasis_ram_opts opts = {.mode = STASIS_RAM_MAP, .thread_begins = refuse_thread};
    struct stasis_error err;
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 4 << 20);
    memset(built.ram[0], 7, 1 << 20);
    image = image_of(&built);
    fd = image_fd(&image);
    for (unsigned lazy = 0; lazy < (has_lazy() ? 2 : 1); lazy++) {
        opts.mode = lazy ? STASIS_RAM_LAZY : STASIS_RAM_MAP;
        assert_int_equal(rig_try(&rig, fd, opts, &err), 0);
        assert_int_equal(stasis_ram_wait(rig.ram, &err), STASIS_ERR_UNAVAILABLE);
        assert_string_equal(err.msg, "a thread is not to begin");
        for (unsigned i = 0; i < 300000 && !rig.failures; i++)
            usleep(1000); /* who waits learns it first */
        assert_true(rig.failures >= 1);
        rig_fini(&rig);
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_never_touched_is_not_loaded),
        cmocka_unit_test(zero_ranges_are_left_to_the_kernel),
        cmocka_unit_test(many_touch_while_it_fills),
        cmocka_unit_test(a_descriptor_that_is_another_one_is_refused),
        cmocka_unit_test(a_descriptor_of_the_device_is_used),
        cmocka_unit_test(each_thread_is_told_of_as_it_begins),
        cmocka_unit_test(thread_that_cannot_begin_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
