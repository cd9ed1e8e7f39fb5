/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM restore where one request to the kernel fails: another mode, or an error that says what was
 * asked for. Whatever happens, nobody sees other RAM than that of the snapshot.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/pool.h"
#include "state-ser/snap/ram_internal.h"

enum request {
    NONE,
    OPEN,
    WATCH,
    UNWATCH,
    WAIT,
    COPY,
    EVENT,
    THREAD,
    SCRATCH,
    MAP,
    LOCK,
};

/* Atomic: threads that load may be at work already. */
static struct {
    _Atomic enum request request;
    atomic_uint at; /* the one that fails, from 1 */
    atomic_int error;
    atomic_uint seen;
} broken;

/* The n-th request of this kind fails. */
static void break_it(enum request request, unsigned at, int error)
{
    atomic_store(&broken.at, at);
    atomic_store(&broken.error, error);
    atomic_store(&broken.seen, 0);
    atomic_store(&broken.request, request); /* at last: whoever sees it sees the others */
}

static bool fails(enum request request)
{
    if (request != atomic_load(&broken.request) ||
        atomic_fetch_add(&broken.seen, 1) + 1 != atomic_load(&broken.at))
        return false;
    errno = atomic_load(&broken.error);
    return true;
}

#define WRAP(type, name, request, failed, parameters, arguments)                                   \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails(request) ? (failed) : __real_##name arguments;                                \
    }

WRAP(int, stasis_uffd_open, OPEN, -1, (int device, struct stasis_uffd *ret_uffd),
     (device, ret_uffd))
WRAP(int, stasis_uffd_watch, WATCH, -1, (struct stasis_uffd * uffd, uint8_t *host, size_t len),
     (uffd, host, len))
WRAP(int, stasis_uffd_unwatch, UNWATCH, -1,
     (const struct stasis_uffd *uffd, uint8_t *host, size_t len), (uffd, host, len))
WRAP(int, stasis_uffd_wait, WAIT, -1,
     (const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address),
     (uffd, stop_fd, ret_address))
WRAP(int, stasis_uffd_copy, COPY, -1,
     (const struct stasis_uffd *uffd, uint8_t *host, const uint8_t *from, size_t len),
     (uffd, host, from, len))
WRAP(int, stasis_ram_io_event, EVENT, -1, (void), ())
WRAP(int, stasis_thread_create, THREAD, atomic_load(&broken.error),
     (pthread_t * ret_thread, void *(*body)(void *), void *arg), (ret_thread, body, arg))
WRAP(uint8_t *, stasis_ram_io_scratch, SCRATCH, NULL, (size_t len), (len))
WRAP(int, stasis_ram_io_map, MAP, -1, (uint8_t * host, size_t len, int fd, uint64_t offset),
     (host, len, fd, offset))
WRAP(int, stasis_ram_io_lock, LOCK, -1, (int fd), (fd))

/* ---- the scene ---- */

struct scene {
    struct built built;
    struct image image;
    struct rig rig;
    int fd;
};

static int setup(void **state)
{
    static struct scene scene;

    break_it(NONE, 0, 0);
    built_large(&scene.built);
    scene.image = image_of(&scene.built);
    scene.fd = image_fd(&scene.image);
    alarm(300); /* memory that nobody loads is waited for */
    *state = &scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;

    break_it(NONE, 0, 0);
    rig_fini(&scene->rig);
    alarm(0);
    close(scene->fd);
    image_fini(&scene->image);
    built_fini(&scene->built);
    return 0;
}

static void attach(struct scene *scene, enum stasis_ram_mode mode, bool background)
{
    const struct stasis_ram_opts opts = {.mode = mode, .no_prefetch = !background, .threads = 1};
    struct stasis_error err = {0};

    if (rig_try(&scene->rig, scene->fd, opts, &err))
        fail_msg("%s", err.msg);
}

static void attach_refused(struct scene *scene, enum stasis_ram_mode mode, int code, int error,
                           const char *words)
{
    const struct stasis_ram_opts opts = {.mode = mode, .threads = 1};
    struct stasis_error err = {0};

    assert_int_equal(rig_try(&scene->rig, scene->fd, opts, &err), code);
    assert_int_equal(err.os_errno, error);
    assert_null(scene->rig.ram);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
    if (error)
        assert_non_null(strstr(err.msg, strerror(error)));
    rig_fini(&scene->rig);
}

static void assert_reason(const struct scene *scene, const char *reason)
{
    assert_non_null(stasis_ram_reason(scene->rig.ram));
    assert_string_equal(stasis_ram_reason(scene->rig.ram), reason);
}

/* ---- other modes ---- */

#define NOT_PERMITTED                                                                              \
    "userfaultfd is not permitted (Operation not permitted): let this user open "                  \
    "/dev/userfaultfd, or pass a descriptor of it as uffd_fd; memory=copy instead of lazy"

static void without_userfaultfd_it_is_copied(void **state)
{
    struct scene *scene = *state;

    break_it(OPEN, 1, EPERM);
    attach(scene, STASIS_RAM_AUTO, true);
    assert_int_equal(stasis_ram_mode(scene->rig.ram), STASIS_RAM_COPY);
    assert_reason(scene, NOT_PERMITTED);
    assert_same(&scene->rig, &scene->built);
    assert_true(rig_metrics(&scene->rig).complete);
    assert_int_equal(rig_metrics(&scene->rig).populated_bytes,
                     rig_metrics(&scene->rig).stored_bytes);
}

static void file_that_cannot_be_mapped_becomes_lazy(void **state)
{
    static const int errors[] = {ENODEV, EACCES, EPERM};
    struct scene *scene = *state;

    if (!has_lazy())
        skip();
    for (size_t i = 0; i < 3; i++) {
        break_it(MAP, 1, errors[i]);
        attach(scene, STASIS_RAM_MAP, true);
        assert_int_equal(stasis_ram_mode(scene->rig.ram), STASIS_RAM_LAZY);
        assert_reason(scene, "the file system cannot map files; memory=lazy instead of map");
        assert_same(&scene->rig, &scene->built);
        rig_wait(&scene->rig);
        rig_fini(&scene->rig);
    }
}

static void two_reasons_are_both_told(void **state)
{
    struct scene *scene = *state;
    struct stasis_ram_opts opts = {.mode = STASIS_RAM_MAP};
    const struct stasis_save_opts packed = {.size = sizeof(packed), .zlib_level = 1};
    struct image image = image_of_with(&scene->built, &packed);
    int fd = image_fd(&image);

    break_it(OPEN, 1, EPERM);
    assert_int_equal(rig_try(&scene->rig, fd, opts, NULL), 0);
    assert_int_equal(stasis_ram_mode(scene->rig.ram), STASIS_RAM_COPY);
    assert_reason(scene,
                  "the stored memory is compressed, or in more than 4096 ranges; memory=lazy "
                  "instead of map; " NOT_PERMITTED);
    assert_same(&scene->rig, &scene->built);
    close(fd);
    image_fini(&image);
}

static void a_file_that_cannot_be_locked_is_mapped(void **state)
{
    struct scene *scene = *state;

    break_it(LOCK, 1, EWOULDBLOCK);
    attach_refused(scene, STASIS_RAM_MAP, STASIS_ERR_IO, 0, "another program has locked it");
    break_it(LOCK, 1, EINVAL); /* a file system without locks */
    attach(scene, STASIS_RAM_MAP, true);
    assert_int_equal(stasis_ram_mode(scene->rig.ram), STASIS_RAM_MAP);
    assert_same(&scene->rig, &scene->built);
}

/* ---- errors ---- */

static void attaching_fails(void **state)
{
    static const struct {
        enum stasis_ram_mode mode;
        enum request request;
        unsigned at;
        int error;
        const char *words;
    } cases[] = {
        {STASIS_RAM_MAP, MAP, 1, ENOMEM, "test: mapping RAM"},
        {STASIS_RAM_MAP, MAP, 2, ENODEV, "test: mapping RAM"}, /* some is mapped already */
        {STASIS_RAM_MAP, THREAD, 1, EAGAIN, "starting a thread for guest RAM"},
        {STASIS_RAM_LAZY, WATCH, 1, ENOMEM, "watching guest RAM"},
        {STASIS_RAM_LAZY, WATCH, 2, ENOMEM, "watching guest RAM"},
        {STASIS_RAM_LAZY, EVENT, 1, EMFILE, "an eventfd for guest RAM"},
        {STASIS_RAM_LAZY, THREAD, 1, EAGAIN, "starting a thread for guest RAM"},
        {STASIS_RAM_LAZY, THREAD, 2, EAGAIN, "starting a thread for guest RAM"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].mode == STASIS_RAM_LAZY && !has_lazy())
            skip();
        break_it(cases[i].request, cases[i].at, cases[i].error);
        attach_refused(*state, cases[i].mode, STASIS_ERR_UNAVAILABLE, cases[i].error,
                       cases[i].words);
        assert_int_equal(atomic_load(&broken.seen), cases[i].at);
    }
}

static void a_damaged_chunk_is_not_copied(void **state)
{
    struct scene *scene = *state;
    size_t at = chunk_offset(scene->fd, 1);

    flip_bit(scene->fd, at, 3);
    attach_refused(scene, STASIS_RAM_COPY, STASIS_ERR_CORRUPT, 0, "chunk 1, guest address 0x10000");
    flip_bit(scene->fd, at, 3);
    attach(scene, STASIS_RAM_COPY, true);
    assert_same(&scene->rig, &scene->built);
}

/* Until then the callback may be at its words, though the library says that it failed. */
static void wait_for_callback(struct rig *rig)
{
    while (!atomic_load(&rig->failures))
        sched_yield();
}

/* Nobody may touch memory that cannot be had any more: the caller is told. */
static void loading_fails(void **state)
{
    static const struct {
        enum request request;
        unsigned at;
        int error, code;
        const char *words;
    } cases[] = {
        {WAIT, 1, EBADF, STASIS_ERR_UNAVAILABLE,
         "test: the loader of guest memory lost its connection to the kernel"},
        {UNWATCH, 1, EINVAL, STASIS_ERR_UNAVAILABLE, "test: leaving guest RAM alone"},
        {UNWATCH, 2, EINVAL, STASIS_ERR_UNAVAILABLE, "test: leaving guest RAM alone"},
    };
    struct scene *scene = *state;

    if (!has_lazy())
        skip();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_error err = {0};

        break_it(cases[i].request, cases[i].at, cases[i].error);
        attach(scene, STASIS_RAM_LAZY, true);
        wait_for_callback(&scene->rig);
        assert_int_equal(stasis_ram_wait(scene->rig.ram, &err), cases[i].code);
        assert_int_equal(scene->rig.failures, 1);
        assert_int_equal(scene->rig.error.os_errno, cases[i].error);
        assert_string_equal(scene->rig.error.msg, err.msg);
        assert_non_null(strstr(err.msg, cases[i].words));
        assert_non_null(strstr(err.msg, strerror(cases[i].error)));
        rig_fini(&scene->rig);
    }
}

/* Buffers of the loaders: that of the thread for faults, and that of the background. The first ones
 * are the memory of the guest. */
static void loading_without_memory(void **state)
{
    struct scene *scene = *state;
    char lost[160];

    if (!has_lazy())
        skip();
    snprintf(lost, sizeof(lost), "lost its connection to the kernel: %s", strerror(ENOMEM));
    for (unsigned at = scene->built.region_count + 1; at < scene->built.region_count + 3; at++) {
        break_it(SCRATCH, at, EAGAIN);
        attach(scene, STASIS_RAM_LAZY, true);
        wait_for_callback(&scene->rig);
        if (!strstr(scene->rig.error.msg, "no memory to load guest RAM in the background") &&
            !strstr(scene->rig.error.msg, lost))
            fail_msg("%s", scene->rig.error.msg);
        rig_fini(&scene->rig);
    }
}

/* The chunk is named that could not be put in place; the page that was touched gives a fault. */
static void a_chunk_cannot_be_put_in_place(void **state)
{
    struct scene *scene = *state;
    struct stasis_error err = {0};

    if (!has_lazy() || !has_poison())
        skip();
    attach(scene, STASIS_RAM_LAZY, false);
    break_it(COPY, 1, ENOMEM);
    assert_int_not_equal(touch((uint8_t *)scene->rig.host[0] + STASIS_CHUNK_SIZE), 0);
    assert_int_equal(scene->rig.failures, 1);
    assert_int_equal(stasis_ram_wait(scene->rig.ram, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "test: chunk 1, guest address 0x10000: putting it in place: "));
    assert_int_equal(err.os_errno, ENOMEM);
}

/* Then the one who needs it all does the work. */
static void without_a_thread_the_caller_loads(void **state)
{
    static const enum stasis_ram_mode modes[] = {STASIS_RAM_MAP, STASIS_RAM_LAZY};
    struct scene *scene = *state;

    for (size_t i = 0; i < 2; i++) {
        struct stasis_error err = {0};

        if (modes[i] == STASIS_RAM_LAZY && !has_lazy())
            skip();
        attach(scene, modes[i], false);
        break_it(THREAD, 1, EAGAIN);
        if (stasis_ram_finish(scene->rig.ram, 1, NULL, NULL, &err))
            fail_msg("%s", err.msg);
        assert_true(rig_metrics(&scene->rig).complete);
        assert_same(&scene->rig, &scene->built);
        rig_fini(&scene->rig);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(without_userfaultfd_it_is_copied),
        CASE(file_that_cannot_be_mapped_becomes_lazy),
        CASE(two_reasons_are_both_told),
        CASE(a_file_that_cannot_be_locked_is_mapped),
        CASE(attaching_fails),
        CASE(a_damaged_chunk_is_not_copied),
        CASE(loading_fails),
        CASE(loading_without_memory),
        CASE(a_chunk_cannot_be_put_in_place),
        CASE(without_a_thread_the_caller_loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
