/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What becomes of the guest's invalid accesses, which the machine has counted: nothing, a message
 * and an event, or the end. They come on the threads of vCPUs, under the machine's lock, as often
 * as the guest likes: the few that are to be told go to a queue, and the loop tells them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"
#include "vmm/base/counter.h"
#include "vmm/machine/guest_access.h"

static bool concerns(const struct stasis_vmm *vmm, const struct stasis_guest_access *access)
{
    return vmm->config->guest_errors.of == STASIS_VMM_GUEST_ERRORS_OF_ALL || access->device;
}

static bool may_be_told(struct stasis_vmm_alarms *alarms)
{
    if (alarms->count == STASIS_VMM_GUEST_ERRORS_RATE ||
        !stasis_bucket_fill(&alarms->bucket, stasis_monotonic_ns(), 1))
        return false;
    alarms->bucket.tokens--;
    return true;
}

static void note(void *ctx, const struct stasis_guest_access *access)
{
    struct stasis_vmm *vmm = ctx;
    struct stasis_vmm_alarms *alarms = &vmm->alarms;

    if (!concerns(vmm, access))
        return;
    if (!may_be_told(alarms)) {
        alarms->suppressed++;
        stasis_counter_add(&vmm->metrics.guest_errors_suppressed, 1);
        return;
    }
    alarms->queue[alarms->count].access = *access;
    alarms->queue[alarms->count++].suppressed = alarms->suppressed;
    alarms->suppressed = 0;
    stasis_counter_add(&vmm->metrics.guest_errors_told, 1);
    stasis_vmm_wake(vmm);
}

/* The vCPU does not enter the guest again; the loop stops the others. */
static void bar(void *ctx, const struct stasis_guest_access *access)
{
    struct stasis_vmm *vmm = ctx;
    struct stasis_error error;
    char text[256];

    if (!concerns(vmm, access))
        return;
    stasis_guest_access_describe(access, text, sizeof(text));
    (void)stasis_fail(&error, STASIS_ERR_GUEST_ACCESS,
                      "the guest was stopped for an invalid access: %s", text);
    stasis_machine_shutdown(&vmm->machine, STASIS_EXIT_INVALID_ACCESS, &error);
}

void stasis_vmm_guest_errors_init(struct stasis_vmm *vmm)
{
    static void (*const actions[])(void *ctx, const struct stasis_guest_access *access) = {
        [STASIS_VMM_GUEST_ERROR_COUNT] = NULL,
        [STASIS_VMM_GUEST_ERROR_EVENT] = note,
        [STASIS_VMM_GUEST_ERROR_STOP] = bar,
    };

    vmm->host.guest_error = actions[vmm->config->guest_errors.action];
    vmm->alarms.bucket = (struct stasis_bucket){.rate = STASIS_VMM_GUEST_ERRORS_RATE,
                                                .tokens = STASIS_VMM_GUEST_ERRORS_RATE,
                                                .last_ns = stasis_monotonic_ns()};
}

/* ---- the loop ---- */

static void tell(struct stasis_vmm *vmm, const struct stasis_guest_access *access,
                 uint64_t suppressed)
{
    char more[64] = "";
    char text[256];
    const struct stasis_vmm_guest_error error = {
        .kind = stasis_guest_error_word(access->error),
        .device = access->device ? access->device->row->instance : NULL,
        .text = text,
        .address = access->address,
        .value = access->value,
        .len = access->len,
        .is_mmio = access->is_mmio,
        .is_write = access->is_write,
        .suppressed = suppressed,
    };

    stasis_guest_access_describe(access, text, sizeof(text));
    if (suppressed)
        snprintf(more, sizeof(more), " (and %" PRIu64 " before it that are not shown)", suppressed);
    stasis_vmm_say(vmm, "invalid access of the guest: %s%s", text, more);
    stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_GUEST_ERROR,
                                                    .guest_error = &error});
}

void stasis_vmm_guest_errors_tell(struct stasis_vmm *vmm, bool at_end)
{
    struct stasis_vmm_alarms taken;

    pthread_mutex_lock(&vmm->machine.lock);
    taken = vmm->alarms;
    vmm->alarms.count = 0;
    if (at_end)
        vmm->alarms.suppressed = 0;
    pthread_mutex_unlock(&vmm->machine.lock);
    for (unsigned i = 0; i < taken.count; i++)
        tell(vmm, &taken.queue[i].access, taken.queue[i].suppressed);
    if (at_end && taken.suppressed)
        stasis_vmm_say(vmm, "invalid accesses of the guest: %" PRIu64 " more that are not shown",
                       taken.suppressed);
}
