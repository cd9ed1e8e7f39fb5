/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every system call of a save, then of an open and load, fails once, in each of the ways that a
 * call can fail; and every allocation. Whatever happens: the old file or the whole new one, an
 * error that says so, nothing leaked, and the next try works.
 */
#include "tests/state-ser/snap/crash_alloc.h"
#include "tests/state-ser/snap/crash_calls.h"
#include "tests/state-ser/snap/crash_scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX 1000
#define WORKERS   3

/* ---- what is done, and how it is disturbed ---- */

struct deed {
    struct crash_scene scene;
    void (*body)(void *deed);
    bool no_tmpfile;
    unsigned threads;
    /* What came of it. */
    int rc;
    struct stasis_error err;
    bool loaded_right;
};

enum fault_kind {
    FAULT_ERRNO, /* nothing is done, `error` is returned */
    FAULT_SHORT, /* a transfer is made in part */
};

struct fault {
    enum fault_kind kind;
    int error;
    const char *name;
};

struct disturbance {
    const struct fault *fault;
    const struct deed *deed;
    unsigned number; /* of the call to disturb, from 1, among those that the fault can befall */
    unsigned seen;
    long nr; /* of the disturbed call, or -1 */
};

static bool is_transfer(long nr)
{
    return nr == __NR_pwrite64 || nr == __NR_write || nr == __NR_pread64 || nr == __NR_read;
}

/* Calls that sleep where a signal may wake them (signal(7)), or whose manual lists EINTR. */
static bool may_be_interrupted(long nr)
{
    return is_transfer(nr) || nr == __NR_openat || nr == __NR_ftruncate || nr == __NR_fsync ||
           nr == __NR_fdatasync || nr == __NR_fallocate || nr == __NR_getrandom ||
           nr == __NR_flock || nr == __NR_poll || nr == __NR_ppoll;
}

static bool can_befall(const struct fault *fault, const struct crash_call *call)
{
    if (fault->kind == FAULT_SHORT)
        return is_transfer(call->nr) && call->args[2] > 1;
    if (fault->error == EINTR)
        return may_be_interrupted(call->nr);
    return true;
}

static long disturb(void *ctx, const struct crash_call *call)
{
    struct disturbance *disturbance = ctx;
    const struct fault *fault = disturbance->fault;
    struct crash_call changed = *call;

    if (disturbance->deed->no_tmpfile && call->nr == __NR_openat &&
        (call->args[2] & O_TMPFILE) == O_TMPFILE)
        return -EOPNOTSUPP;
    if (!can_befall(fault, call) || ++disturbance->seen != disturbance->number)
        return crash_call_make(call);
    disturbance->nr = call->nr;
    if (fault->kind == FAULT_ERRNO) {
        if (call->nr == __NR_close) /* the kernel closes it whatever it says */
            (void)crash_call_make(call);
        return -fault->error;
    }
    changed.args[2] = call->args[2] / 2;
    return crash_call_make(&changed);
}

/* Does the deed with the n-th call disturbed: the disturbed call's number, or -1 if there were not
 * that many. */
static long do_disturbed(struct deed *deed, const struct fault *fault, unsigned number)
{
    struct disturbance disturbance = {fault, deed, number, 0, -1};
    const struct crash_watch watch = {deed->body, deed, disturb, &disturbance};
    unsigned fds = crash_open_fds();
    long living = crash_alloc_living();

    memset(&deed->err, 0, sizeof(deed->err));
    if (!crash_watch(&watch)) {
        printf("skipped: no seccomp listener here\n");
        skip();
    }
    assert_int_equal(crash_open_fds(), fds);
    assert_int_equal(crash_alloc_living(), living);
    return disturbance.nr;
}

static void assert_message(const struct deed *deed, const char *words)
{
    if (!strstr(deed->err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", deed->err.msg, words);
}

struct tally {
    unsigned points;
    unsigned refused; /* the deed failed; in the others it went another way, and well */
    unsigned found[CRASH_NEW + 1];
};

/* ---- saving ---- */

static const struct fault write_faults[] = {
    {FAULT_ERRNO, ENOSPC, "ENOSPC"}, {FAULT_ERRNO, EIO, "EIO"}, {FAULT_ERRNO, ENOMEM, "ENOMEM"},
    {FAULT_ERRNO, EINTR, "EINTR"},   {FAULT_SHORT, 0, "short"},
};

static void save_body(void *ctx)
{
    struct deed *deed = ctx;

    deed->rc = crash_scene_save(&deed->scene, deed->threads, &deed->err);
}

/* A save cannot do without these. */
static bool must_succeed(long nr)
{
    return nr == __NR_pwrite64 || nr == __NR_ftruncate || nr == __NR_fsync || nr == __NR_renameat ||
           nr == __NR_renameat2;
}

static void check_failed_save(const struct deed *deed, const struct fault *fault,
                              enum crash_found found, long nr)
{
    assert_int_equal(fault->kind, FAULT_ERRNO);
    assert_int_not_equal(fault->error, EINTR);
    assert_int_equal(deed->rc, deed->err.code);
    assert_int_equal(deed->rc, nr == __NR_getrandom || nr == __NR_clock_gettime ? STASIS_ERR_IO
                                                                                : STASIS_ERR_WRITE);
    assert_int_equal(deed->err.os_errno, fault->error);
    assert_message(deed, deed->scene.path);
    assert_message(deed, strerror(fault->error));
    if (found == CRASH_NEW)
        assert_message(deed, "the new file is in place, but may not survive a power cut");
    else if (!strstr(deed->err.msg, "nothing was written"))
        assert_message(deed, found == CRASH_OLD ? "the old file is whole" : "nothing is left");
}

static void check_save(struct deed *deed, const struct fault *fault, long nr, struct tally *tally)
{
    unsigned temporary;
    enum crash_found found = crash_scene_look(&deed->scene, &temporary);

    assert_int_equal(temporary, 0);
    if (deed->rc)
        check_failed_save(deed, fault, found, nr);
    else
        assert_int_equal(found, CRASH_NEW);
    if (fault->kind == FAULT_ERRNO && fault->error != EINTR && must_succeed(nr))
        assert_int_not_equal(deed->rc, 0);
    tally->points++;
    tally->refused += deed->rc != 0;
    tally->found[found]++;
}

static void save_again(struct deed *deed)
{
    unsigned temporary;

    if (crash_scene_save(&deed->scene, deed->threads, &deed->err))
        fail_msg("the next save: %s", deed->err.msg);
    assert_int_equal(crash_scene_look(&deed->scene, &temporary), CRASH_NEW);
    assert_int_equal(temporary, 0);
}

static void save_with(struct deed *deed, const struct fault *fault)
{
    struct tally tally = {0};
    bool transient = fault->kind == FAULT_SHORT || fault->error == EINTR;

    for (unsigned number = 1;; number++) {
        long nr;

        assert_in_range(number, 1, CALLS_MAX);
        crash_scene_reset(&deed->scene);
        nr = do_disturbed(deed, fault, number);
        if (nr < 0)
            break;
        check_save(deed, fault, nr, &tally);
        save_again(deed);
    }
    assert_int_equal(deed->rc, 0);
    printf("  %s at each of %u calls: %u saves failed; %u left the old file, %u the new one, %u "
           "nothing\n",
           fault->name, tally.points, tally.refused, tally.found[CRASH_OLD], tally.found[CRASH_NEW],
           tally.found[CRASH_NOTHING]);
    /* Runs, state, index, header; and what publishes them. */
    assert_true(tally.points >= 8 + 3);
    assert_true(transient ? tally.refused == 0 : tally.refused >= 8 + 3 + 3);
}

static struct deed *deed_new(void (*body)(void *), bool with_old, unsigned threads)
{
    struct deed *deed = calloc(1, sizeof(*deed));

    assert_non_null(deed);
    deed->body = body;
    deed->threads = threads;
    crash_scene_init(&deed->scene, threads > 1 ? crash_guest_wide : crash_guest_striped, with_old);
    return deed;
}

static void deed_free(struct deed *deed)
{
    crash_scene_fini(&deed->scene);
    free(deed);
}

static void save_with_all(struct deed *deed)
{
    for (size_t i = 0; i < sizeof(write_faults) / sizeof(write_faults[0]); i++)
        save_with(deed, &write_faults[i]);
    deed_free(deed);
}

static void a_save_over_an_old_file(void **state)
{
    (void)state;
    save_with_all(deed_new(save_body, true, 1));
}

static void a_save_to_a_free_name(void **state)
{
    (void)state;
    save_with_all(deed_new(save_body, false, 1));
}

static void a_save_without_tmpfile(void **state)
{
    struct deed *deed = deed_new(save_body, true, 1);

    (void)state;
    deed->no_tmpfile = true;
    save_with_all(deed);
}

static void a_save_by_several_workers(void **state)
{
    (void)state;
    save_with_all(deed_new(save_body, true, WORKERS));
}

/* ---- opening and loading ---- */

static const struct fault read_faults[] = {
    {FAULT_ERRNO, EIO, "EIO"},
    {FAULT_ERRNO, ENOMEM, "ENOMEM"},
    {FAULT_ERRNO, EINTR, "EINTR"},
    {FAULT_SHORT, 0, "short"},
};

static void load_all(struct deed *deed, struct stasis_snap *snap)
{
    const struct built *built = &deed->scene.built;
    uint8_t *ram = calloc(1, built->size[0]);

    if (!ram) {
        deed->rc = stasis_fail(&deed->err, STASIS_ERR_NOMEM, "%s: no memory for the test",
                               stasis_snap_name(snap));
        return;
    }
    deed->rc = stasis_snap_load_ram(snap, 0, ram, deed->threads, &deed->err);
    deed->loaded_right = !deed->rc && !memcmp(ram, built->ram[0], built->size[0]);
    free(ram);
}

static void open_body(void *ctx)
{
    struct deed *deed = ctx;
    struct stasis_snap *snap = NULL;

    deed->loaded_right = false;
    deed->rc = stasis_snap_open(deed->scene.path, &snap, &deed->err);
    if (deed->rc)
        return;
    load_all(deed, snap);
    if (!deed->rc)
        deed->rc = stasis_snap_verify(snap, deed->threads, NULL, NULL, &deed->err);
    stasis_snap_free(snap);
}

static void check_open(struct deed *deed, const struct fault *fault, struct tally *tally)
{
    if (deed->rc) {
        assert_int_equal(deed->rc, STASIS_ERR_IO);
        assert_int_equal(deed->err.code, STASIS_ERR_IO);
        assert_int_equal(deed->err.os_errno, fault->error);
        assert_message(deed, deed->scene.path);
        assert_message(deed, strerror(fault->error));
    } else {
        assert_true(deed->loaded_right);
    }
    tally->points++;
    tally->refused += deed->rc != 0;
}

static void open_again(struct deed *deed)
{
    memset(&deed->err, 0, sizeof(deed->err));
    deed->body(deed);
    if (deed->rc)
        fail_msg("the next try: %s", deed->err.msg);
    assert_true(deed->loaded_right);
}

static void open_with(struct deed *deed, const struct fault *fault)
{
    struct tally tally = {0};
    bool transient = fault->kind == FAULT_SHORT || fault->error == EINTR;

    for (unsigned number = 1;; number++) {
        assert_in_range(number, 1, CALLS_MAX);
        if (do_disturbed(deed, fault, number) < 0)
            break;
        check_open(deed, fault, &tally);
        open_again(deed);
    }
    assert_int_equal(deed->rc, 0);
    printf("  %s at each of %u calls: %u failed\n", fault->name, tally.points, tally.refused);
    assert_true(tally.points >= 3 + 8 + 8); /* sections; runs; chunks, one by one */
    assert_true(transient ? tally.refused == 0 : tally.refused >= 3 + 8 + 8);
}

static void opening_loading_and_verifying(void **state)
{
    struct deed *deed = deed_new(open_body, true, 1);

    (void)state;
    save_again(deed); /* so that it holds the RAM of now */
    for (size_t i = 0; i < sizeof(read_faults) / sizeof(read_faults[0]); i++)
        open_with(deed, &read_faults[i]);
    deed_free(deed);
}

/* ---- no memory ---- */

/* Does the deed with the n-th allocation failing. False: there were not that many. */
static bool do_starved(struct deed *deed, unsigned number)
{
    unsigned fds = crash_open_fds();
    long living = crash_alloc_living();
    bool failed;

    memset(&deed->err, 0, sizeof(deed->err));
    crash_alloc_fail_at(number);
    deed->body(deed);
    failed = crash_alloc_failed();
    assert_int_equal(crash_open_fds(), fds);
    assert_int_equal(crash_alloc_living(), living);
    if (deed->rc) {
        assert_true(failed);
        assert_int_equal(deed->rc, STASIS_ERR_NOMEM);
        assert_int_equal(deed->err.code, STASIS_ERR_NOMEM);
        assert_message(deed, deed->scene.path);
        assert_message(deed, "memory");
    }
    return failed;
}

static void a_save_without_memory(void **state)
{
    struct deed *deed =
        deed_new(save_body, true, WORKERS); /* a thread that cannot be made is done without */
    unsigned number = 1;
    unsigned refused = 0;

    (void)state;
    crash_scene_reset(&deed->scene);
    for (; do_starved(deed, number); number++) {
        unsigned temporary;
        enum crash_found found = crash_scene_look(&deed->scene, &temporary);

        assert_in_range(number, 1, CALLS_MAX);
        assert_int_equal(temporary, 0);
        assert_int_equal(found, deed->rc ? CRASH_OLD : CRASH_NEW);
        if (deed->rc)
            assert_message(deed, "the old file is whole");
        refused += deed->rc != 0;
        save_again(deed);
        crash_scene_reset(&deed->scene);
    }
    assert_int_equal(deed->rc, 0);
    printf("  no memory at each of %u allocations: %u saves failed\n", number - 1, refused);
    assert_true(refused >= 2);
    deed_free(deed);
}

static void an_open_without_memory(void **state)
{
    struct deed *deed = deed_new(open_body, true, WORKERS);
    unsigned number = 1;
    unsigned refused = 0;

    (void)state;
    save_again(deed);
    for (; do_starved(deed, number); number++) {
        assert_in_range(number, 1, CALLS_MAX);
        if (!deed->rc)
            assert_true(deed->loaded_right);
        refused += deed->rc != 0;
        open_again(deed);
    }
    assert_int_equal(deed->rc, 0);
    printf("  no memory at each of %u allocations: %u failed\n", number - 1, refused);
    assert_true(refused >= 5);
    deed_free(deed);
}

/* Building one: record by record. */
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
        cmocka_unit_test(a_save_over_an_old_file),
        cmocka_unit_test(a_save_to_a_free_name),
        cmocka_unit_test(a_save_without_tmpfile),
        cmocka_unit_test(a_save_by_several_workers),
        cmocka_unit_test(opening_loading_and_verifying),
        cmocka_unit_test(a_save_without_memory),
        cmocka_unit_test(an_open_without_memory),
        cmocka_unit_test(building_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
