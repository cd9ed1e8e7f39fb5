/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/exits.h"

#include <inttypes.h>

#include "vmm/arch/arch.h"
#include "vmm/machine/machine.h"

/* Ends the guest if the memory at `host` (NULL: any) is lost with the file it comes from. */
static bool end_if_ram_is_lost(struct stasis_machine *machine, const void *host)
{
    struct stasis_error err;

    if (!machine->ram_ops || !machine->ram_ops->is_lost(machine->ram_ctx, host, &err))
        return false;
    stasis_machine_shutdown(machine, STASIS_EXIT_CRASHED, &err);
    return true;
}

/* An access to RAM that comes out as MMIO: the host could not provide the page, as behind the end
 * of a mapped file that was cut (seen with PVM; other hosts fail with EFAULT). */
static bool is_hole_in_ram(struct stasis_machine *machine, uint64_t gpa)
{
    const void *host = stasis_memory_at(&machine->memory, gpa, 1);
    struct stasis_error err;

    if (!host)
        return false;
    if (!end_if_ram_is_lost(machine, host)) {
        (void)stasis_fail(&err, STASIS_ERR_GUEST,
                          "the guest died: the host has no memory for its RAM at 0x%" PRIx64, gpa);
        stasis_machine_shutdown(machine, STASIS_EXIT_CRASHED, &err);
    }
    return true;
}

static uint64_t on_mmio_read(void *ctx, uint64_t gpa, unsigned len)
{
    return is_hole_in_ram(ctx, gpa) ? 0 : stasis_bus_mmio_read(ctx, gpa, len);
}

static void on_mmio_write(void *ctx, uint64_t gpa, unsigned len, uint64_t value)
{
    if (!is_hole_in_ram(ctx, gpa))
        stasis_bus_mmio_write(ctx, gpa, len, value);
}

/* A guest whose memory was cut off with its file dies of whatever it meets first, its page tables
 * included. */
static void on_failed(void *ctx, struct stasis_vcpu *vcpu, const char *why, uint64_t detail)
{
    struct stasis_machine *machine = ctx;
    struct stasis_error error;
    char where[64];

    if (end_if_ram_is_lost(machine, NULL))
        return;
    stasis_arch_vcpu_describe(vcpu, where, sizeof(where));
    (void)stasis_fail(&error, STASIS_ERR_GUEST,
                      "the guest died: %s (detail 0x%" PRIx64 ") on vCPU %" PRIu32 "%s", why,
                      detail, vcpu->id, where);
    stasis_machine_shutdown(machine, STASIS_EXIT_CRASHED, &error);
}

static void on_resumes(void *ctx, struct stasis_vcpu *vcpu)
{
    (void)ctx;
    stasis_arch_vcpu_resumes(vcpu);
}

static void on_thread_failed(void *ctx, const struct stasis_error *err)
{
    stasis_machine_shutdown(ctx, STASIS_EXIT_CRASHED, err);
}

static int on_begins(void *ctx, struct stasis_error *err)
{
    const struct stasis_machine *machine = ctx;

    return machine->vcpu_begins ? machine->vcpu_begins(machine->begins_ctx, err) : 0;
}

static int on_io_begins(void *ctx, struct stasis_error *err)
{
    const struct stasis_machine *machine = ctx;

    return machine->io_begins ? machine->io_begins(machine->begins_ctx, err) : 0;
}

static bool on_may_run(void *ctx)
{
    return atomic_load(&((struct stasis_machine *)ctx)->end) == STASIS_EXIT_NONE;
}

const struct stasis_exit_ops stasis_machine_exit_ops = {
    .pio_read = stasis_bus_pio_read,
    .pio_write = stasis_bus_pio_write,
    .mmio_read = on_mmio_read,
    .mmio_write = on_mmio_write,
    .failed = on_failed,
    .may_run = on_may_run,
};

const struct stasis_vcpu_thread_ops stasis_machine_thread_ops = {
    .begins = on_begins,
    .may_run = on_may_run,
    .resumes = on_resumes,
    .failed = on_thread_failed,
};

const struct stasis_io_thread_ops stasis_machine_io_ops = {
    .begins = on_io_begins,
    .failed = on_thread_failed,
};
