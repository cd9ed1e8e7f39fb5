/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/virtio.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/guest_ram.h"
#include "tools/inspect.h"

/* Where the registers are in the state of each kind of device: all of the same rows; and what the
 * specification calls its queues. Reports come by each of a balloon's others (docs/devices.md). */
static const struct {
    const struct stasis_schema *schema;
    size_t mmio;
    const char *queues[5];
} kinds[] = {
    {&stasis_virtio_balloon_schema,
     offsetof(struct stasis_virtio_balloon_state, mmio),
     {"inflateq", "deflateq", "reporting_vq 2", "reporting_vq 3", "reporting_vq 4"}},
    {&stasis_virtio_blk_schema, offsetof(struct stasis_virtio_blk_state, mmio), {"requestq"}},
    {&stasis_virtio_net_schema,
     offsetof(struct stasis_virtio_net_state, mmio),
     {"receiveq", "transmitq"}},
    {&stasis_virtio_vsock_schema,
     offsetof(struct stasis_virtio_vsock_state, mmio),
     {"rx", "tx", "event"}},
    {&stasis_virtio_rng_schema, offsetof(struct stasis_virtio_rng_state, mmio), {"requestq"}},
};

const char *stasis_inspect_virtio_queue(const char *type, uint64_t number)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (!strcmp(kinds[i].schema->type, type))
            return number < sizeof(kinds[i].queues) / sizeof(kinds[i].queues[0])
                       ? kinds[i].queues[number]
                       : NULL;
    return NULL;
}

const char *stasis_inspect_virtio_queue_of(const char *type, const char *path,
                                           const char **ret_rest)
{
    static const char queues[] = STASIS_INSPECT_VIRTIO_QUEUES;
    char *rest = NULL;

    if (strncmp(path, queues, sizeof(queues) - 1) != 0)
        return NULL;
    type = stasis_inspect_virtio_queue(type, strtoull(path + sizeof(queues) - 1, &rest, 10));
    *ret_rest = rest;
    return type;
}

/* ---- a line ---- */

static const char *progress_of(unsigned status)
{
    if (status & STASIS_VIRTIO_NEEDS_RESET)
        return "needs a reset";
    if (status & STASIS_VIRTIO_FAILED)
        return "given up by the driver";
    if (status & STASIS_VIRTIO_DRIVER_OK)
        return "in use";
    return status ? "being set up" : "not used";
}

void stasis_inspect_virtio_print(FILE *out, const struct stasis_schema *schema,
                                 const struct stasis_virtio_mmio_state *mmio)
{
    fprintf(out, "status 0x%02x (%s)", mmio->status, progress_of(mmio->status));
    for (uint32_t i = 0; i < mmio->queues_count; i++) {
        const struct stasis_virtio_queue_state *queue = &mmio->queues[i];
        const char *name = stasis_inspect_virtio_queue(schema->type, i);

        if (queue->ready)
            fprintf(out, ", %s of %u: taken %u, given back %u", name ? name : "a queue",
                    queue->size, queue->next_avail, queue->next_used);
    }
    if (mmio->interrupt_status)
        fputs(", interrupt pending", out);
    fputc('\n', out);
}

/* ---- all devices ---- */

typedef void device_fn(void *ctx, const struct stasis_record *record,
                       const struct stasis_virtio_mmio_state *regs);

static int each_of_kind(const struct stasis_records *records, size_t kind, device_fn *fn, void *ctx,
                        struct stasis_error *err)
{
    uint8_t *state = malloc(kinds[kind].schema->size);

    if (!state)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the state of a device");
    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);
        struct stasis_virtio_mmio_state regs;

        if (record.schema != kinds[kind].schema ||
            stasis_records_get(records, record.schema, record.instance, state, NULL))
            continue;
        memcpy(&regs, state + kinds[kind].mmio, sizeof(regs));
        fn(ctx, &record, &regs);
    }
    free(state);
    return 0;
}

static int each_device(const struct stasis_records *records, device_fn *fn, void *ctx,
                       struct stasis_error *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        rc = each_of_kind(records, i, fn, ctx, err);
    return rc;
}

/* ---- the rings ---- */

static bool has(void *ctx, uint64_t gpa, uint64_t len)
{
    const struct stasis_inspect_ram *ram = ctx;

    return stasis_inspect_ram_extent(ram->snap, gpa, len) == len;
}

static bool read16(void *ctx, uint64_t gpa, uint16_t *ret_value)
{
    uint8_t bytes[2];

    if (stasis_inspect_ram_read(ctx, gpa, bytes, sizeof(bytes), NULL))
        return false;
    *ret_value = (uint16_t)(bytes[0] | bytes[1] << 8);
    return true;
}

struct report {
    FILE *out;
    struct stasis_inspect_ram *ram;
};

static void report(void *ctx, const struct stasis_record *record,
                   const struct stasis_virtio_mmio_state *regs)
{
    const struct report *report = ctx;
    const struct stasis_virtio_ram guest = {has, read16, report->ram};
    struct stasis_error why;

    if (!stasis_virtio_check_rings(regs, &guest, &why))
        return;
    fputs("impossible state: ", report->out);
    stasis_inspect_put_record(report->out, record);
    fprintf(report->out, ": %s; vmm refuses the guest\n", why.msg);
}

int stasis_inspect_virtio_report(FILE *out, struct stasis_snap *snap, struct stasis_error *err)
{
    struct stasis_inspect_ram ram = {0};
    struct report ctx = {out, &ram};
    int rc = stasis_inspect_ram_init(&ram, snap, err);

    if (!rc)
        rc = each_device(stasis_snap_records(snap), report, &ctx, err);
    stasis_inspect_ram_fini(&ram);
    return rc;
}

/* ---- JSON ---- */

static void put_device(void *ctx, const struct stasis_record *record,
                       const struct stasis_virtio_mmio_state *regs)
{
    struct stasis_json *json = ctx;

    stasis_json_object_begin(json);
    stasis_json_key(json, "type");
    stasis_json_str(json, record->type);
    stasis_json_key(json, "instance");
    stasis_json_str(json, record->instance);
    stasis_json_key(json, "queues");
    stasis_json_array_begin(json);
    for (uint32_t i = 0; i < regs->queues_count; i++) {
        const char *name = stasis_inspect_virtio_queue(record->type, i);

        stasis_json_str(json, name ? name : "");
    }
    stasis_json_array_end(json);
    stasis_json_object_end(json);
}

int stasis_inspect_virtio_json(struct stasis_json *json, const struct stasis_records *records,
                               struct stasis_error *err)
{
    int rc;

    stasis_json_array_begin(json);
    rc = each_device(records, put_device, json, err);
    stasis_json_array_end(json);
    return rc;
}
