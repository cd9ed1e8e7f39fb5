/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The operations of the methods on a real VM.
 */
#include "stasis/vmm_config.h"
#include "vmm/control/control.h"

static void status(void *ctx, struct stasis_vmm_status *ret_status)
{
    stasis_vmm_status(ctx, ret_status);
}

static int pause_guest(void *ctx, struct stasis_error *err)
{
    return stasis_vmm_begin_pause(ctx, err);
}

static int resume_guest(void *ctx, struct stasis_error *err)
{
    return stasis_vmm_resume(ctx, err);
}

static int snapshot(void *ctx, const struct stasis_snapshot_request *request,
                    struct stasis_error *err)
{
    return stasis_vmm_begin_snapshot(ctx, request, err);
}

static int cancel(void *ctx, const void *request_ctx, struct stasis_error *err)
{
    return stasis_vmm_cancel_request(ctx, request_ctx, err);
}

static int power_button(void *ctx, struct stasis_error *err)
{
    return stasis_vmm_power_button(ctx, err);
}

static int reset(void *ctx, struct stasis_error *err)
{
    return stasis_vmm_reset(ctx, err);
}

static int balloon(void *ctx, uint64_t target_mib, struct stasis_error *err)
{
    return stasis_vmm_ask_balloon(ctx, target_mib, err);
}

static void stop(void *ctx)
{
    stasis_vmm_stop(ctx);
}

static int metrics(void *ctx, enum stasis_vmm_metrics_format format, char **ret_text,
                   struct stasis_error *err)
{
    size_t len;

    return stasis_vmm_metrics_text(ctx, format, ret_text, &len, err);
}

static int config(void *ctx, char **ret_json, struct stasis_error *err)
{
    size_t len;

    return stasis_vmm_config_text(ctx, ret_json, &len, err);
}

const struct stasis_control_ops stasis_control_vmm_ops = {
    .status = status,
    .pause = pause_guest,
    .resume = resume_guest,
    .snapshot = snapshot,
    .cancel = cancel,
    .power_button = power_button,
    .reset = reset,
    .balloon = balloon,
    .stop = stop,
    .metrics = metrics,
    .config = config,
};
