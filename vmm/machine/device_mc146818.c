/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The MC146818 clock of a PC (core/mc146818.c) on a board.
 */
#include "stasis/mc146818.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_mc146818 dev;
};

static uint64_t mc146818_now(void *ctx)
{
    const struct stasis_device_host *host = stasis_adapter_env(ctx)->host;

    return host->rtc_now_ns(host->ctx);
}

static void mc146818_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    const struct instance *rtc = ctx;
    const struct stasis_device_host *host = stasis_adapter_env(ctx)->host;

    host->rtc_arm(host->ctx, rtc->adapter.device, on, deadline_ns);
}

static const struct stasis_mc146818_ops mc146818_ops = {mc146818_now, stasis_adapter_raise_irq,
                                                        mc146818_arm, stasis_adapter_guest_error};

static void mc146818_init(void *instance, const struct stasis_device *device)
{
    struct instance *rtc = instance;

    rtc->adapter.device = device;
    stasis_mc146818_init(&rtc->dev, &mc146818_ops, rtc);
    stasis_mc146818_set_time(&rtc->dev, mc146818_now(rtc));
}

static uint64_t mc146818_read(void *ctx, uint64_t offset, unsigned len)
{
    struct instance *rtc = ctx;
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)stasis_mc146818_read(&rtc->dev, offset + i) << 8 * i;
    return value;
}

static void mc146818_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *rtc = ctx;

    for (unsigned i = 0; i < len; i++)
        stasis_mc146818_write(&rtc->dev, offset + i, (uint8_t)(value >> 8 * i));
}

static void mc146818_save(const void *instance, void *ret_state)
{
    stasis_mc146818_save(&((const struct instance *)instance)->dev, ret_state);
}

static int mc146818_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_mc146818_restore(&((struct instance *)instance)->dev, state, err);
}

static void mc146818_post_restore(void *instance)
{
    stasis_mc146818_apply_outputs(&((struct instance *)instance)->dev);
}

/* It has a battery. */
static int mc146818_keep(void *instance, const void *state, struct stasis_error *err)
{
    struct instance *rtc = instance;
    int rc = stasis_mc146818_restore(&rtc->dev, state, err);

    if (!rc)
        stasis_mc146818_reset(&rtc->dev);
    return rc;
}

static void mc146818_advance(void *state, uint64_t ns)
{
    stasis_mc146818_state_advance(state, ns);
}

static void mc146818_alarm(void *instance)
{
    stasis_mc146818_alarm(&((struct instance *)instance)->dev);
}

const struct stasis_device_type stasis_device_mc146818_type = {
    .schema = &stasis_mc146818_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {mc146818_read, mc146818_write},
    .init = mc146818_init,
    .save = mc146818_save,
    .restore = mc146818_restore,
    .post_restore = mc146818_post_restore,
    .keep = mc146818_keep,
    .advance = mc146818_advance,
    .alarm = mc146818_alarm,
};
