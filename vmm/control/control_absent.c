/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * In place of all the rest, with STASIS_JSON=OFF.
 */
#include "vmm/control/control.h"

const struct stasis_control_ops stasis_control_vmm_ops;

int stasis_control_open(const struct stasis_control_config *config,
                        const struct stasis_control_ops *ops, struct stasis_control **ret_control,
                        struct stasis_error *err)
{
    (void)config;
    (void)ops;
    (void)ret_control;
    return stasis_fail_absent(err, "control socket", "STASIS_JSON");
}

int stasis_control_check(const struct stasis_control_config *config, struct stasis_error *err)
{
    (void)config;
    return stasis_fail_absent(err, "control socket", "STASIS_JSON");
}

void stasis_control_set_ctx(struct stasis_control *control, void *ctx)
{
    (void)control;
    (void)ctx;
}

void stasis_control_close(struct stasis_control *control)
{
    (void)control;
}

const struct stasis_socket *stasis_control_socket(const struct stasis_control *control)
{
    (void)control;
    return NULL;
}

void stasis_control_leave_folder(struct stasis_control *control)
{
    (void)control;
}

int stasis_control_fd(const struct stasis_control *control)
{
    (void)control;
    return -1;
}

void stasis_control_dispatch(struct stasis_control *control)
{
    (void)control;
}

void stasis_control_event(struct stasis_control *control, const struct stasis_vmm_event *event)
{
    (void)control;
    (void)event;
}

void stasis_control_progress(struct stasis_control *control, enum stasis_vmm_work work,
                             uint64_t done, uint64_t total)
{
    (void)control;
    (void)work;
    (void)done;
    (void)total;
}
