/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/ram_failure.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stasis/fault_signals.h"
#include "vmm/machine/machine.h"
#include "vmm/snapshot/ram_failure_internal.h"

struct owner {
    void (*fatal)(void *ctx, const struct stasis_error *err);
    void *ctx;
};

static _Thread_local struct owner next_owner; /* of machines that this thread thaws */

void stasis_ram_failure_on_fatal(void (*fatal)(void *ctx, const struct stasis_error *err),
                                 void *ctx)
{
    next_owner = (struct owner){fatal, ctx};
}

static _Noreturn void die(const struct owner *owner, const struct stasis_error *err)
{
    if (owner->fatal)
        owner->fatal(owner->ctx, err);
    (void)stasis_signal_raise(SIGABRT);
    abort(); /* a handler has returned */
}

/* ---- the watchdog ---- */

/* machine->ram_ctx. */
struct guard {
    struct stasis_machine *machine;
    struct stasis_ram *ram;
    struct owner owner;
    _Atomic bool claimed; /* there is a watchdog, or will be: by who claims it first */
    pthread_t watchdog;
    bool started;              /* written by that thread; else read when the engine's are gone */
    bool is_owners;            /* the machine's owner started it for a while */
    pthread_mutex_t lock;      /* guards what follows, and `ram` against the watchdog */
    struct stasis_error error; /* why the process ends if nothing else helps */
    bool closing;              /* the engine is being freed */
    bool called_off;           /* all is done */
    pthread_cond_t changed;
    bool (*progress)(void *ctx, uint64_t done,
                     uint64_t total); /* who asked for the load, and its */
    void *progress_ctx;
    int (*thread_begins)(void *ctx, struct stasis_error *err);
    void *thread_ctx;
};

static bool forward_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct guard *guard = ctx;

    return guard->progress(guard->progress_ctx, done, total);
}

static int forward_thread_begins(void *ctx, struct stasis_error *err)
{
    const struct guard *guard = ctx;

    return guard->thread_begins(guard->thread_ctx, err);
}

static void guard_init(struct guard *guard, struct stasis_machine *machine, const char *path)
{
    pthread_condattr_t monotonic;

    guard->machine = machine;
    guard->owner = next_owner;
    (void)stasis_fail(&guard->error, STASIS_ERR_READ,
                      "%s: a read of the snapshot does not return; ended without waiting for it",
                      path);
    pthread_mutex_init(&guard->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Waits until the guest has come to its end, or for as long as that may take. The lock is held. */
static void wait_for_end(struct guard *guard)
{
    const unsigned ms = guard->machine->end_limit_ms;
    struct timespec deadline;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += (long)(ms % 1000) * 1000000;
    deadline.tv_sec += (time_t)(ms / 1000) + deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    while (!guard->called_off && !rc)
        rc = pthread_cond_timedwait(&guard->changed, &guard->lock, &deadline);
}

/* A vCPU, or KVM for it, may wait for memory that will never come. Sent away, it ends in order;
 * and a process that KVM waits in could not even be killed. */
static void *watch(void *arg)
{
    struct guard *guard = arg;

    pthread_mutex_lock(&guard->lock);
    wait_for_end(guard);
    if (!guard->called_off && !guard->closing && guard->ram)
        stasis_ram_cancel_waiters(guard->ram);
    wait_for_end(guard);
    if (!guard->called_off)
        die(&guard->owner, &guard->error);
    pthread_mutex_unlock(&guard->lock);
    return NULL;
}

static bool claim_watchdog(struct guard *guard)
{
    return !atomic_exchange(&guard->claimed, true);
}

/* By who claimed it. */
static bool start_watchdog(struct guard *guard)
{
    guard->started = !pthread_create(&guard->watchdog, NULL, watch, guard);
    return guard->started;
}

static void stop_watchdog(struct guard *guard)
{
    pthread_mutex_lock(&guard->lock);
    guard->called_off = true;
    pthread_cond_broadcast(&guard->changed);
    pthread_mutex_unlock(&guard->lock);
    pthread_join(guard->watchdog, NULL);
    guard->started = guard->called_off = false;
    atomic_store(&guard->claimed, false);
}

/* Whether a thread of the engine may be in a read. */
static bool is_loading(const struct guard *guard)
{
    struct stasis_ram_metrics now;

    if (!guard->ram)
        return false;
    stasis_ram_get_metrics(guard->ram, &now);
    return !now.complete;
}

static void guard_cancel_waiters(void *ctx)
{
    struct guard *guard = ctx;

    pthread_mutex_lock(&guard->lock);
    if (guard->ram)
        stasis_ram_cancel_waiters(guard->ram);
    pthread_mutex_unlock(&guard->lock);
}

/* No handler looks at the guard or the engine any more before they are freed.
 *
 * The engine's threads first: until they are gone one may start the watchdog, and one that hangs in
 * a read is what the watchdog is there for. From now on it leaves the engine alone. */
static void guard_close(void *ctx)
{
    struct guard *guard = ctx;

    stasis_ram_failure_restore(guard->machine);
    pthread_mutex_lock(&guard->lock);
    guard->closing = true;
    pthread_mutex_unlock(&guard->lock);
    if (is_loading(guard) && claim_watchdog(guard))
        (void)start_watchdog(guard);
    stasis_ram_free(guard->ram);
    if (guard->started)
        stop_watchdog(guard);
    pthread_cond_destroy(&guard->changed);
    pthread_mutex_destroy(&guard->lock);
    free(guard);
}

/* For struct stasis_ram_opts. The end last: whoever sees it may begin to free all this. */
static void failed(void *ctx, const struct stasis_error *err)
{
    struct guard *guard = ctx;

    pthread_mutex_lock(&guard->lock);
    guard->error = *err;
    pthread_mutex_unlock(&guard->lock);
    if (claim_watchdog(guard) && !start_watchdog(guard))
        die(&guard->owner, err);
    stasis_machine_shutdown(guard->machine, STASIS_EXIT_CRASHED, err);
}

static bool is_lost(void *ctx, const void *host, struct stasis_error *ret_err)
{
    struct guard *guard = ctx;

    return guard->ram && stasis_ram_describe_failure(guard->ram, host, ret_err);
}

static int discard(void *ctx, void *host, uint64_t len, struct stasis_error *err)
{
    const struct guard *guard = ctx;

    return stasis_ram_discard(guard->ram, host, len, err);
}

static const struct stasis_ram_ops ram_ops = {is_lost, guard_cancel_waiters, guard_close};

int stasis_ram_failure_attach(struct stasis_machine *machine, struct stasis_snap *snap,
                              void *const *hosts, const struct stasis_ram_opts *opts,
                              struct stasis_error *err)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    struct stasis_ram_opts with_failed = *opts;
    struct stasis_ram *ram;
    int rc;

    if (!guard)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to load RAM");
    guard_init(guard, machine, stasis_snap_name(snap));
    with_failed.failed = failed;
    with_failed.ctx = guard;
    guard->progress = opts->progress;
    guard->progress_ctx = opts->ctx;
    with_failed.progress = opts->progress ? forward_progress : NULL;
    guard->thread_begins = opts->thread_begins;
    guard->thread_ctx = opts->ctx;
    with_failed.thread_begins = opts->thread_begins ? forward_thread_begins : NULL;
    /* First: the engine may fail before it returns. */
    machine->ram_ctx = guard;
    machine->ram_ops = &ram_ops;
    rc = stasis_ram_attach(snap, hosts, &with_failed, &ram, err);
    pthread_mutex_lock(&guard->lock);
    guard->ram = rc ? NULL : ram;
    pthread_mutex_unlock(&guard->lock);
    if (!rc)
        machine->memory.source = (struct stasis_memory_source){discard, guard};
    return rc;
}

static struct guard *guard_of(const struct stasis_machine *machine)
{
    return machine->ram_ops == &ram_ops ? machine->ram_ctx : NULL;
}

void stasis_ram_failure_die(const struct stasis_machine *machine, const struct stasis_error *err)
{
    const struct guard *guard = guard_of(machine);

    die(guard ? &guard->owner : &next_owner, err);
}

struct stasis_ram *stasis_ram_failure_ram(const struct stasis_machine *machine)
{
    const struct guard *guard = guard_of(machine);

    return guard ? guard->ram : NULL;
}

void stasis_ram_failure_watch(struct stasis_machine *machine)
{
    struct guard *guard = guard_of(machine);

    if (guard && is_loading(guard) && claim_watchdog(guard))
        guard->is_owners = start_watchdog(guard);
}

void stasis_ram_failure_unwatch(struct stasis_machine *machine)
{
    struct guard *guard = guard_of(machine);

    /* One that a failure has started runs on. */
    if (!guard || !guard->is_owners)
        return;
    guard->is_owners = false;
    stop_watchdog(guard);
}
