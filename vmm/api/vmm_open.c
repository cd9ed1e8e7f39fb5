/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Files of requests that are opened by threads of their own: the folder of a client may be of a
 * file system that does not answer (FUSE, NFS), and must hold up neither the loop nor the end of
 * the VM. Such a thread is left alone when the VM goes, and takes what it needs of it along: the
 * set of outputs, which the last one frees.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/fault_signals.h"
#include "vmm/api/vmm_internal.h"

struct stasis_vmm_opener {
    pthread_mutex_t lock;
    struct stasis_vmm *vmm; /* NULL: it has gone */
    unsigned threads;
    struct stasis_outputs *outputs;
    struct stasis_output_folders folders;
};

struct stasis_vmm_opening {
    struct stasis_vmm_opening *next; /* in vmm->openings */
    struct stasis_vmm_opener *opener;
    struct stasis_vmm_job *job; /* gets the output */
    int folder_fd;              /* ours; 0: none */
    int rc;                     /* once it is done */
    struct stasis_error err;

    /* Under the opener's lock. Whoever sets the second of them frees the opening. */
    bool done;     /* by its thread */
    bool given_up; /* by the VM */
};

/* ---- the opener ---- */

struct stasis_vmm_opener *stasis_vmm_opener_new(struct stasis_vmm *vmm)
{
    struct stasis_vmm_opener *opener = calloc(1, sizeof(*opener));

    if (!opener)
        return NULL;
    pthread_mutex_init(&opener->lock, NULL);
    opener->vmm = vmm;
    opener->outputs = vmm->outputs;
    opener->folders = vmm->ops.folders;
    return opener;
}

static void free_opener(struct stasis_vmm_opener *opener)
{
    stasis_outputs_free(opener->outputs);
    pthread_mutex_destroy(&opener->lock);
    free(opener);
}

void stasis_vmm_opener_leave(struct stasis_vmm_opener *opener)
{
    bool last;

    if (!opener)
        return;
    pthread_mutex_lock(&opener->lock);
    opener->vmm = NULL;
    last = !opener->threads;
    pthread_mutex_unlock(&opener->lock);
    if (last)
        free_opener(opener);
}

/* ---- the thread ---- */

static void free_opening(struct stasis_vmm_opening *opening)
{
    stasis_vmm_job_free(opening->job);
    if (opening->folder_fd)
        close(opening->folder_fd);
    free(opening);
}

static void open_file(struct stasis_vmm_opening *opening)
{
    const struct stasis_snapshot_request request = {.path = opening->job->path,
                                                    .folder_fd = opening->folder_fd};

    opening->rc = stasis_vmm_outputs_open_request(
        opening->opener->outputs, &opening->opener->folders, &request, opening->job, &opening->err);
}

static void *run_thread(void *arg)
{
    struct stasis_vmm_opening *opening = arg;
    struct stasis_vmm_opener *opener = opening->opener;
    bool given_up;
    bool last;

    open_file(opening);
    pthread_mutex_lock(&opener->lock);
    opening->done = true;
    given_up = opening->given_up;
    if (!given_up)
        stasis_vmm_wake(opener->vmm); /* which gives up all before it goes */
    pthread_mutex_unlock(&opener->lock);
    if (given_up)
        free_opening(opening);
    pthread_mutex_lock(&opener->lock);
    opener->threads--;
    last = !opener->threads && !opener->vmm;
    pthread_mutex_unlock(&opener->lock);
    if (last)
        free_opener(opener);
    return NULL;
}

static int start_thread(struct stasis_vmm_opening *opening)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t mask;
    sigset_t before;
    int failed;

    stasis_signals_all_but_faults(&mask);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    failed = pthread_create(&thread, &detached, run_thread, opening);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return failed;
}

/* Those of VMs that were given up count, too. */
static bool take_place(struct stasis_vmm_opener *opener)
{
    bool free_place;

    pthread_mutex_lock(&opener->lock);
    free_place = opener->threads < STASIS_VMM_OPENINGS_MAX;
    opener->threads += free_place;
    pthread_mutex_unlock(&opener->lock);
    return free_place;
}

static void give_place_back(struct stasis_vmm_opener *opener)
{
    pthread_mutex_lock(&opener->lock);
    opener->threads--;
    pthread_mutex_unlock(&opener->lock);
}

static int start(struct stasis_vmm_opening *opening, struct stasis_error *err)
{
    if (!take_place(opening->opener))
        return stasis_fail(err, STASIS_ERR_FULL,
                           "%d files are being opened already, on file systems that are slow or do "
                           "not answer; wait for these",
                           STASIS_VMM_OPENINGS_MAX);
    if (!start_thread(opening))
        return 0;
    give_place_back(opening->opener);
    return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                       "cannot start a thread to open a file; the limit of threads (ulimit -u, "
                       "pids.max) may be too low");
}

/* ---- the VM's side ---- */

static int take_folder(struct stasis_vmm_opening *opening, int folder_fd, struct stasis_error *err)
{
    if (!folder_fd)
        return 0;
    opening->folder_fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 3);
    if (opening->folder_fd >= 0)
        return 0;
    opening->folder_fd = 0;
    return stasis_fail_errno(err, errno == EBADF ? STASIS_ERR_ARG : STASIS_ERR_UNAVAILABLE,
                             "cannot keep the folder of a request open");
}

int stasis_vmm_begin_open(struct stasis_vmm *vmm, struct stasis_vmm_job *job, int folder_fd,
                          struct stasis_error *err)
{
    struct stasis_vmm_opening *opening = calloc(1, sizeof(*opening));
    int rc;

    if (!opening) {
        stasis_vmm_job_free(job);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save the guest");
    }
    *opening = (struct stasis_vmm_opening){.opener = vmm->opener, .job = job};
    rc = take_folder(opening, folder_fd, err);
    if (!rc)
        rc = start(opening, err);
    if (rc) {
        free_opening(opening);
        return rc;
    }
    opening->next = vmm->openings;
    vmm->openings = opening;
    return 0;
}

static bool is_done(struct stasis_vmm_opening *opening)
{
    bool done;

    pthread_mutex_lock(&opening->opener->lock);
    done = opening->done;
    pthread_mutex_unlock(&opening->opener->lock);
    return done;
}

/* Takes one off the list that is done; NULL: there is none. */
static struct stasis_vmm_opening *take_done(struct stasis_vmm *vmm)
{
    struct stasis_vmm_opening **at = &vmm->openings;
    struct stasis_vmm_opening *opening;

    while (*at && !is_done(*at))
        at = &(*at)->next;
    opening = *at;
    if (opening)
        *at = opening->next;
    return opening;
}

static void begin_save(struct stasis_vmm *vmm, struct stasis_vmm_opening *opening)
{
    struct stasis_vmm_job *job = opening->job;
    int rc = opening->rc;

    opening->job = NULL;
    if (!rc)
        rc = stasis_vmm_begin_save(vmm, job, &opening->err);
    if (rc) {
        stasis_vmm_tell_save_failed(vmm, job, &opening->err);
        stasis_vmm_job_free(job);
    }
    free_opening(opening);
}

void stasis_vmm_openings_take(struct stasis_vmm *vmm)
{
    struct stasis_vmm_opening *opening;

    while (!vmm->job && !vmm->stopping && (opening = take_done(vmm)))
        begin_save(vmm, opening);
}

static void give_up(struct stasis_vmm_opening *opening)
{
    bool done;

    pthread_mutex_lock(&opening->opener->lock);
    opening->given_up = true;
    done = opening->done;
    pthread_mutex_unlock(&opening->opener->lock);
    if (done)
        free_opening(opening);
}

static void tell_given_up(struct stasis_vmm *vmm, const struct stasis_vmm_opening *opening)
{
    struct stasis_error err;

    (void)stasis_fail(&err, STASIS_ERR_CANCELLED, "%s: cancelled while it was being opened",
                      opening->job->path);
    stasis_vmm_tell_save_failed(vmm, opening->job, &err);
}

static bool is_of(const struct stasis_vmm_opening *opening, const void *request_ctx)
{
    return !request_ctx || opening->job->request_ctx == request_ctx;
}

bool stasis_vmm_openings_give_up(struct stasis_vmm *vmm, const void *request_ctx, bool tell)
{
    struct stasis_vmm_opening **at = &vmm->openings;
    bool any = false;

    while (*at) {
        struct stasis_vmm_opening *opening = *at;

        if (!is_of(opening, request_ctx)) {
            at = &opening->next;
            continue;
        }
        *at = opening->next;
        any = true;
        atomic_store(&opening->job->given_up, true); /* its name is free for who is told */
        if (tell)
            tell_given_up(vmm, opening);
        give_up(opening);
        at = &vmm->openings; /* whoever was told may have changed the list */
    }
    return any;
}
