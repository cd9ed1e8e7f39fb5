/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/guest_access.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/base/counter.h"

static const struct {
    const char *word, *text;
} errors[] = {
#define STASIS_GUEST_ERROR(name, word, text) [STASIS_GUEST_ERROR_##name] = {#word, text},
#include "stasis/guest_errors.def"
#undef STASIS_GUEST_ERROR
};

/* Of the access that is being handled, or of none: a device has looked at its queues when its time
 * came. Under the lock. */
static void report(struct stasis_machine *machine, const struct stasis_device *device,
                   enum stasis_guest_error error)
{
    const struct stasis_device_host *host = machine->device_env.host;

    stasis_counter_add(&machine->guest_errors[error], 1);
    if (!machine->in_access)
        machine->access = (struct stasis_guest_access){0};
    machine->access.error = error;
    machine->access.device = device;
    if (host->guest_error)
        host->guest_error(host->ctx, &machine->access);
}

static void on_guest_error(void *ctx, const struct stasis_device *from,
                           enum stasis_guest_error error)
{
    report(ctx, from, error);
}

static void on_unhandled_port(void *ctx)
{
    report(ctx, NULL, STASIS_GUEST_ERROR_UNHANDLED_PORT);
}

static void on_unhandled_mmio(void *ctx)
{
    report(ctx, NULL, STASIS_GUEST_ERROR_UNHANDLED_MMIO);
}

void stasis_guest_access_connect(struct stasis_machine *machine)
{
    machine->device_env.guest_error = on_guest_error;
    machine->pio.unhandled = on_unhandled_port;
    machine->mmio.unhandled = on_unhandled_mmio;
    machine->pio.ctx = machine->mmio.ctx = machine;
}

const char *stasis_guest_error_word(enum stasis_guest_error error)
{
    return errors[error].word;
}

void stasis_guest_access_describe(const struct stasis_guest_access *access, char *buf, size_t size)
{
    const char *where = access->is_mmio ? "address" : "port";
    const char *device = access->device ? access->device->row->instance : "";
    const char *plural = access->len == 1 ? "" : "s";
    char what[64];

    if (!access->len) {
        snprintf(buf, size, "device %s: %s", device, errors[access->error].text);
        return;
    }
    if (access->is_write)
        snprintf(what, sizeof(what), "write of 0x%" PRIx64 " (%u byte%s) to", access->value,
                 access->len, plural);
    else
        snprintf(what, sizeof(what), "read of %u byte%s from", access->len, plural);
    snprintf(buf, size, "%s %s 0x%" PRIx64 "%s%s: %s", what, where, access->address,
             *device ? " of " : "", device, errors[access->error].text);
}
