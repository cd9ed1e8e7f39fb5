/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every system call of a save fails once, in each of the ways that a call can fail, and every
 * allocation. Whatever happens: the old file or the whole new one, an error that says which,
 * nothing leaked, and the next save works.
 */
#include "tests/state-ser/snap/crash_alloc.h"
#include "tests/state-ser/snap/crash_deed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* AddressSanitizer sees of the last two what ENOSPC shows it: no code asks which of them it was. */
static const struct crash_fault faults[] = {
    {.error = ENOSPC, .name = "ENOSPC"}, {.error = EINTR, .name = "EINTR"},
    {.is_short = true, .name = "short"},
#ifndef __SANITIZE_ADDRESS__
    {.error = EIO, .name = "EIO"},       {.error = ENOMEM, .name = "ENOMEM"},
#endif
};

struct tally {
    unsigned points;
    unsigned refused; /* the save failed; in the others it went another way, and well */
    unsigned found[CRASH_NEW + 1];
};

static void save(void *ctx)
{
    struct crash_deed *deed = ctx;
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = deed->threads, .zlib_level = deed->zlib_level};

    deed->rc = stasis_snap_save(deed->scene.built.snap, deed->scene.path, &opts, NULL, &deed->err);
}

/* The same, and opens what was written to be the parent of a next layer. */
static void save_and_open(void *ctx)
{
    struct crash_deed *deed = ctx;
    struct stasis_snap *saved = NULL;
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = deed->threads, .saved = &saved};

    deed->rc = stasis_snap_save(deed->scene.built.snap, deed->scene.path, &opts, NULL, &deed->err);
    assert_int_equal(saved != NULL, deed->rc == 0);
    stasis_snap_free(saved);
}

/* No temporary name outlives a save that returns. */
static enum crash_found look(struct crash_deed *deed)
{
    unsigned temporary;
    enum crash_found found = crash_scene_look(&deed->scene, &temporary);

    assert_int_equal(temporary, 0);
    return found;
}

static void save_again(struct crash_deed *deed)
{
    crash_deed_done(deed);
    assert_int_equal(look(deed), CRASH_NEW);
}

/* ---- system calls ---- */

/* A save cannot do without these. */
static bool must_succeed(long nr)
{
    return nr == __NR_pwrite64 || nr == __NR_ftruncate || nr == __NR_fsync || nr == __NR_renameat ||
           nr == __NR_renameat2;
}

static bool is_code(const struct crash_deed *deed, long nr)
{
    if (deed->body == save_and_open && (deed->rc == STASIS_ERR_READ || deed->rc == STASIS_ERR_IO))
        return true;
    return deed->rc ==
           (nr == __NR_getrandom || nr == __NR_clock_gettime ? STASIS_ERR_IO : STASIS_ERR_WRITE);
}

static void check_failed(const struct crash_deed *deed, const struct crash_fault *fault,
                         enum crash_found found, long nr)
{
    assert_false(crash_fault_passes(fault));
    assert_true(is_code(deed, nr));
    assert_int_equal(deed->err.os_errno, fault->error);
    crash_deed_assert_message(deed, deed->scene.path);
    crash_deed_assert_message(deed, strerror(fault->error));
    if (found == CRASH_NEW)
        crash_deed_assert_message(deed, "the new file is in place, but may not survive");
    else if (!strstr(deed->err.msg, "nothing was written"))
        crash_deed_assert_message(deed,
                                  found == CRASH_OLD ? "the old file is whole" : "nothing is left");
}

static void check(struct crash_deed *deed, const struct crash_fault *fault, long nr,
                  struct tally *tally)
{
    enum crash_found found = look(deed);

    if (deed->rc)
        check_failed(deed, fault, found, nr);
    else
        assert_int_equal(found, CRASH_NEW);
    if (!crash_fault_passes(fault) && must_succeed(nr))
        assert_int_not_equal(deed->rc, 0);
    tally->points++;
    tally->refused += deed->rc != 0;
    tally->found[found]++;
}

static void save_with(struct crash_deed *deed, const struct crash_fault *fault)
{
    /* Runs, or a part of a layer's; state, index, header. */
    const unsigned writes = (deed->scene.base ? 2 : 8) + 3;
    struct tally tally = {0};

    for (unsigned number = 1;; number++) {
        long nr;

        crash_scene_reset(&deed->scene);
        nr = crash_deed_disturbed(deed, fault, number);
        if (nr < 0)
            break;
        check(deed, fault, nr, &tally);
        save_again(deed);
    }
    assert_int_equal(deed->rc, 0);
    printf("  %s at each of %u calls: %u saves failed; %u left the old file, %u the new one, %u "
           "nothing\n",
           fault->name, tally.points, tally.refused, tally.found[CRASH_OLD], tally.found[CRASH_NEW],
           tally.found[CRASH_NOTHING]);
    /* And what publishes them. */
    assert_true(tally.points >= writes);
    assert_true(crash_fault_passes(fault) ? tally.refused == 0 : tally.refused >= writes + 3);
}

static void save_with_all(struct crash_deed *deed)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        save_with(deed, &faults[i]);
    crash_deed_free(deed);
}

static void over_an_old_file(void **state)
{
    (void)state;
    save_with_all(crash_deed_new(save, true, 1));
}

static void to_a_free_name(void **state)
{
    (void)state;
    save_with_all(crash_deed_new(save, false, 1));
}

static void without_tmpfile(void **state)
{
    struct crash_deed *deed = crash_deed_new(save, true, 1);

    (void)state;
    deed->no_tmpfile = true;
    save_with_all(deed);
}

static void by_several_workers(void **state)
{
    (void)state;
    save_with_all(crash_deed_new(save, true, CRASH_WORKERS));
}

static void compressed(void **state)
{
    struct crash_deed *deed = crash_deed_new(save, true, 1);

    (void)state;
    crash_deed_compress(deed);
    save_again(deed);
    assert_true(stasis_snap_info(deed->scene.built.snap)->incompatible & STASIS_FEATURE_ZLIB);
    save_with_all(deed);
}

static void a_layer(void **state)
{
    struct crash_deed *deed = crash_deed_new(save, true, 1);

    (void)state;
    crash_scene_lay(&deed->scene);
    save_with_all(deed);
}

static void a_layer_that_is_opened(void **state)
{
    struct crash_deed *deed = crash_deed_new(save_and_open, true, 1);

    (void)state;
    crash_scene_lay(&deed->scene);
    save_with_all(deed);
}

/* ---- memory ---- */

static void starve(struct crash_deed *deed)
{
    unsigned number = 1;
    unsigned refused = 0;

    crash_scene_reset(&deed->scene);
    for (; crash_deed_starved(deed, number); number++) {
        assert_int_equal(look(deed), deed->rc ? CRASH_OLD : CRASH_NEW);
        if (deed->rc && !strstr(deed->err.msg, "nothing was written"))
            crash_deed_assert_message(deed, "the old file is whole");
        refused += deed->rc != 0;
        save_again(deed);
        crash_scene_reset(&deed->scene);
    }
    assert_int_equal(deed->rc, 0);
    printf("  no memory at each of %u allocations: %u saves failed\n", number - 1, refused);
    assert_true(refused >= 2);
    crash_deed_free(deed);
}

/* A thread that cannot be made is done without. */
static void without_memory(void **state)
{
    (void)state;
    starve(crash_deed_new(save, true, CRASH_WORKERS));
}

static void compressed_without_memory(void **state)
{
    struct crash_deed *deed = crash_deed_new(save, true, CRASH_WORKERS);

    (void)state;
    crash_deed_compress(deed);
    starve(deed);
}

static void a_layer_without_memory(void **state)
{
    for (unsigned level = 0; level < 2; level++) {
        struct crash_deed *deed = crash_deed_new(level ? save : save_and_open, true, CRASH_WORKERS);

        (void)state;
        if (level)
            crash_deed_compress(deed);
        crash_scene_lay(&deed->scene);
        starve(deed);
    }
}

/* Building one, before any save. */
static void building_without_memory(void **state)
{
    bool failed = true;
    unsigned number = 0;

    (void)state;
    while (failed) {
        long living = crash_alloc_living();
        struct stasis_serial_state serial;
        struct stasis_error err = {0};
        struct stasis_snap *snap;
        int rc = 0;

        stasis_state_init(&stasis_serial_schema, &serial);
        crash_alloc_fail_at(++number);
        snap = stasis_snap_new(STASIS_ARCH_X86_64);
        if (snap)
            rc = stasis_records_add(stasis_snap_records(snap), &stasis_serial_schema, "com1",
                                    &serial, &err);
        failed = crash_alloc_failed();
        assert_int_equal(failed, !snap || rc == STASIS_ERR_NOMEM);
        stasis_snap_free(snap);
        assert_int_equal(crash_alloc_living(), living);
    }
    printf("  no memory at each of %u allocations\n", number - 1);
    assert_true(number > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_an_old_file),
        cmocka_unit_test(to_a_free_name),
        cmocka_unit_test(without_tmpfile),
        cmocka_unit_test(by_several_workers),
        cmocka_unit_test(compressed),
        cmocka_unit_test(a_layer),
        cmocka_unit_test(a_layer_that_is_opened),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(compressed_without_memory),
        cmocka_unit_test(a_layer_without_memory),
        cmocka_unit_test(building_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
