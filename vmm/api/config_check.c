/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the members of a configuration have to agree on.
 */
#include <stdio.h>
#include <string.h>

#include "stasis/cpu_models.h"
#include "stasis/migrate.h"
#include "vmm/api/config.h"
#include "vmm/machine/board.h"
#include "vmm/machine/kick.h"

static int out_of_range(struct stasis_error *err, const char *member)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the configuration's %s is out of range; see stasis/vmm.h", member);
}

static bool is_root(const char *text)
{
    return strlen(text) == STASIS_VMM_ROOT_DIGITS &&
           strspn(text, "0123456789abcdefABCDEF") == STASIS_VMM_ROOT_DIGITS;
}

static int check_parent(const struct stasis_vmm_save *save, const struct stasis_release *release,
                        const char *parent, struct stasis_error *err)
{
    if (!save->parent)
        return 0;
    if (strcmp(save->parent, STASIS_VMM_PARENT_AUTO) != 0 &&
        strcmp(save->parent, STASIS_VMM_PARENT_NONE) != 0 && !is_root(save->parent))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s is neither auto, none nor a root; give auto or none, or the 64 "
                           "hexadecimal digits that snapshot-inspect info shows",
                           parent);
    if (release && release->format_version == 1)
        return stasis_fail(err, STASIS_ERR_ARG, "a file for release %s is no layer; leave out %s",
                           save->target, parent);
    return 0;
}

/* `drop`, `target` and `parent` are the names of these members for who gave them. */
static int check_save(const struct stasis_vmm_save *save, const char *drop, const char *target,
                      const char *parent, struct stasis_error *err)
{
    const struct stasis_release *release = NULL;
    int rc;

    if (save->zlib_level > 12)
        return stasis_fail(err, STASIS_ERR_ARG, "zlib_level is above 12; give 0 to 12");
    if ((unsigned)save->digest > STASIS_VMM_DIGEST_SHA256)
        return out_of_range(err, "save.digest");
    if ((unsigned)save->sync > STASIS_VMM_SYNC_NONE)
        return out_of_range(err, "save.sync");
    if ((unsigned)save->drop > STASIS_VMM_DROP_ALLOW)
        return out_of_range(err, "save.drop");
    if (save->drop == STASIS_VMM_DROP_ALLOW && !save->target)
        return stasis_fail(err, STASIS_ERR_ARG, "%s=allow goes with %s; name a release", drop,
                           target);
    rc = save->target ? stasis_release_get(save->target, &release, err) : 0;
    if (!rc && save->target && save->digest && release->format_version == 1)
        rc = stasis_fail(err, STASIS_ERR_ARG,
                         "a file for release %s has no digests; leave them out", save->target);
    if (rc)
        return stasis_wrap(err, rc, "%s", target);
    return check_parent(save, release, parent, err);
}

int stasis_config_check_save(const struct stasis_vmm_save *save, struct stasis_error *err)
{
    return check_save(save, "drop", "target", "parent", err);
}

/* Each enum, and the last of its values. */
static int check_choices(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct {
        const char *member;
        unsigned value, last;
    } choices[] = {
        {"cpu", (unsigned)config->cpu, STASIS_CPU_MODEL_COUNT - 1},
        {"rtc", (unsigned)config->rtc, STASIS_VMM_RTC_PL031},
        {"restore.clock", (unsigned)config->restore.clock, STASIS_VMM_CLOCK_ADVANCE},
        {"restore.memory", (unsigned)config->restore.memory, STASIS_RAM_LAZY},
        {"restore.track", (unsigned)config->restore.track, STASIS_VMM_TRACK_ON},
        {"restore.prefetch", (unsigned)config->restore.prefetch, STASIS_VMM_PREFETCH_OFF},
        {"balloon.reporting", (unsigned)config->balloon.reporting, STASIS_VMM_REPORTING_OFF},
        {"serial.kind", (unsigned)config->serial.kind, STASIS_VMM_SERIAL_PIPE},
        {"snapshot.then", (unsigned)config->snapshot.then, STASIS_VMM_THEN_RESUME},
        {"on_crash.panic_text", (unsigned)config->on_crash.panic_text, STASIS_VMM_PANIC_TEXT_ON},
        {"on_reset", (unsigned)config->on_reset, STASIS_VMM_ON_RESET_REBOOT},
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

static int check_numbers(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    if (config->memory_mib > STASIS_RAM_MAX >> 20)
        return out_of_range(err, "memory_mib");
    if (config->vcpus > STASIS_VCPUS_MAX)
        return out_of_range(err, "vcpus");
    if (config->metrics_every_ms && (config->metrics_every_ms < STASIS_VMM_METRICS_MS_MIN ||
                                     config->metrics_every_ms > STASIS_VMM_METRICS_MS_MAX))
        return out_of_range(err, "metrics_every_ms");
    if (config->kick_signal && !stasis_kick_is_signal(config->kick_signal))
        return out_of_range(err, "kick_signal");
    return 0;
}

/* Names of a board's devices are parts of the names of records. */
int stasis_config_check_id(const char *member, const char *id, struct stasis_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    enum { MAX = STASIS_VMM_BLOCK_ID_MAX };

    _Static_assert(STASIS_VMM_NET_ID_MAX == MAX && STASIS_VMM_VSOCK_ID_MAX == MAX &&
                       STASIS_VMM_BALLOON_ID_MAX == MAX,
                   "one message for all");
    if (*id && strlen(id) <= MAX && !id[strspn(id, letters)])
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG, "%s=%.60s: give 1 to %d of a-z, 0-9, - and _", member,
                       id, MAX);
}

static int check_guest(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const char *kernel = config->kernel.path ? "kernel.path" : NULL;
    const char *demo = config->demo ? "demo" : NULL;
    const char *restore = config->restore.path ? "restore.path" : NULL;
    const char *first = kernel ? kernel : demo ? demo : restore;
    const char *last = restore ? restore : demo ? demo : kernel;

    if (!first)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the configuration has no guest; set one of kernel.path, demo and "
                           "restore.path");
    if (first != last)
        return stasis_fail(err, STASIS_ERR_ARG, "%s and %s exclude each other; leave out one",
                           first, last);
    if (restore && config->on_reset == STASIS_VMM_ON_RESET_REBOOT)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "on_reset.action reboot does not go with restore.path: a snapshot has "
                           "no kernel that could be loaded again; leave out on_reset.action, and "
                           "boot a new guest after a reset");
    return 0;
}

/* Standard input and output cannot carry both a snapshot and the guest's serial port. */
static int check_streams(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    bool out = stasis_config_freezes_to_stream(config);

    if (out && config->snapshot.then == STASIS_VMM_THEN_RESUME)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "snapshot.path is a stream, which takes one snapshot; leave out "
                           "snapshot.then");
    if ((out || stasis_config_thaws_from_stream(config)) &&
        config->serial.kind == STASIS_VMM_SERIAL_STDIO)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s - needs standard %s for itself; set serial.out to none, or to "
                           "file:PATH",
                           out ? "snapshot.path" : "restore.path", out ? "output" : "input");
    return 0;
}

void stasis_config_read_root(const char *text, uint8_t ret_root[32])
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";

    for (size_t i = 0; i < STASIS_VMM_ROOT_DIGITS; i++) {
        size_t digit = strcspn(digits, (const char[]){text[i], '\0'}) % 16;

        ret_root[i / 2] = (uint8_t)(i % 2 ? ret_root[i / 2] | digit : digit << 4);
    }
}

const uint8_t *stasis_config_root(const struct stasis_vmm_config *config, uint8_t ret_root[32])
{
    if (!config->restore.root)
        return NULL;
    stasis_config_read_root(config->restore.root, ret_root);
    return ret_root;
}

static int check_root(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const char *root = config->restore.root;

    if (config->restore.layers && !config->restore.path)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "restore.layers is for a snapshot, but there is no restore.path; set "
                           "it");
    if (!root)
        return 0;
    if (!is_root(root))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "restore.root is no root; give the 64 hexadecimal digits that "
                           "snapshot-inspect info shows");
    if (!config->restore.path)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "restore.root is of a snapshot, but there is no restore.path; set it");
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
                           "%s asks for a snapshot, but there is no snapshot.path; set it",
                           snapshot->on_output ? "snapshot.on_output" : "snapshot.after_ms");
    if (config->on_crash.snapshot && config->on_crash.exit)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "on_crash.exit and on_crash.snapshot exclude each other; leave out one");
    if (config->on_crash.snapshot && !strcmp(config->on_crash.snapshot, STASIS_VMM_STREAM))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "on_crash.snapshot cannot be standard output; give the name of a file");
    if (config->metrics_every_ms && !config->metrics_path)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "metrics.every_ms needs a file, but there is no metrics.path; set it");
    return check_streams(config, err);
}

/* Behind the close its number may be that of any other file. */
static int check_descriptors(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    if (config->ready_fd && config->log.level && config->ready_fd == config->log.fd)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "ready_fd.fd is also log.fd, and is closed when the guest runs; give "
                           "two descriptors");
    return 0;
}

static int check_releases(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct stasis_release *release;
    int rc = config->board_release ? stasis_release_get(config->board_release, &release, err) : 0;

    if (rc)
        return stasis_wrap(err, rc, "board.release");
    return check_save(&config->snapshot.save, "snapshot.drop", "snapshot.target", "snapshot.parent",
                      err);
}

/* Of a new guest, whose board is known before anything is opened, and which has no snapshot yet. */
static int check_new_guest(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct stasis_vmm_save *save = &config->snapshot.save;
    struct stasis_board_state board;
    int rc;

    if (save->parent && is_root(save->parent))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "snapshot.parent is a root, but a new guest has no snapshot that could "
                           "have it; give auto or none");
    if (!save->target)
        return 0;
    rc = stasis_config_board(config, &board, err);
    return rc ? rc : stasis_config_check_own_target(config, &board, err);
}

/* ---- what was given ---- */

static int check_option(const struct stasis_vmm_config *config, const struct stasis_option *option,
                        uint32_t keys, struct stasis_error *err)
{
    const bool thaws = config->restore.path;
    char path[STASIS_CONFIG_PATH_MAX];

    stasis_config_path(option, option->keys, path);
    if (option->guest == STASIS_OPTION_NEW_GUEST && thaws)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s does not go with restore.path: a thawed guest brings its own; "
                           "leave out %s",
                           path, path);
    if (option->guest == STASIS_OPTION_THAWED_GUEST && !thaws)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s is for thawing; give restore.path, or leave out %s", path, path);
    if (option->keys && !option->repeats && !(keys & stasis_option_needed(option)))
        return stasis_fail(err, STASIS_ERR_ARG, "%s is missing; %s", path, option->keys->remedy);
    return 0;
}

/* Keys that go with one kind of output only. */
static int check_outs(const struct stasis_vmm_config *config, const struct stasis_option *option,
                      uint32_t keys, struct stasis_error *err)
{
    const struct stasis_option_key *out = option->keys;
    char path[STASIS_CONFIG_PATH_MAX], out_path[STASIS_CONFIG_PATH_MAX];

    for (unsigned i = 0; out && out[i].name; i++) {
        if (!out[i].out || !(keys & STASIS_OPTION_BIT(i)) ||
            stasis_option_fits(option, &out[i], config))
            continue;
        stasis_config_path(option, &out[i], path);
        stasis_config_path(option, out, out_path);
        return stasis_fail(err, STASIS_ERR_ARG, "%s is for %s=%s:PATH; leave it out", path,
                           out_path, out->words[out[i].out]);
    }
    return 0;
}

static int check_given(const struct stasis_vmm_config *config,
                       const struct stasis_config_given *given, struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < STASIS_CONFIG_COUNT; i++) {
        if (!given->keys[i])
            continue;
        rc = check_option(config, &stasis_config_options[i], given->keys[i], err);
        if (!rc)
            rc = check_outs(config, &stasis_config_options[i], given->keys[i], err);
    }
    return rc;
}

int stasis_config_check(const struct stasis_vmm_config *config,
                        const struct stasis_config_given *given, struct stasis_error *err)
{
    int rc = check_choices(config, err);

    if (!rc)
        rc = check_numbers(config, err);
    if (!rc)
        rc = check_guest(config, err);
    if (!rc && given)
        rc = check_given(config, given, err);
    if (!rc)
        rc = check_releases(config, err);
    if (!rc)
        rc = check_descriptors(config, err);
    if (!rc && config->balloon.id)
        rc = stasis_config_check_id("balloon.id", config->balloon.id, err);
    if (!rc)
        rc = stasis_config_check_disks(config, err);
    if (!rc)
        rc = stasis_config_check_net(config, err);
    if (!rc)
        rc = stasis_config_check_vsock(config, err);
    if (!rc)
        rc = check_root(config, err);
    if (!rc)
        rc = check_paths(config, err);
    return rc || config->restore.path ? rc : check_new_guest(config, err);
}
