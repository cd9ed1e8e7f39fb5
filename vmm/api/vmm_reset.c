/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A reset of the machine that the VM outlives (on_reset): a new machine in place of the old one,
 * with the guest of the configuration loaded into it. Outputs, disks, clients and the event loop
 * are not the guest's, and stay.
 */
#include <string.h>

#include "vmm/api/vmm_internal.h"

bool stasis_vmm_is_reset(const struct stasis_vmm *vmm)
{
    return vmm->config->on_reset == STASIS_VMM_ON_RESET_REBOOT &&
           atomic_load(&vmm->machine.end) == STASIS_EXIT_RESET;
}

/* What the old guest was to be told, or has yet to say; its vCPUs stand still, and add nothing. */
static void leave_devices(struct stasis_vmm *vmm)
{
    pthread_mutex_lock(&vmm->machine.lock);
    stasis_device_serial_drain(stasis_vmm_console_port(vmm));
    stasis_vmm_vsock_guest_gone(vmm);
    memset(vmm->wait_until_ns, 0, sizeof(vmm->wait_until_ns));
    vmm->rtc = NULL;
    pthread_mutex_unlock(&vmm->machine.lock);
}

/* A text of on_output that another vCPU printed meanwhile, or that only came out now, is the old
 * guest's: that one cannot be frozen any more. */
static void give_up_match(struct stasis_vmm *vmm)
{
    if (!atomic_exchange(&vmm->matched, false))
        return;
    vmm->save_code = STASIS_ERR_NO_SNAPSHOT;
    stasis_vmm_say(vmm,
                   "no snapshot was written to %s: the guest was reset before it could be frozen",
                   vmm->config->snapshot.path);
}

static int start_again(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc = stasis_vmm_load_guest(vmm, STASIS_DEVICE_RESET, err);

    if (!rc)
        rc = stasis_vmm_sources_watch_end(vmm, err);
    if (!rc && vmm->paused)
        stasis_machine_pause(&vmm->machine);
    if (!rc)
        rc = stasis_machine_start(&vmm->machine, err);
    if (!rc)
        stasis_vmm_net_release(vmm);
    return rc;
}

static int reset(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    stasis_vmm_sources_unwatch_end(vmm);
    stasis_machine_pause(&vmm->machine);
    leave_devices(vmm);
    give_up_match(vmm);
    rc = stasis_machine_reset(&vmm->machine, err);
    vmm->machine_ready = !rc;
    return rc ? rc : start_again(vmm, err);
}

/* The guest cannot go on. */
static void fail(struct stasis_vmm *vmm, int rc, struct stasis_error *err)
{
    (void)stasis_wrap(err, rc, "cannot reset the machine");
    vmm->machine.end_error = *err;
    atomic_store(&vmm->machine.end, STASIS_EXIT_CRASHED);
    stasis_vmm_stop_soon(vmm);
}

void stasis_vmm_carry_out_reset(struct stasis_vmm *vmm)
{
    struct stasis_error err;
    int rc;

    vmm->reset = false;
    rc = reset(vmm, &err);
    if (rc) {
        fail(vmm, rc, &err);
        return;
    }
    stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_RESET});
    stasis_vmm_wake(vmm); /* commands wait for the loop */
}
