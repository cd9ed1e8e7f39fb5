/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "pool.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "stasis/fault_signals.h"

#define THREADS_MAX 64u
#define TURN_NS     (STASIS_TURN_MS * 1000000L)

void stasis_turns_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void stasis_turns_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TURN_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(cond, lock, &until);
}

struct pool {
    const struct stasis_pool_job *job;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ended; /* a worker has */
    unsigned workers;     /* that have not */
    uint64_t next;        /* first item not handed out */
    uint64_t done;
    uint64_t failed_at; /* start of the failed range, if rc */
    int rc;
    struct stasis_error err;
};

static void skip(struct pool *pool)
{
    uint64_t next = pool->job->skip(pool->job->ctx, pool->next);

    pool->done += next - pool->next;
    pool->next = next;
}

static bool take(struct pool *pool, uint64_t *ret_first, uint64_t *ret_end)
{
    const struct stasis_pool_job *job = pool->job;
    bool got;

    pthread_mutex_lock(&pool->lock);
    if (job->skip && !pool->rc)
        skip(pool);
    got = !pool->rc && pool->next < job->count;
    if (got) {
        *ret_first = pool->next;
        pool->next += job->batch < job->count - pool->next ? job->batch : job->count - pool->next;
        *ret_end = pool->next;
    }
    pthread_mutex_unlock(&pool->lock);
    return got;
}

static uint64_t finish(struct pool *pool, uint64_t first, uint64_t end, int rc,
                       const struct stasis_error *err)
{
    uint64_t done;

    pthread_mutex_lock(&pool->lock);
    if (rc && (!pool->rc || first < pool->failed_at)) {
        pool->rc = rc;
        pool->failed_at = first;
        pool->err = *err;
    }
    pool->done += end - first;
    done = pool->done;
    pthread_mutex_unlock(&pool->lock);
    return done;
}

/* Tells the progress; false: it is answered by a request to cancel. */
static bool ask(struct pool *pool, uint64_t at, uint64_t done)
{
    struct stasis_error err = {0};

    if (pool->job->progress(pool->job->ctx, done))
        return true;
    finish(pool, at, at, stasis_fail(&err, STASIS_ERR_CANCELLED, "cancelled"), &err);
    return false;
}

static void work(struct pool *pool, bool report)
{
    const struct stasis_pool_job *job = pool->job;
    struct stasis_error err = {0};
    uint64_t first;
    uint64_t end;

    while (take(pool, &first, &end)) {
        int rc = job->work(job->ctx, first, end, &err);
        uint64_t done = finish(pool, first, end, rc, &err);

        if (report && !rc)
            (void)ask(pool, end, done);
    }
}

static void *worker(void *arg)
{
    struct pool *pool = arg;

    work(pool, false);
    pthread_mutex_lock(&pool->lock);
    pool->workers--;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* What the others still do may take long, too. */
static void watch_workers(struct pool *pool)
{
    bool keep_on = true;

    pthread_mutex_lock(&pool->lock);
    while (pool->workers && pool->rc != STASIS_ERR_CANCELLED && keep_on) {
        uint64_t done;

        stasis_turns_wait(&pool->ended, &pool->lock);
        done = pool->done;
        pthread_mutex_unlock(&pool->lock);
        keep_on = ask(pool, pool->job->count, done);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

static unsigned start_workers(struct pool *pool, pthread_t threads[THREADS_MAX], unsigned wanted)
{
    unsigned started = 0;

    pthread_mutex_lock(&pool->lock);
    while (started + 1 < wanted && !stasis_thread_create(&threads[started], worker, pool))
        started++;
    pool->workers = started;
    pthread_mutex_unlock(&pool->lock);
    return started;
}

static unsigned thread_count(const struct stasis_pool_job *job)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t wanted = job->threads ? job->threads : online > 0 ? (uint64_t)online : 1;
    uint64_t ranges = job->count / job->batch + (job->count % job->batch != 0);

    if (wanted > ranges)
        wanted = ranges;
    return wanted > THREADS_MAX ? THREADS_MAX : (unsigned)wanted;
}

int stasis_thread_create(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    sigset_t blocked;
    sigset_t before;
    int rc;

    stasis_signals_all_but_faults(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    rc = pthread_create(ret_thread, NULL, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int stasis_pool_run(const struct stasis_pool_job *job, struct stasis_error *err)
{
    struct pool pool = {.job = job};
    pthread_t threads[THREADS_MAX];
    unsigned started;

    pthread_mutex_init(&pool.lock, NULL);
    stasis_turns_init(&pool.ended);
    started = start_workers(&pool, threads, thread_count(job));
    work(&pool, job->progress != NULL);
    if (job->progress)
        watch_workers(&pool);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    /* A caller that says no here may have read a signal, which nobody else will see. */
    if (!pool.rc && job->progress)
        (void)ask(&pool, job->count, job->count);
    pthread_cond_destroy(&pool.ended);
    pthread_mutex_destroy(&pool.lock);
    if (pool.rc && err)
        *err = pool.err;
    return pool.rc;
}
