/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "aside.h"

#include <pthread.h>
#include <stdlib.h>

#include "pool.h"

struct aside {
    void (*work)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ended;
    bool done;
    bool given_up; /* the thread frees this */
};

static void aside_free(struct aside *aside)
{
    pthread_cond_destroy(&aside->ended);
    pthread_mutex_destroy(&aside->lock);
    free(aside);
}

static void *run(void *arg)
{
    struct aside *aside = arg;
    bool given_up;

    aside->work(aside->arg);
    pthread_mutex_lock(&aside->lock);
    aside->done = true;
    given_up = aside->given_up;
    pthread_cond_signal(&aside->ended);
    pthread_mutex_unlock(&aside->lock);
    if (given_up) {
        aside->drop(aside->arg);
        aside_free(aside);
    }
    return NULL;
}

/* NULL: no memory, or no thread. One that is given up frees itself. */
static struct aside *start(void (*work)(void *arg), void (*drop)(void *arg), void *arg,
                           bool given_up)
{
    struct aside *aside = malloc(sizeof(*aside));
    pthread_t thread;

    if (!aside)
        return NULL;
    *aside = (struct aside){.work = work, .drop = drop, .arg = arg, .given_up = given_up};
    pthread_mutex_init(&aside->lock, NULL);
    stasis_turns_init(&aside->ended);
    if (stasis_thread_create(&thread, run, aside)) {
        aside_free(aside);
        return NULL;
    }
    pthread_detach(thread);
    return aside;
}

static bool await(struct aside *aside, const struct stasis_watch *watch)
{
    bool keep_on = true;
    bool done;

    pthread_mutex_lock(&aside->lock);
    while (!aside->done && keep_on) {
        stasis_turns_wait(&aside->ended, &aside->lock);
        pthread_mutex_unlock(&aside->lock);
        keep_on = watch->keep_on(watch->ctx);
        pthread_mutex_lock(&aside->lock);
    }
    done = aside->done;
    aside->given_up = !done;
    pthread_mutex_unlock(&aside->lock);
    if (done && !keep_on)
        aside->drop(aside->arg);
    if (done)
        aside_free(aside);
    return keep_on;
}

bool stasis_aside_run(void (*work)(void *arg), void (*drop)(void *arg), void *arg,
                      const struct stasis_watch *watch)
{
    struct aside *aside = watch ? start(work, drop, arg, false) : NULL;

    if (aside)
        return await(aside, watch);
    work(arg);
    return true;
}

void stasis_aside_leave(void (*work)(void *arg), void (*drop)(void *arg), void *arg)
{
    if (start(work, drop, arg, true))
        return;
    work(arg);
    drop(arg);
}
