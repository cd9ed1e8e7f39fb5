/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is asked for while the guest runs, by keys, by stasis_vmm_freeze() and by the configuration:
 * collected in one queue and run from it in order, so that nothing is lost that comes while a
 * snapshot is saved.
 */
#include "vmm/api/vmm_internal.h"

bool stasis_vmm_take_keys(struct stasis_vmm *vmm)
{
    uint8_t none;
    size_t len;

    /* No room: keys wait, in the type-ahead, for a guest that listens again. */
    return vmm->has_input && vmm->input.is_terminal &&
           stasis_keys_read(&vmm->input, &none, 0, &len, &vmm->commands);
}

static void run_command(struct stasis_vmm *vmm, enum stasis_keys_command command)
{
    switch (command) {
    case STASIS_KEYS_HELP:
        stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_KEYS,
                                                        .text = stasis_keys_help});
        break;
    case STASIS_KEYS_SNAPSHOT:
        stasis_vmm_begin_freeze(vmm);
        break;
    case STASIS_KEYS_QUIT:
        vmm->quit = true;
        vmm->commands.len = 0;
        stasis_vmm_stop_soon(vmm);
        break;
    case STASIS_KEYS_CANCEL: /* nothing is under way */
    case STASIS_KEYS_NONE:
        break;
    }
}

/* The end of the guest leaves a snapshot in the queue. */
static bool may_run(const struct stasis_vmm *vmm)
{
    return vmm->started && !vmm->stopping && !vmm->job &&
           atomic_load(&vmm->machine.end) == STASIS_EXIT_NONE;
}

void stasis_vmm_run_commands(struct stasis_vmm *vmm)
{
    if (stasis_vmm_is_saving(vmm) && stasis_keys_queue_remove(&vmm->commands, STASIS_KEYS_CANCEL))
        atomic_store(&vmm->job->cancelled, true);
    while (vmm->commands.len && may_run(vmm))
        run_command(vmm, stasis_keys_queue_take(&vmm->commands));
}
