/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/machine/board.h"

void stasis_config_fini(struct stasis_config *config)
{
    free(config->kernel_path);
    free(config->kernel_cmdline);
    free(config->initrd_path);
    free(config->board_release);
    free(config->snapshot_target);
    free(config->snapshot_path);
    free(config->snapshot_on_output);
    stasis_notes_free(config->snapshot_notes);
    free(config->restore_path);
    free(config->serial_path);
    free(config->metrics_path);
    memset(config, 0, sizeof(*config));
}

static const char *const cpu_models[] = {
    [STASIS_CONFIG_CPU_HOST] = "host",
    [STASIS_CONFIG_CPU_BASELINE] = "baseline",
    [STASIS_CONFIG_CPU_V2] = "x86-64-v2",
    [STASIS_CONFIG_CPU_V3] = "x86-64-v3",
};

int stasis_config_board(const struct stasis_config *config, struct stasis_board_state *ret_board,
                        struct stasis_error *err)
{
    const struct stasis_board_options options = {
        .memory_bytes = config->memory_mib << 20,
        .vcpus = (uint32_t)config->vcpus,
        .cpu_model = cpu_models[config->cpu],
        .release = config->board_release,
    };

    return stasis_board_default(&options, ret_board, err);
}

struct stasis_boot_options stasis_config_boot(const struct stasis_config *config)
{
    return (struct stasis_boot_options){
        .kernel_path = config->kernel_path,
        .initrd_path = config->initrd_path,
        .cmdline = config->kernel_cmdline,
        .load_addr = config->kernel_load_addr,
    };
}

struct stasis_thaw_options stasis_config_thaw(const struct stasis_config *config)
{
    return (struct stasis_thaw_options){
        .clock = config->restore_clock == STASIS_CONFIG_CLOCK_ADVANCE ? STASIS_CLOCK_ADVANCE
                                                                      : STASIS_CLOCK_CONTINUE,
        .ignore_tsc_rate = config->ignore_tsc_rate,
        .memory = config->restore_memory,
        .no_prefetch = config->restore_prefetch == STASIS_CONFIG_PREFETCH_OFF,
    };
}

static bool is_stream(const char *path)
{
    return path && !strcmp(path, STASIS_CONFIG_STREAM);
}

bool stasis_config_freezes_to_stream(const struct stasis_config *config)
{
    return is_stream(config->snapshot_path);
}

bool stasis_config_thaws_from_stream(const struct stasis_config *config)
{
    return is_stream(config->restore_path);
}
