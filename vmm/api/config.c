/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/migrate.h"
#include "vmm/machine/board.h"
#include "vmm/machine/kick.h"

/* Every string of the struct. */
static const size_t strings[] = {
    offsetof(struct stasis_vmm_config, kernel.path),
    offsetof(struct stasis_vmm_config, kernel.cmdline),
    offsetof(struct stasis_vmm_config, restore.path),
    offsetof(struct stasis_vmm_config, initrd_path),
    offsetof(struct stasis_vmm_config, board_release),
    offsetof(struct stasis_vmm_config, serial.path),
    offsetof(struct stasis_vmm_config, snapshot.path),
    offsetof(struct stasis_vmm_config, snapshot.on_output),
    offsetof(struct stasis_vmm_config, snapshot.save.target),
    offsetof(struct stasis_vmm_config, metrics_path),
};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))

static char **string_at(struct stasis_vmm_config *config, size_t i)
{
    return (char **)((char *)config + strings[i]);
}

void stasis_vmm_config_fini(struct stasis_vmm_config *config)
{
    for (size_t i = 0; i < STRINGS; i++)
        free(*string_at(config, i));
    stasis_notes_free(config->snapshot.save.notes);
    memset(config, 0, sizeof(*config));
}

/* *copy holds the original's pointers, and NULL on failure. */
static bool copy_string(char **copy)
{
    const char *from = *copy;

    *copy = from ? strdup(from) : NULL;
    return !from || *copy;
}

int stasis_config_copy(const struct stasis_vmm_config *config, struct stasis_vmm_config *ret_copy,
                       struct stasis_error *err)
{
    struct stasis_vmm_config copy = *config;
    const struct stasis_notes *notes = config->snapshot.save.notes;
    bool whole = true;
    int rc = 0;

    for (size_t i = 0; i < STRINGS; i++)
        whole &= copy_string(string_at(&copy, i));
    copy.snapshot.save.notes = notes ? stasis_notes_new() : NULL;
    if (!whole || (notes && !copy.snapshot.save.notes))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a configuration");
    if (!rc && notes)
        rc = stasis_notes_copy(notes, copy.snapshot.save.notes, err);
    if (rc)
        stasis_vmm_config_fini(&copy);
    else
        *ret_copy = copy;
    return rc;
}

static int out_of_range(struct stasis_error *err, const char *member)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the configuration's %s is out of range; see stasis/vmm.h", member);
}

int stasis_config_check_save(const struct stasis_vmm_save *save, struct stasis_error *err)
{
    const struct stasis_release *release;

    if (save->zlib_level > 12)
        return stasis_fail(err, STASIS_ERR_ARG, "zlib_level is above 12; give 0 to 12");
    if ((unsigned)save->sync > STASIS_VMM_SYNC_NONE)
        return out_of_range(err, "save.sync");
    if ((unsigned)save->drop > STASIS_VMM_DROP_ALLOW)
        return out_of_range(err, "save.drop");
    if (save->drop == STASIS_VMM_DROP_ALLOW && !save->target)
        return stasis_fail(err, STASIS_ERR_ARG, "drop goes with target; name a release");
    return save->target ? stasis_release_get(save->target, &release, err) : 0;
}

/* Each enum, and the last of its values. */
static int check_choices(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct {
        const char *member;
        unsigned value, last;
    } choices[] = {
        {"cpu", (unsigned)config->cpu, STASIS_VMM_CPU_V3},
        {"restore.clock", (unsigned)config->restore.clock, STASIS_VMM_CLOCK_ADVANCE},
        {"restore.memory", (unsigned)config->restore.memory, STASIS_RAM_LAZY},
        {"restore.prefetch", (unsigned)config->restore.prefetch, STASIS_VMM_PREFETCH_OFF},
        {"serial.kind", (unsigned)config->serial.kind, STASIS_VMM_SERIAL_PIPE},
        {"snapshot.then", (unsigned)config->snapshot.then, STASIS_VMM_THEN_RESUME},
        {"guest_errors.action", (unsigned)config->guest_errors.action, STASIS_VMM_GUEST_ERROR_STOP},
        {"guest_errors.of", (unsigned)config->guest_errors.of, STASIS_VMM_GUEST_ERRORS_OF_DEVICES},
        {"log.level", (unsigned)config->log.level, STASIS_VMM_LOG_DEBUG},
        {"log.time", (unsigned)config->log.time, STASIS_VMM_LOG_TIME_OFF},
        {"metrics_format", (unsigned)config->metrics_format, STASIS_VMM_METRICS_OPENMETRICS},
    };

    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
        if (choices[i].value > choices[i].last)
            return out_of_range(err, choices[i].member);
    return 0;
}

/* Standard input and output cannot carry both a snapshot and the guest's serial port. */
static int check_streams(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    bool out = stasis_config_freezes_to_stream(config);

    if (out && config->snapshot.then == STASIS_VMM_THEN_RESUME)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "snapshot.path is a stream, which takes one snapshot; set snapshot.then "
                           "to EXIT");
    if ((out || stasis_config_thaws_from_stream(config)) &&
        config->serial.kind == STASIS_VMM_SERIAL_STDIO)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s.path needs standard %s for itself; set serial.kind to NONE or FILE",
                           out ? "snapshot" : "restore", out ? "output" : "input");
    return 0;
}

static int check_paths(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct stasis_vmm_snapshot *snapshot = &config->snapshot;

    if (config->serial.kind >= STASIS_VMM_SERIAL_FILE && !config->serial.path)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "serial.path is missing, which serial.kind needs; set it");
    if ((snapshot->on_output || snapshot->timed) && !snapshot->path)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "snapshot.%s asks for a snapshot, but there is no snapshot.path; set it",
                           snapshot->on_output ? "on_output" : "timed");
    return check_streams(config, err);
}

int stasis_config_check(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    int sources = (config->kernel.path != NULL) + config->demo + (config->restore.path != NULL);
    int rc;

    if (sources != 1)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the configuration names %d guests; set one of kernel.path, demo and "
                           "restore.path",
                           sources);
    if (config->memory_mib > STASIS_RAM_MAX >> 20)
        return out_of_range(err, "memory_mib");
    if (config->vcpus > STASIS_VCPUS_MAX)
        return out_of_range(err, "vcpus");
    if (config->metrics_every_ms && (config->metrics_every_ms < STASIS_VMM_METRICS_MS_MIN ||
                                     config->metrics_every_ms > STASIS_VMM_METRICS_MS_MAX))
        return out_of_range(err, "metrics_every_ms");
    if (config->metrics_every_ms && !config->metrics_path)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "metrics_every_ms needs a file, but there is no metrics_path; set it");
    if (config->kick_signal && !stasis_kick_is_signal(config->kick_signal))
        return out_of_range(err, "kick_signal");
    rc = check_choices(config, err);
    if (!rc)
        rc = stasis_config_check_save(&config->snapshot.save, err);
    return rc ? rc : check_paths(config, err);
}

static const char *const cpu_models[] = {
    [STASIS_VMM_CPU_HOST] = "host",
    [STASIS_VMM_CPU_BASELINE] = "baseline",
    [STASIS_VMM_CPU_V2] = "x86-64-v2",
    [STASIS_VMM_CPU_V3] = "x86-64-v3",
};

int stasis_config_board(const struct stasis_vmm_config *config,
                        struct stasis_board_state *ret_board, struct stasis_error *err)
{
    const struct stasis_board_options options = {
        .memory_bytes = (config->memory_mib ? config->memory_mib : STASIS_VMM_MEMORY_MIB_DEFAULT)
                        << 20,
        .vcpus = config->vcpus ? (uint32_t)config->vcpus : 1,
        .cpu_model = cpu_models[config->cpu],
        .release = config->board_release,
    };

    return stasis_board_default(&options, ret_board, err);
}

struct stasis_boot_options stasis_config_boot(const struct stasis_vmm_config *config)
{
    return (struct stasis_boot_options){
        .kernel_path = config->kernel.path,
        .initrd_path = config->initrd_path,
        .cmdline = config->kernel.cmdline,
        .load_addr = config->kernel.load_addr,
    };
}

struct stasis_thaw_options stasis_config_thaw(const struct stasis_vmm_config *config)
{
    return (struct stasis_thaw_options){
        .clock = config->restore.clock == STASIS_VMM_CLOCK_ADVANCE ? STASIS_CLOCK_ADVANCE
                                                                   : STASIS_CLOCK_CONTINUE,
        .ignore_tsc_rate = config->restore.ignore_tsc_rate,
        .memory = config->restore.memory,
        .no_prefetch = config->restore.prefetch == STASIS_VMM_PREFETCH_OFF,
    };
}

_Static_assert((int)STASIS_VMM_SERIAL_STDIO == (int)STASIS_SERIAL_SINK_STDIO &&
                   (int)STASIS_VMM_SERIAL_NONE == (int)STASIS_SERIAL_SINK_NONE &&
                   (int)STASIS_VMM_SERIAL_FILE == (int)STASIS_SERIAL_SINK_FILE &&
                   (int)STASIS_VMM_SERIAL_RING == (int)STASIS_SERIAL_SINK_RING &&
                   (int)STASIS_VMM_SERIAL_PIPE == (int)STASIS_SERIAL_SINK_PIPE,
               "kinds of serial output");

struct stasis_serial_sink_options stasis_config_serial(const struct stasis_vmm_config *config)
{
    return (struct stasis_serial_sink_options){
        .kind = (enum stasis_serial_sink_kind)config->serial.kind,
        .path = config->serial.path,
        .limit = config->serial.limit,
        .size = config->serial.size,
        .rate = config->serial.rate,
        .append = config->restore.path != NULL, /* the guest continues */
    };
}

static bool is_stream(const char *path)
{
    return path && !strcmp(path, STASIS_VMM_STREAM);
}

bool stasis_config_freezes_to_stream(const struct stasis_vmm_config *config)
{
    return is_stream(config->snapshot.path);
}

bool stasis_config_thaws_from_stream(const struct stasis_vmm_config *config)
{
    return is_stream(config->restore.path);
}
