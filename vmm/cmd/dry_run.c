/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/dry_run.h"

#include <stdarg.h>
#include <string.h>

#include "common/message.h"
#include "common/streams.h"
#include "stasis/json.h"
#include "vmm/cmd/cli_paths.h"
#include "vmm/cmd/say.h"
#include "vmm/control/control.h"

static int status_of(const struct stasis_preflight *preflight)
{
    struct stasis_error err;

    return stasis_err_exit_status(stasis_reasons_fail(&preflight->reasons, &err));
}

/* The text with options in place of keys. */
static const char *named(const struct stasis_options *options, const char *text,
                         char room[STASIS_CLI_TEXT_MAX])
{
    stasis_cli_name_options(&options->by_file, false, text, room, STASIS_CLI_TEXT_MAX);
    return room;
}

/* ---- text ---- */

/* Names in it may be the file's. */
STASIS_PRINTF(3, 4)
static void put_line(FILE *to, const char *head, const char *format, ...)
{
    char text[STASIS_ERROR_MSG_MAX + 320], line[STASIS_MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fwrite(line, 1, stasis_message_format(line, head, text), to);
}

static void put_reason(FILE *to, const char *head, const struct stasis_options *options,
                       const struct stasis_reason *reason)
{
    char room[STASIS_CLI_TEXT_MAX];

    if (reason->asks[0])
        put_line(to, head, "%s %s: the guest needs %s, this host has: %s", reason->kind,
                 reason->object, reason->asks, reason->has);
    else
        put_line(to, head, "%s %s: %s", reason->kind, reason->object,
                 named(options, reason->what, room));
}

/* A remedy comes once, behind the last of the reasons that it is for. */
static void put_reasons(FILE *to, const char *head, const struct stasis_options *options,
                        const struct stasis_reasons *reasons)
{
    char room[STASIS_CLI_TEXT_MAX];

    for (size_t i = 0; i < reasons->count; i++) {
        const char *remedy = reasons->list[i].remedy;
        const char *next = i + 1 < reasons->count ? reasons->list[i + 1].remedy : NULL;

        put_reason(to, head, options, &reasons->list[i]);
        if (remedy && (!next || strcmp(remedy, next) != 0))
            put_line(to, "  remedy", "%s", named(options, remedy, room));
    }
    if (reasons->more)
        put_line(to, head, "%zu more", reasons->more);
}

static void print_text(const struct stasis_options *options,
                       const struct stasis_preflight *preflight, FILE *to)
{
    size_t count = preflight->reasons.count + preflight->reasons.more;

    if (count)
        put_line(to, "vmm", "%s: cannot be thawed here: %zu reason%s", options->config.restore.path,
                 count, count == 1 ? "" : "s");
    else
        put_line(to, "vmm", "%s: can be thawed here", options->config.restore.path);
    put_reasons(to, "  reason", options, &preflight->reasons);
    put_reasons(to, "  warning", options, &preflight->warnings);
    put_reasons(to, "  binds", options, &preflight->binds);
}

/* ---- JSON ---- */

static void put_str(struct stasis_json *json, const char *key, const char *value)
{
    stasis_json_key(json, key);
    stasis_json_str(json, value);
}

static void json_reason(struct stasis_json *json, const struct stasis_options *options,
                        const struct stasis_reason *reason)
{
    char message[STASIS_ERROR_MSG_MAX], room[STASIS_CLI_TEXT_MAX];

    stasis_reason_message(reason, message);
    stasis_json_object_begin(json);
    put_str(json, "kind", reason->kind);
    put_str(json, "object", reason->object);
    if (reason->asks[0]) {
        put_str(json, "asks", reason->asks);
        put_str(json, "has", reason->has);
    }
    put_str(json, "message", named(options, message, room));
    if (reason->remedy)
        put_str(json, "remedy", named(options, reason->remedy, room));
    if (reason->code) {
        stasis_json_key(json, "status");
        stasis_json_u64(json, (uint64_t)stasis_err_exit_status(reason->code));
    }
    stasis_json_object_end(json);
}

static void json_reasons(struct stasis_json *json, const char *key,
                         const struct stasis_options *options, const struct stasis_reasons *reasons)
{
    stasis_json_key(json, key);
    stasis_json_array_begin(json);
    for (size_t i = 0; i < reasons->count; i++)
        json_reason(json, options, &reasons->list[i]);
    stasis_json_array_end(json);
}

static void print_json(const struct stasis_options *options,
                       const struct stasis_preflight *preflight, FILE *to)
{
    struct stasis_json json;

    stasis_json_init(&json, to);
    stasis_json_object_begin(&json);
    put_str(&json, "file", options->config.restore.path);
    stasis_json_key(&json, "thaws");
    stasis_json_bool(&json, !status_of(preflight));
    stasis_json_key(&json, "status");
    stasis_json_u64(&json, (uint64_t)status_of(preflight));
    json_reasons(&json, "reasons", options, &preflight->reasons);
    stasis_json_key(&json, "more_reasons");
    stasis_json_u64(&json, preflight->reasons.more);
    json_reasons(&json, "warnings", options, &preflight->warnings);
    json_reasons(&json, "binds", options, &preflight->binds);
    stasis_json_object_end(&json);
    (void)!stasis_json_finish(&json); /* sticks in the stream, which is flushed at the end */
}

void stasis_dry_run_print(const struct stasis_options *options,
                          const struct stasis_preflight *preflight, FILE *to)
{
    if (options->dry_run_format == STASIS_CLI_DRY_RUN_JSON)
        print_json(options, preflight, to);
    else
        print_text(options, preflight, to);
}

/* Which is opened before all else. */
static void check_control(const struct stasis_options *options, struct stasis_reasons *reasons)
{
    const struct stasis_control_config config = {.path = options->control.path,
                                                 .dir = options->control.dir};
    struct stasis_error why;

    if (!config.path || !stasis_control_check(&config, &why))
        return;
    (void)stasis_wrap(&why, why.code, "--control");
    stasis_reasons_add_error(reasons, "output", "control", &why);
}

int stasis_dry_run(const struct stasis_options *options, FILE *to)
{
    struct stasis_preflight preflight = {0};
    struct stasis_error err;
    int rc, status;

    check_control(options, &preflight.reasons);
    rc = stasis_preflight_run(&options->config, &preflight, &err);
    status = status_of(&preflight);
    if (!rc)
        stasis_dry_run_print(options, &preflight, to);
    stasis_preflight_fini(&preflight);
    if (!rc)
        rc = stasis_streams_flush(&err);
    return rc ? stasis_say_error(false, &err) : status;
}
