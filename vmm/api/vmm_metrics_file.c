/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The file of --metrics: written once, at the end; or replaced every so often by a thread, since a
 * file system that does not answer must hold up neither the loop nor the guest.
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "stasis/fault_signals.h"
#include "vmm/api/vmm_internal.h"

static int replace(struct stasis_output *file, const char *text, size_t len,
                   struct stasis_error *err)
{
    int rc = stasis_output_begin(file, err);

    if (!rc)
        rc = stasis_output_put(file, text, len, 0, err);
    if (!rc)
        rc = stasis_output_commit(file, false, err);
    if (rc)
        stasis_output_cancel(file);
    return rc;
}

static int write_file(struct stasis_vmm *vmm, const char *text, size_t len,
                      struct stasis_error *err)
{
    int rc = vmm->config->metrics_every_ms ? replace(vmm->metrics_file, text, len, err)
                                           : stasis_output_set(vmm->metrics_file, text, len, err);

    return rc ? stasis_wrap(err, rc, "metrics.path=%s", stasis_output_path(vmm->metrics_file)) : 0;
}

static int make_text(struct stasis_vmm *vmm, char **ret_text, size_t *ret_len,
                     struct stasis_error *err)
{
    return stasis_vmm_metrics_text(vmm, vmm->config->metrics_format, ret_text, ret_len, err);
}

/* ---- every so often ---- */

/* Text that was made before the last one must not come behind it. */
static int write_again(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_vmm_metrics_thread *writer = &vmm->metrics_thread;
    size_t len;
    char *text;
    int rc = make_text(vmm, &text, &len, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&writer->lock);
    if (!writer->stop)
        rc = write_file(vmm, text, len, err);
    pthread_mutex_unlock(&writer->lock);
    free(text);
    return rc;
}

/* Says the first of the failures in a row. */
static void write_and_tell(struct stasis_vmm *vmm)
{
    struct stasis_error err;
    bool fails = write_again(vmm, &err) != 0;

    if (fails && !vmm->metrics_thread.fails) {
        stasis_vmm_lock(vmm);
        stasis_vmm_say(vmm, "%s; it is tried again every %u ms", err.msg,
                       (unsigned)vmm->config->metrics_every_ms);
        stasis_vmm_unlock(vmm);
    }
    vmm->metrics_thread.fails = fails;
}

static void add_ms(struct timespec *time, uint64_t ms)
{
    time->tv_sec += (time_t)(ms / 1000);
    time->tv_nsec += (long)(ms % 1000) * 1000000;
    if (time->tv_nsec >= 1000000000) {
        time->tv_sec++;
        time->tv_nsec -= 1000000000;
    }
}

/* False once it is to stop. */
static bool sleep_on(struct stasis_vmm *vmm)
{
    struct stasis_vmm_metrics_thread *writer = &vmm->metrics_thread;
    struct timespec until;
    bool stop;

    clock_gettime(CLOCK_MONOTONIC, &until);
    add_ms(&until, vmm->config->metrics_every_ms);
    pthread_mutex_lock(&writer->lock);
    while (!writer->stop && !pthread_cond_timedwait(&writer->stopped, &writer->lock, &until))
        ;
    stop = writer->stop;
    pthread_mutex_unlock(&writer->lock);
    return !stop;
}

static void *run_thread(void *arg)
{
    struct stasis_vmm *vmm = arg;
    struct stasis_error err;

    if (stasis_vmm_thread_begins(vmm, STASIS_VMM_THREAD_METRICS, &err)) {
        stasis_vmm_lock(vmm);
        stasis_vmm_say(vmm, "%s; metrics are written at the end only", err.msg);
        stasis_vmm_unlock(vmm);
        return NULL;
    }
    do
        write_and_tell(vmm);
    while (sleep_on(vmm));
    return NULL;
}

/* ---- life ---- */

static void init(struct stasis_vmm_metrics_thread *writer)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&writer->lock, NULL);
    writer->ready = true;
}

int stasis_vmm_metrics_start(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_vmm_metrics_thread *writer = &vmm->metrics_thread;
    sigset_t mask;
    sigset_t before;

    if (!vmm->config->metrics_every_ms || writer->running)
        return 0;
    if (!writer->ready)
        init(writer);
    stasis_signals_all_but_faults(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    writer->running = !pthread_create(&writer->thread, NULL, run_thread, vmm);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (writer->running)
        return 0;
    return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                       "cannot start a thread to write metrics; the limit of threads (ulimit -u, "
                       "pids.max) may be too low");
}

void stasis_vmm_metrics_stop(struct stasis_vmm *vmm)
{
    struct stasis_vmm_metrics_thread *writer = &vmm->metrics_thread;

    if (!writer->ready)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->stop = true;
    pthread_cond_signal(&writer->stopped);
    pthread_mutex_unlock(&writer->lock);
}

void stasis_vmm_metrics_join(struct stasis_vmm *vmm)
{
    struct stasis_vmm_metrics_thread *writer = &vmm->metrics_thread;

    stasis_vmm_metrics_stop(vmm);
    if (writer->running)
        pthread_join(writer->thread, NULL);
    writer->running = false;
    if (writer->ready) {
        pthread_cond_destroy(&writer->stopped);
        pthread_mutex_destroy(&writer->lock);
    }
    writer->ready = false;
}

int stasis_vmm_write_metrics(struct stasis_vmm *vmm, struct stasis_error *err)
{
    size_t len;
    char *text;
    int rc;

    if (!vmm->config->metrics_path)
        return 0;
    stasis_vmm_metrics_stop(vmm);
    stasis_vmm_lock(vmm);
    rc = make_text(vmm, &text, &len, err);
    if (!rc) {
        rc = write_file(vmm, text, len, err);
        free(text);
    }
    stasis_vmm_unlock(vmm);
    return rc;
}
