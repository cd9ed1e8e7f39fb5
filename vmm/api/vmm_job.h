/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A job: the guest is paused, and saved unless that is all. Part of vmm_internal.h, which has the
 * locks.
 */
#ifndef STASIS_VMM_JOB_H
#define STASIS_VMM_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "stasis/output.h"
#include "stasis/snap.h"
#include "stasis/vmm.h"
#include "vmm/api/metrics.h"

/* ---- vmm_save.c: the thread that pauses the guest and saves it ---- */

struct stasis_vmm_job {
    struct stasis_vmm *vmm;
    pthread_t thread;
    bool pauses_only;             /* by stasis_vmm_begin_pause(): nothing is saved */
    bool configured;              /* by key, event or freeze(), not by a request */
    bool crash;                   /* of a guest that has ended by it */
    bool exit;                    /* the VM ends when the file is there */
    char *path;                   /* for messages */
    void *request_ctx;            /* of its request, or NULL */
    struct stasis_output *output; /* NULL: standard output */
    bool owns_output;
    _Atomic bool given_up; /* while its file was being opened */
    struct stasis_vmm_save save;
    uint32_t format_version; /* that the target reads; 0: the newest */
    char *own_target;        /* of save, if it is not the configuration's */
    char *own_parent;
    struct stasis_notes *own_notes;
    uint64_t start_us; /* when it was asked for */

    _Atomic bool cancelled, told, finished;
    _Atomic uint64_t done, total;

    /* Of the thread; to be read once it has ended. */
    bool paused; /* all vCPUs stood still */
    int rc;
    struct stasis_error err;
    struct stasis_save_stats stats;
    struct stasis_freeze_times times;
    uint8_t root[STASIS_DIGEST_SIZE]; /* of the file */
    bool is_layer;
    char lies_on[256];         /* what, for messages; may be cut */
    const char *whole_because; /* why one that was to be a layer, if it can be, is none */
    char *dropped;             /* what an older release does not know, line by line, or NULL */
    size_t dropped_len;
};

/* Starts the thread, or says why it cannot be. The job is the VM's from here on. */
STASIS_MUST_CHECK int stasis_vmm_job_start(struct stasis_vmm_job *job, struct stasis_error *err);
/* Waits for the thread. */
void stasis_vmm_job_join(struct stasis_vmm_job *job);
/* Closes its file, if that is its own. */
void stasis_vmm_job_close(struct stasis_vmm_job *job);
/* NULL is fine. */
void stasis_vmm_job_free(struct stasis_vmm_job *job);

/* ---- vmm_layers.c: what a layer lies on; on the thread that saves, but for the first ---- */

/* The guest was thawed from this snapshot, which is the VM's from here on. */
void stasis_vmm_base_thawed(struct stasis_vmm *vmm, struct stasis_snap *snap);
/* Before a guest that was thawed from this snapshot runs: fails if the configuration's snapshot
 * must be a layer, and can never be one, as far as the files tell. `output` (may be NULL) is its.
 * STASIS_ERR_ARG. */
STASIS_MUST_CHECK int stasis_vmm_base_check_thawed(const struct stasis_vmm_config *config,
                                                   const struct stasis_snap *snap,
                                                   const struct stasis_output *output,
                                                   struct stasis_error *err);
/* While nothing is changed yet: fails if the snapshot must be a layer, and cannot be one.
 * STASIS_ERR_STATE; STASIS_ERR_EXISTS: it would take the name of what it lies on. */
STASIS_MUST_CHECK int stasis_vmm_base_check(struct stasis_vmm_job *job, struct stasis_error *err);
/* Before the file is written: has `snap` be a layer, if it can and shall be; else says why not in
 * job->whole_because, or fails if it must be one. STASIS_ERR_STATE. */
STASIS_MUST_CHECK int stasis_vmm_base_prepare(struct stasis_vmm_job *job, struct stasis_snap *snap,
                                              struct stasis_error *err);
/* The file was refused: the layer would take the name of what it lies on (STASIS_ERR_EXISTS), or
 * lie on too many files (STASIS_ERR_FULL). Makes a whole snapshot of it, unless it must be a layer:
 * false. */
bool stasis_vmm_base_give_up(struct stasis_vmm_job *job, struct stasis_snap *snap, int why);
/* Whether the file that is written can be what the next one lies on. */
bool stasis_vmm_base_wanted(const struct stasis_vmm_job *job);
/* The file is there, and is the VM's; before the guest runs on. */
void stasis_vmm_base_saved(struct stasis_vmm_job *job, struct stasis_snap *saved);

#endif
