/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The PL031 real-time clock (core/pl031.c) on a board.
 */
#include "stasis/pl031.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_pl031 dev;
};

static uint64_t pl031_now(void *ctx)
{
    const struct stasis_device_host *host = stasis_adapter_env(ctx)->host;

    return host->rtc_now_ns(host->ctx);
}

static void pl031_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    const struct instance *pl031 = ctx;
    const struct stasis_device_host *host = stasis_adapter_env(ctx)->host;

    host->rtc_arm(host->ctx, pl031->adapter.device, on, deadline_ns);
}

static const struct stasis_pl031_ops pl031_ops = {pl031_now, stasis_adapter_raise_irq, pl031_arm,
                                                  stasis_adapter_guest_error};

static void pl031_init(void *instance, const struct stasis_device *device)
{
    struct instance *pl031 = instance;

    pl031->adapter.device = device;
    stasis_pl031_init(&pl031->dev, &pl031_ops, pl031);
    stasis_pl031_set_time(&pl031->dev, pl031_now(pl031));
}

static uint64_t pl031_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_pl031_read(&((struct instance *)ctx)->dev, offset, len);
}

static void pl031_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    stasis_pl031_write(&((struct instance *)ctx)->dev, offset, len, (uint32_t)value);
}

static void pl031_save(const void *instance, void *ret_state)
{
    stasis_pl031_save(&((const struct instance *)instance)->dev, ret_state);
}

static int pl031_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_pl031_restore(&((struct instance *)instance)->dev, state, err);
}

static void pl031_post_restore(void *instance)
{
    stasis_pl031_apply_outputs(&((struct instance *)instance)->dev);
}

/* Its counter has a supply of its own. */
static int pl031_keep(void *instance, const void *state, struct stasis_error *err)
{
    struct instance *pl031 = instance;
    int rc = stasis_pl031_restore(&pl031->dev, state, err);

    if (!rc)
        stasis_pl031_reset(&pl031->dev);
    return rc;
}

static void pl031_advance(void *state, uint64_t ns)
{
    stasis_pl031_state_advance(state, ns);
}

static void pl031_alarm(void *instance)
{
    stasis_pl031_alarm(&((struct instance *)instance)->dev);
}

const struct stasis_device_type stasis_device_pl031_type = {
    .schema = &stasis_pl031_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {pl031_read, pl031_write},
    .init = pl031_init,
    .save = pl031_save,
    .restore = pl031_restore,
    .post_restore = pl031_post_restore,
    .keep = pl031_keep,
    .advance = pl031_advance,
    .alarm = pl031_alarm,
};
