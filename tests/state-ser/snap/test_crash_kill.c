/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The saving process is killed: with one worker before and after every one of its system calls,
 * with several at random moments. The old file or the whole new one is there, and nothing else but
 * what is documented: a temporary name.
 */
#include "tests/state-ser/snap/crash_scene.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Far below what a save makes, far above what one that writes nothing does. */
#define STOPS_MIN   100
#define LAYER_MIN   20 /* before each call only */
#define STOPS_MAX   2000
#define MOMENTS     200
#define MOMENTS_MAX 220
#define SPAN_MAX_US 10000000
#define WORKERS     4
#define FIRST_SEED  20240229u

/* Where O_TMPFILE works, a temporary name is there only between link and rename, and only where an
 * old file is replaced; elsewhere from the creation to the rename. */
struct kind {
    const char *name;
    bool with_old;
    bool tmpfile;
    bool layer;
};

static const struct kind kinds[] = {
    {"over an old file", true, true, false},
    {"to a free name", false, true, false},
    {"over an old file, without O_TMPFILE", true, false, false},
    {"to a free name, without O_TMPFILE", false, false, false},
    {"a layer over an old file", true, true, true},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

struct tally {
    unsigned count;
    unsigned found[CRASH_NEW + 1];
    unsigned temporary;
};

static void tally_print(const struct tally *tally, const char *what, const struct kind *kind)
{
    printf("%u %s, %s: %u left the old file, %u the new one, %u nothing; %u a temporary name\n",
           tally->count, what, kind->name, tally->found[CRASH_OLD], tally->found[CRASH_NEW],
           tally->found[CRASH_NOTHING], tally->temporary);
}

static enum crash_found look(struct crash_scene *scene, const struct kind *kind,
                             struct tally *tally)
{
    unsigned temporary;
    enum crash_found found = crash_scene_look(scene, &temporary);

    assert_in_range(temporary, 0, 1);
    if (temporary) {
        /* It goes away by becoming the target. */
        assert_int_not_equal(found, CRASH_NEW);
        if (kind->tmpfile) {
            assert_true(kind->with_old);
            crash_scene_assert_temporary_whole(scene);
        }
    }
    tally->count++;
    tally->found[found]++;
    tally->temporary += temporary;
    return found;
}

/* ---- at every system call ---- */

static int child_save(struct crash_scene *scene, const struct kind *kind)
{
    if (!kind->tmpfile && crash_forbid_tmpfile())
        return 2;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        return 3;
    raise(SIGSTOP); /* the count begins here */
    return crash_scene_save(scene, 1, NULL) ? 1 : 0;
}

/* Starts a child that stands before its save; -1 where tracing is not permitted. */
static pid_t start(struct crash_scene *scene, const struct kind *kind)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0)
        _exit(child_save(scene, kind));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status)) {
        printf("skipped: the child ended with %d: no ptrace or no seccomp here\n",
               WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        return -1;
    }
    assert_int_equal(
        ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD), 0);
    return child;
}

/* Kills the child at the stop of this number. False: it ended before, and successfully. */
static bool kill_at(pid_t child, unsigned number)
{
    int status;

    for (unsigned stops = 0; stops < number; stops++) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            return false;
        }
        assert_true(WIFSTOPPED(status));
        assert_int_equal(WSTOPSIG(status), SIGTRAP | 0x80);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return true;
}

static void kill_at_every_call(const struct kind *kind)
{
    struct crash_scene scene;
    struct tally tally = {0};
    unsigned least = kind->layer ? LAYER_MIN : STOPS_MIN;
    bool is_new = false;
    bool killed = true;

    crash_scene_init(&scene, kind->layer ? crash_guest_striped : crash_guest_large, kind->with_old);
    if (kind->layer)
        crash_scene_lay(&scene);
    for (unsigned number = 1; killed; number += kind->layer ? 2 : 1) {
        pid_t child;
        enum crash_found found;

        assert_in_range(number, 1, STOPS_MAX);
        crash_scene_reset(&scene);
        child = start(&scene, kind);
        if (child < 0) {
            crash_scene_fini(&scene);
            skip();
        }
        killed = kill_at(child, number);
        found = look(&scene, kind, &tally);
        /* The same calls in every run: once the new file is there, a later kill finds it too. But
         * memory for the pages of a layer is sometimes got from the kernel, and sometimes there. */
        assert_false(is_new && found != CRASH_NEW && !kind->layer);
        is_new = found == CRASH_NEW;
    }
    assert_true(is_new);
    crash_scene_fini(&scene);
    tally_print(&tally, "kill points", kind);
    assert_in_range(tally.count, least, STOPS_MAX);
    assert_true(tally.found[kind->with_old ? CRASH_OLD : CRASH_NOTHING] > least / 2);
    assert_true(tally.found[CRASH_NEW] > 1);
    assert_true((tally.temporary > 0) == (kind->with_old || !kind->tmpfile));
}

static void killed_at_every_call(void **state)
{
    kill_at_every_call(*state);
}

/* ---- at random moments ---- */

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static pid_t start_free(struct crash_scene *scene)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(crash_scene_save(scene, WORKERS, NULL) ? 1 : 0);
    return child;
}

/* How long a save takes here, from fork to end. */
static uint64_t typical_us(struct crash_scene *scene)
{
    uint64_t begin = now_us();

    for (unsigned i = 0; i < 4; i++)
        child_wait(start_free(scene));
    return (now_us() - begin) / 4;
}

static bool both_found(const struct tally *tally)
{
    return tally->found[CRASH_NEW] > 0 && tally->found[CRASH_NEW] < tally->count;
}

static void killed_at_random_moments(void **state)
{
    const struct kind *kind = *state;
    struct crash_scene scene;
    struct tally tally = {0};
    uint32_t seed = FIRST_SEED;
    uint64_t span;

    crash_scene_init(&scene, crash_guest_large, kind->with_old);
    span = typical_us(&scene) * 5 / 4;
    /* Both outcomes must come, however busy the machine was when the span was measured. */
    for (unsigned i = 0; i < MOMENTS || (i < MOMENTS_MAX && !both_found(&tally)); i++) {
        pid_t child;
        int status;

        crash_scene_reset(&scene);
        child = start_free(&scene);
        usleep((useconds_t)(crash_random(&seed) % span));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (i >= MOMENTS)
            span = tally.found[CRASH_NEW] ? span / 2 + 1 : span * 2 % SPAN_MAX_US;
        if (WIFEXITED(status)) /* it was quicker */
            assert_int_equal(WEXITSTATUS(status), 0);
        if (look(&scene, kind, &tally) != CRASH_NEW)
            assert_true(WIFSIGNALED(status));
    }
    crash_scene_fini(&scene);
    printf("seed %u, %d workers: ", FIRST_SEED, WORKERS);
    tally_print(&tally, "random moments", kind);
    assert_true(both_found(&tally));
}

static struct CMUnitTest test(const char *name, CMUnitTestFunction function,
                              const struct kind *kind)
{
    return (struct CMUnitTest){
        .name = name, .test_func = function, .initial_state = (void *)(uintptr_t)kind};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test("killed_at_every_call_over_an_old_file", killed_at_every_call, &kinds[0]),
        test("killed_at_every_call_to_a_free_name", killed_at_every_call, &kinds[1]),
        test("killed_at_every_call_without_tmpfile", killed_at_every_call, &kinds[2]),
        test("killed_at_every_call_without_both", killed_at_every_call, &kinds[3]),
        test("killed_at_every_call_of_a_layer", killed_at_every_call, &kinds[4]),
        test("killed_at_random_moments", killed_at_random_moments, &kinds[0]),
        test("killed_at_random_moments_to_a_free_name", killed_at_random_moments, &kinds[1]),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
