/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Descriptors that the VM watches for its owner.
 */
#include <stdlib.h>

#include "vmm/api/vmm_internal.h"

struct stasis_vmm_watch {
    struct stasis_loop_source source;
    struct stasis_vmm *vmm;
    uint32_t events;
    void (*ready)(void *ctx, uint32_t events);
    void *ctx;
    bool called;                   /* `ready` is being called */
    bool freed;                    /* by its owner */
    struct stasis_vmm_watch *next; /* in vmm->freed */
};

static int arm(struct stasis_vmm_watch *watch, struct stasis_error *err)
{
    return watch->events ? stasis_loop_arm(&watch->vmm->loop, &watch->source, watch->events, err)
                         : 0;
}

static void on_ready(void *ctx, uint32_t events)
{
    struct stasis_vmm_watch *watch = ctx;
    struct stasis_vmm *vmm = watch->vmm;

    stasis_vmm_lock(vmm);
    watch->called = true;
    if (watch->events)
        watch->ready(watch->ctx, events);
    watch->called = false;
    if (!watch->freed)
        (void)!arm(watch, NULL); /* as it was armed before */
    stasis_vmm_settle(vmm);
    stasis_vmm_unlock(vmm);
}

int stasis_vmm_watch_new(struct stasis_vmm *vmm, int fd, uint32_t events,
                         void (*ready)(void *ctx, uint32_t events), void *ctx,
                         struct stasis_vmm_watch **ret_watch, struct stasis_error *err)
{
    struct stasis_vmm_watch *watch = calloc(1, sizeof(*watch));
    int rc;

    if (!watch)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to watch a descriptor");
    *watch = (struct stasis_vmm_watch){.source = {.fd = fd, .ready = on_ready, .ctx = watch},
                                       .vmm = vmm,
                                       .events = events,
                                       .ready = ready,
                                       .ctx = ctx};
    stasis_vmm_lock(vmm);
    rc = arm(watch, err);
    stasis_vmm_unlock(vmm);
    if (rc)
        free(watch);
    else
        *ret_watch = watch;
    return rc;
}

/* What was armed for other events, and is for none now, is silent when it is reported. */
int stasis_vmm_watch_set(struct stasis_vmm_watch *watch, uint32_t events, struct stasis_error *err)
{
    struct stasis_vmm *vmm = watch->vmm;
    int rc;

    stasis_vmm_lock(vmm);
    watch->events = events;
    rc = watch->called ? 0 : arm(watch, err);
    stasis_vmm_unlock(vmm);
    return rc;
}

/* The loop's thread may have taken its report already, and wait for the lock: only that thread
 * knows when it has it no more. */
void stasis_vmm_watch_free(struct stasis_vmm_watch *watch)
{
    struct stasis_vmm *vmm;

    if (!watch)
        return;
    vmm = watch->vmm;
    stasis_vmm_lock(vmm);
    stasis_loop_remove(&vmm->loop, &watch->source);
    watch->freed = true;
    watch->events = 0;
    watch->next = vmm->freed;
    vmm->freed = watch;
    stasis_vmm_wake(vmm);
    stasis_vmm_unlock(vmm);
}

void stasis_vmm_watches_reap(struct stasis_vmm *vmm)
{
    struct stasis_vmm_watch *watch;

    while (vmm->freed) {
        watch = vmm->freed;
        vmm->freed = watch->next;
        free(watch);
    }
}
