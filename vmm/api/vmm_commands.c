/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is asked for while the guest runs, by keys, by the client and by the configuration:
 * collected in one queue and run from it in order, so that nothing is lost that comes while a
 * snapshot is saved.
 */
#include "vmm/api/vmm_internal.h"

static void take_keys(struct stasis_vmm *vmm)
{
    uint8_t none;
    size_t len;

    /* No room: keys wait, in the type-ahead, for a guest that listens again. */
    if (vmm->has_input && vmm->input.is_terminal)
        (void)!stasis_keys_read(&vmm->input, &none, 0, &len, &vmm->commands);
}

static void take_request(struct stasis_vmm *vmm, enum stasis_vmm_request request)
{
    switch (request) {
    case STASIS_VMM_FREEZE:
        stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
        break;
    case STASIS_VMM_CANCEL:
        stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_CANCEL);
        break;
    case STASIS_VMM_END:
        vmm->ended = true;
        stasis_loop_stop(&vmm->loop);
        break;
    case STASIS_VMM_NO_REQUEST:
        break;
    }
}

void stasis_vmm_take_requests(struct stasis_vmm *vmm)
{
    const struct stasis_vmm_client *client = vmm->client;
    enum stasis_vmm_request request;

    while (!vmm->ended && (request = client->request(client->ctx, vmm->saving)))
        take_request(vmm, request);
}

void stasis_vmm_take_all(struct stasis_vmm *vmm)
{
    take_keys(vmm);
    stasis_vmm_take_requests(vmm);
}

bool stasis_vmm_may_save_on(struct stasis_vmm *vmm)
{
    stasis_vmm_take_all(vmm);
    return !vmm->ended && !stasis_keys_queue_remove(&vmm->commands, STASIS_KEYS_CANCEL);
}

static void run_command(struct stasis_vmm *vmm, enum stasis_keys_command command)
{
    switch (command) {
    case STASIS_KEYS_HELP:
        vmm->client->show_keys(vmm->client->ctx);
        break;
    case STASIS_KEYS_SNAPSHOT:
        stasis_vmm_freeze(vmm);
        break;
    case STASIS_KEYS_QUIT:
        vmm->quit = true;
        vmm->commands.len = 0;
        stasis_loop_stop(&vmm->loop);
        break;
    case STASIS_KEYS_CANCEL: /* nothing is under way */
    case STASIS_KEYS_NONE:
        break;
    }
}

/* A save adds to the queue while it runs. The end of the guest leaves a snapshot in it. */
void stasis_vmm_run_commands(struct stasis_vmm *vmm)
{
    while (vmm->commands.len && !vmm->ended && atomic_load(&vmm->machine.end) == STASIS_EXIT_NONE)
        run_command(vmm, stasis_keys_queue_take(&vmm->commands));
}
