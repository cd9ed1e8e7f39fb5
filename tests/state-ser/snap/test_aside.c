/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Work on a thread of its own is waited for, or given up; its lock is unlocked by whoever has it.
 */
#include "tests/support/cmocka_all.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "state-ser/snap/aside.h"

/* Its kind tells who unlocks what he has not locked. */
int __real_pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr)
{
    pthread_mutexattr_t strict;
    int rc;

    (void)attr;
    pthread_mutexattr_init(&strict);
    pthread_mutexattr_settype(&strict, PTHREAD_MUTEX_ERRORCHECK);
    rc = __real_pthread_mutex_init(lock, &strict);
    pthread_mutexattr_destroy(&strict);
    return rc;
}

int __real_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
    if (__real_pthread_mutex_unlock(lock))
        abort(); /* on any thread */
    return 0;
}

struct job {
    sem_t answer, gone;
    atomic_uint worked, dropped;
    unsigned asked, gives_up; /* when it was asked so often; 0: never */
};

static void work(void *arg)
{
    struct job *job = arg;

    while (sem_wait(&job->answer))
        ;
    atomic_fetch_add(&job->worked, 1);
}

static void drop(void *arg)
{
    struct job *job = arg;

    atomic_fetch_add(&job->dropped, 1);
    sem_post(&job->gone);
}

/* The work ends after it was waited for a few times. */
static bool keep_on(void *ctx)
{
    struct job *job = ctx;

    if (++job->asked == job->gives_up)
        return false;
    if (!job->gives_up && job->asked == 3)
        sem_post(&job->answer);
    return true;
}

static void wait_for(struct job *job, unsigned gives_up)
{
    const struct stasis_watch watch = {keep_on, job};

    *job = (struct job){.gives_up = gives_up};
    sem_init(&job->answer, 0, 0);
    sem_init(&job->gone, 0, 0);
    assert_int_equal(stasis_aside_run(work, drop, job, &watch), !gives_up);
}

static void work_is_waited_for(void **state)
{
    struct job job;

    (void)state;
    wait_for(&job, 0);
    assert_in_range(job.asked, 3, UINT32_MAX);
    assert_int_equal(atomic_load(&job.worked), 1);
    assert_int_equal(atomic_load(&job.dropped), 0);
}

static void work_is_given_up(void **state)
{
    struct job job;

    (void)state;
    for (unsigned times = 1; times <= 2; times++) {
        wait_for(&job, times);
        assert_int_equal(job.asked, times);
        assert_int_equal(atomic_load(&job.dropped), 0);
        sem_post(&job.answer);
        while (sem_wait(&job.gone))
            ;
        assert_int_equal(atomic_load(&job.worked), 1);
        assert_int_equal(atomic_load(&job.dropped), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_waited_for),
        cmocka_unit_test(work_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
