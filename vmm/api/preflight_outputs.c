/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/preflight_outputs.h"

#include <unistd.h>

#include "vmm/host/log.h"

static void add(struct stasis_reasons *reasons, const char *object, const struct stasis_error *why)
{
    stasis_reasons_add_error(reasons, "output", object, why);
}

static void check_descriptors(const struct stasis_vmm_config *config,
                              struct stasis_reasons *reasons)
{
    int log_fd = config->log.fd ? config->log.fd : STDERR_FILENO;
    struct stasis_error why;

    if (stasis_files_check_ready(config, &why))
        add(reasons, "ready-fd", &why);
    if (config->log.level && stasis_log_check(log_fd, &why)) {
        (void)stasis_wrap(&why, why.code, "log.fd=%d: the log cannot be written", log_fd);
        add(reasons, "log", &why);
    }
}

static void hold(struct stasis_preflight_outputs *looked, struct stasis_output *output)
{
    if (output)
        looked->held[looked->count++] = output;
}

static void look_at_files(const struct stasis_vmm_config *config,
                          struct stasis_preflight_outputs *looked, struct stasis_reasons *reasons)
{
    static const char *const objects[STASIS_FILES_OUTPUTS] = {
        [STASIS_FILES_SNAPSHOT] = "snapshot-out",
        [STASIS_FILES_CRASH] = "on-crash",
        [STASIS_FILES_METRICS] = "metrics",
    };
    struct stasis_error why;

    for (unsigned i = 0; i < STASIS_FILES_OUTPUTS; i++) {
        struct stasis_output *output = NULL;

        if (stasis_files_open_output(config, looked->set, i, true, &output, &why))
            add(reasons, objects[i], &why);
        hold(looked, output);
    }
}

static void look_at_serial(const struct stasis_vmm_config *config,
                           struct stasis_preflight_outputs *looked, struct stasis_reasons *reasons)
{
    struct stasis_serial_sink_options serial = stasis_config_serial(config);
    struct stasis_output *output = NULL;
    struct stasis_error why;
    int rc;

    serial.outputs = looked->set;
    rc = stasis_serial_sink_look(&serial, &output, &why);
    if (rc) {
        (void)!stasis_files_wrong_key(&why, "serial.out", serial.path, rc);
        add(reasons, "serial", &why);
    }
    hold(looked, output);
}

int stasis_preflight_outputs_look(const struct stasis_vmm_config *config,
                                  struct stasis_preflight_outputs *ret_looked,
                                  struct stasis_reasons *reasons, struct stasis_error *err)
{
    struct stasis_error why;

    *ret_looked = (struct stasis_preflight_outputs){.set = stasis_outputs_new()};
    if (!ret_looked->set)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a VM");
    check_descriptors(config, reasons);
    if (stasis_files_note(config, ret_looked->set, &why))
        add(reasons, "files", &why);
    look_at_files(config, ret_looked, reasons);
    look_at_serial(config, ret_looked, reasons);
    return 0;
}

void stasis_preflight_outputs_close(struct stasis_preflight_outputs *looked)
{
    while (looked->count)
        stasis_output_close(looked->held[--looked->count]);
    stasis_outputs_free(looked->set);
    looked->set = NULL;
}
