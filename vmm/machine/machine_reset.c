/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A reset of the whole machine. It is made anew rather than set back: nothing that the guest or KVM
 * may have left in a vCPU, a chip or a device is there any more.
 */
#include "vmm/machine/machine.h"

/* What is the owner's, not the guest's. */
static void take_over(struct stasis_machine *machine, const struct stasis_machine *before)
{
    machine->vcpu_begins = before->vcpu_begins;
    machine->io_begins = before->io_begins;
    machine->begins_ctx = before->begins_ctx;
    machine->kick_signal = before->kick_signal;
    machine->pause_limit_ms = before->pause_limit_ms;
    machine->end_limit_ms = before->end_limit_ms;
}

static int keep_devices(struct stasis_machine *machine, struct stasis_devices_kept *ret_kept,
                        struct stasis_error *err)
{
    int rc;

    stasis_machine_pause(machine);
    pthread_mutex_lock(&machine->lock);
    rc = stasis_devices_keep(&machine->devices, ret_kept, err);
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

static int build_again(struct stasis_machine *machine, const struct stasis_kvm *kvm,
                       const struct stasis_devices_kept *kept, struct stasis_error *err)
{
    const struct stasis_board_state board = machine->board;
    const struct stasis_device_host *host = machine->device_env.host;
    const struct stasis_machine before = *machine;
    const struct stasis_device *left;
    struct stasis_kvm taken = *kvm;
    uint32_t at = 0;
    int rc;

    stasis_machine_fini(machine);
    left = stasis_devices_left(&machine->devices, &at);
    if (left) {
        stasis_kvm_close(&taken);
        return stasis_fail(err, STASIS_ERR_IO,
                           "device %s does not answer what the old guest asked of it; check the "
                           "host's disk",
                           left->row->instance);
    }
    rc = stasis_machine_build_on(machine, &taken, &board, host, err);
    if (rc)
        return rc;
    take_over(machine, &before);
    rc = stasis_devices_give_back(&machine->devices, kept, err);
    if (rc)
        stasis_machine_fini(machine);
    return rc;
}

int stasis_machine_reset(struct stasis_machine *machine, struct stasis_error *err)
{
    struct stasis_devices_kept kept;
    struct stasis_error why;
    struct stasis_kvm kvm;
    int rc = keep_devices(machine, &kept, &why);

    if (!rc)
        rc = stasis_kvm_open_fd(machine->kvm.fd, &kvm, &why);
    if (rc)
        stasis_machine_fini(machine);
    else
        rc = build_again(machine, &kvm, &kept, &why);
    stasis_devices_kept_fini(&kept);
    if (!rc)
        return 0;
    if (!machine->is_left)
        pthread_mutex_init(&machine->lock, NULL);
    machine->end_error = why;
    atomic_store(&machine->end_claimed, true);
    atomic_store(&machine->end, STASIS_EXIT_CRASHED);
    if (err)
        *err = why;
    return rc;
}
