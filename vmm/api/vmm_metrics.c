/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"
#include "vmm/snapshot/ram_failure.h"

static struct stasis_metrics_source source_of(struct stasis_vmm *vmm,
                                              struct stasis_serial_sink_stats *serial)
{
    struct stasis_log_stats log;

    stasis_log_stats(vmm->log, &log);
    pthread_mutex_lock(&vmm->machine.lock);
    stasis_serial_sink_stats(vmm->out, serial);
    pthread_mutex_unlock(&vmm->machine.lock);
    return (struct stasis_metrics_source){
        .metrics = &vmm->metrics,
        .machine = &vmm->machine,
        .ram = stasis_ram_failure_ram(&vmm->machine),
        .serial = serial,
        .log = log,
        .now_us = stasis_monotonic_us(),
    };
}

int stasis_vmm_metrics_text(struct stasis_vmm *vmm, enum stasis_vmm_metrics_format format,
                            char **ret_text, size_t *ret_len, struct stasis_error *err)
{
    struct stasis_serial_sink_stats serial;
    struct stasis_metrics_source source;
    int rc;

    stasis_vmm_lock(vmm);
    source = source_of(vmm, &serial);
    rc = stasis_metrics_text(&source, format, ret_text, ret_len, err);
    stasis_vmm_unlock(vmm);
    return rc;
}
