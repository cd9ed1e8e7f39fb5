/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio balloon device's configuration, reset, and state.
 */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "balloon_internal.h"

#define ID_BALLOON 5u
#define QUEUE_SIZE 128u

/* struct virtio_balloon_config (5.5.4). */
enum {
    NUM_PAGES = 0,
    ACTUAL = 4,
    POISON_VAL = 12, /* with PAGE_POISON */
    CONFIG_LEN = 16,
    CONFIG_LEN_ALONE = 8, /* without */
};

#define REPORTING (STASIS_VIRTIO_BALLOON_F_PAGE_POISON | STASIS_VIRTIO_BALLOON_F_PAGE_REPORTING)

static void put32(struct stasis_virtio_balloon *balloon, unsigned offset, uint32_t value)
{
    value = htole32(value);
    memcpy(balloon->config + offset, &value, sizeof(value));
}

static void make_config(struct stasis_virtio_balloon *balloon)
{
    put32(balloon, NUM_PAGES, balloon->num_pages);
    put32(balloon, ACTUAL, balloon->actual);
    put32(balloon, POISON_VAL, balloon->poison_val);
}

static bool write_config(void *device, uint64_t at, uint32_t value)
{
    struct stasis_virtio_balloon *balloon = device;

    if (at == ACTUAL)
        balloon->actual = value;
    else if (at == POISON_VAL)
        balloon->poison_val = value;
    else
        return false;
    make_config(balloon);
    return true;
}

/* The balloon of the next driver is empty. What the host asks for stays. */
static void reset(void *device)
{
    struct stasis_virtio_balloon *balloon = device;

    balloon->actual = balloon->poison_val = 0;
    memset(balloon->done, 0, sizeof(balloon->done));
    make_config(balloon);
}

static void stopped(void *device, unsigned queue)
{
    ((struct stasis_virtio_balloon *)device)->done[queue] = 0;
}

void stasis_virtio_balloon_init(struct stasis_virtio_balloon *balloon,
                                const struct stasis_virtio_host *host, bool reports,
                                const struct stasis_virtio_balloon_ops *ops, void *ctx)
{
    assert(ops->discard && ops->wake);
    *balloon = (struct stasis_virtio_balloon){.ops = ops, .ctx = ctx};
    balloon->kind = (struct stasis_virtio_kind){
        .device_id = ID_BALLOON,
        .features = STASIS_VIRTIO_BALLOON_F_DEFLATE_ON_OOM | (reports ? REPORTING : 0),
        .queue_count = reports ? STASIS_VIRTIO_BALLOON_QUEUES : STASIS_VIRTIO_BALLOON_REPORT,
        .queue_size = QUEUE_SIZE,
        .config = balloon->config,
        .config_len = reports ? CONFIG_LEN : CONFIG_LEN_ALONE,
        .write_config = write_config,
        .notify = stasis_virtio_balloon_notify,
        .reset = reset,
        .stopped = stopped};
    stasis_virtio_mmio_init(&balloon->mmio, &balloon->kind, balloon, host);
}

void stasis_virtio_balloon_ask(struct stasis_virtio_balloon *balloon, uint32_t num_pages)
{
    if (num_pages == balloon->num_pages)
        return;
    balloon->num_pages = num_pages;
    make_config(balloon);
    stasis_virtio_mmio_config_changed(&balloon->mmio);
}

/* ---- save and restore ---- */

void stasis_virtio_balloon_save(const struct stasis_virtio_balloon *balloon,
                                struct stasis_virtio_balloon_state *ret_state)
{
    struct stasis_virtio_mmio_state regs;

    stasis_state_init(&stasis_virtio_balloon_schema, ret_state);
    stasis_virtio_mmio_save(&balloon->mmio, &regs);
    memcpy(&ret_state->mmio, &regs, sizeof(regs));
    ret_state->num_pages = balloon->num_pages;
    ret_state->actual = balloon->actual;
    ret_state->poison_val = balloon->poison_val;
}

static bool has_reports(const struct stasis_virtio_balloon_state *state)
{
    return state->mmio.device_features & STASIS_VIRTIO_BALLOON_F_PAGE_REPORTING;
}

int stasis_virtio_balloon_restore(struct stasis_virtio_balloon *balloon,
                                  const struct stasis_virtio_balloon_state *state,
                                  struct stasis_error *err)
{
    const struct stasis_virtio_host host = balloon->mmio.host;
    struct stasis_virtio_balloon other;
    struct stasis_virtio_mmio_state regs;
    int rc = stasis_state_check(&stasis_virtio_balloon_schema, state, err);

    if (rc)
        return rc;
    stasis_virtio_balloon_init(&other, &host, has_reports(state), balloon->ops, balloon->ctx);
    memcpy(&regs, &state->mmio, sizeof(regs));
    rc = stasis_virtio_mmio_restore(&other.mmio, &regs, err);
    if (rc)
        return rc;
    other.num_pages = state->num_pages;
    other.actual = state->actual;
    other.poison_val = state->poison_val;
    make_config(&other);
    *balloon = other;
    balloon->kind.config = balloon->config;
    balloon->mmio.kind = &balloon->kind;
    balloon->mmio.device = balloon;
    return 0;
}

void stasis_virtio_balloon_apply_outputs(struct stasis_virtio_balloon *balloon)
{
    bool is_used = false;

    stasis_virtio_mmio_apply_outputs(&balloon->mmio);
    for (unsigned i = 0; i < balloon->kind.queue_count; i++)
        is_used |= stasis_virtio_mmio_is_active(&balloon->mmio, i);
    if (is_used)
        balloon->ops->wake(balloon->ctx);
}
