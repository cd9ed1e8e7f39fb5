/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/pool.h"

#define ITEMS 1003

struct tally {
    atomic_int seen[ITEMS];
    uint64_t bad;  /* items from here on fail */
    uint64_t last; /* progress */
    bool overtake; /* let later failures overtake the first, or wait for it */
};

static int count(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    struct tally *tally = ctx;

    if (tally->bad != UINT64_MAX)
        usleep(20); /* so that all threads come to work */
    for (uint64_t i = first; i < end; i++) {
        if ((tally->overtake && i == tally->bad) || (!tally->overtake && i > tally->bad))
            usleep(500);
        if (i >= tally->bad)
            return stasis_fail(err, STASIS_ERR_CORRUPT, "item %llu", (unsigned long long)i);
        atomic_fetch_add(&tally->seen[i], 1);
    }
    return 0;
}

static bool note(void *ctx, uint64_t done)
{
    struct tally *tally = ctx;

    assert_true(done >= tally->last);
    tally->last = done;
    return true;
}

/* Of every hundred items ten have to be worked on. */
static uint64_t skip_most(void *ctx, uint64_t next)
{
    (void)ctx;
    next += next % 100 < 10 ? 0 : 100 - next % 100;
    return next < ITEMS ? next : ITEMS;
}

static void items_are_passed_over(void **state)
{
    for (unsigned threads = 1; threads < 4; threads++) {
        struct tally tally = {.bad = UINT64_MAX};
        const struct stasis_pool_job job = {ITEMS, 3, threads, count, note, &tally, skip_most};

        (void)state;
        assert_int_equal(stasis_pool_run(&job, NULL), 0);
        assert_int_equal(tally.last, ITEMS);
        for (uint64_t i = 0; i < ITEMS; i++)
            assert_int_equal(tally.seen[i], i % 100 < 12);
    }
}

static bool stop_half_way(void *ctx, uint64_t done)
{
    (void)ctx;
    return done < ITEMS / 2;
}

/* With one thread, so that the caller reports every range. */
static void a_job_can_be_cancelled(void **state)
{
    struct tally tally = {.bad = UINT64_MAX};
    struct stasis_pool_job job = {ITEMS, 16, 1, count, stop_half_way, &tally};

    (void)state;
    assert_int_equal(stasis_pool_run(&job, NULL), STASIS_ERR_CANCELLED);
    assert_int_equal(tally.seen[0], 1);
    assert_int_equal(tally.seen[ITEMS - 1], 0);
}

static bool refuse_the_third(void *ctx, uint64_t done)
{
    unsigned *asked = ctx;

    assert_in_range(done, 1, 2);
    return ++*asked < 3;
}

static int do_nothing(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    (void)ctx;
    (void)first;
    (void)end;
    (void)err;
    return 0;
}

/* After each of two items, and once more. */
static void a_request_to_cancel_counts_when_all_is_done(void **state)
{
    unsigned asked = 0;
    struct stasis_pool_job job = {2, 1, 1, do_nothing, refuse_the_third, &asked};
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_pool_run(&job, &err), STASIS_ERR_CANCELLED);
    assert_int_equal(err.code, STASIS_ERR_CANCELLED);
    assert_int_equal(asked, 3);
}

static void every_item_is_done_once(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 6; threads++) {
        struct tally tally = {.bad = UINT64_MAX};
        struct stasis_pool_job job = {ITEMS, 16, threads, count, note, &tally};

        assert_int_equal(stasis_pool_run(&job, NULL), 0);
        for (size_t i = 0; i < ITEMS; i++)
            assert_int_equal(tally.seen[i], 1);
        assert_int_equal(tally.last, ITEMS);
    }
}

static void the_first_failure_is_reported(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct tally tally = {.bad = 500, .overtake = round % 2};
        struct stasis_pool_job job = {ITEMS, 7, 4, count, NULL, &tally};
        struct stasis_error err = {0};

        assert_int_equal(stasis_pool_run(&job, &err), STASIS_ERR_CORRUPT);
        assert_string_equal(err.msg, "item 500");
    }
}

struct stuck {
    pthread_t caller;
    sem_t taken;  /* the worker has its item */
    sem_t let_go; /* and may end it */
    unsigned asked;
};

/* The caller's item ends at once, but not before the worker has taken the other. */
static int wait_if_worker(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    struct stuck *stuck = ctx;
    bool caller = pthread_equal(pthread_self(), stuck->caller);

    (void)first;
    (void)end;
    (void)err;
    if (!caller)
        sem_post(&stuck->taken);
    while (sem_wait(caller ? &stuck->taken : &stuck->let_go))
        ;
    return 0;
}

static bool cancel_at_the_third(void *ctx, uint64_t done)
{
    struct stuck *stuck = ctx;

    assert_in_range(done, 1, 2);
    if (++stuck->asked < 3)
        return true;
    sem_post(&stuck->let_go);
    return false;
}

/* The caller has nothing left to do, and is asked all the same. */
static void a_request_to_cancel_is_heard_while_others_work(void **state)
{
    struct stuck stuck = {.caller = pthread_self()};
    struct stasis_pool_job job = {2, 1, 2, wait_if_worker, cancel_at_the_third, &stuck};

    (void)state;
    alarm(120); /* a caller that waits without asking */
    sem_init(&stuck.taken, 0, 0);
    sem_init(&stuck.let_go, 0, 0);
    assert_int_equal(stasis_pool_run(&job, NULL), STASIS_ERR_CANCELLED);
    assert_int_equal(stuck.asked, 3);
    alarm(0);
}

struct masks {
    pthread_t caller;
    sem_t taken; /* the worker has its item */
    sigset_t of_worker;
};

static int read_mask_if_worker(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    struct masks *masks = ctx;

    (void)first;
    (void)end;
    (void)err;
    if (pthread_equal(pthread_self(), masks->caller)) {
        while (sem_wait(&masks->taken))
            ;
        return 0;
    }
    pthread_sigmask(SIG_SETMASK, NULL, &masks->of_worker);
    sem_post(&masks->taken);
    return 0;
}

/* A fault on a thread that blocks it ends the process before its handler, which gives the terminal
 * back, has run. Signals from outside are for the caller's threads. */
static void workers_block_all_signals_but_faults(void **state)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    static const int others[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGTSTP, SIGWINCH};
    struct masks masks = {.caller = pthread_self()};
    struct stasis_pool_job job = {2, 1, 2, read_mask_if_worker, NULL, &masks};
    sigset_t before, after;

    (void)state;
    alarm(120); /* no worker */
    sem_init(&masks.taken, 0, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(stasis_pool_run(&job, NULL), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    alarm(0);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        assert_int_equal(sigismember(&masks.of_worker, faults[i]), 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(sigismember(&masks.of_worker, others[i]), 1);
        assert_int_equal(sigismember(&after, others[i]), sigismember(&before, others[i]));
    }
    sem_destroy(&masks.taken);
}

static void nothing_to_do_is_fine(void **state)
{
    struct tally tally = {.bad = 0};
    struct stasis_pool_job job = {0, 16, 0, count, NULL, &tally};

    (void)state;
    assert_int_equal(stasis_pool_run(&job, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done_once),
        cmocka_unit_test(items_are_passed_over),
        cmocka_unit_test(a_job_can_be_cancelled),
        cmocka_unit_test(a_request_to_cancel_counts_when_all_is_done),
        cmocka_unit_test(the_first_failure_is_reported),
        cmocka_unit_test(a_request_to_cancel_is_heard_while_others_work),
        cmocka_unit_test(workers_block_all_signals_but_faults),
        cmocka_unit_test(nothing_to_do_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
