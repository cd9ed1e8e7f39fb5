/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What each method does. Parameters and state have been checked.
 */
#include "vmm/control/control_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int stasis_control_run_version(struct stasis_control *control, struct stasis_control_call *call,
                               const struct stasis_control_args *args, json_t **ret_result,
                               struct stasis_control_failure *failure)
{
    (void)control;
    (void)call;
    (void)args;
    (void)failure;
    *ret_result = json_pack("{s:s, s:i}", "version", STASIS_VERSION, "pid", (int)getpid());
    return 0;
}

static json_t *number_if(bool is_there, uint64_t value)
{
    return is_there ? json_integer((json_int_t)value) : NULL;
}

int stasis_control_run_status(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure)
{
    struct stasis_vmm_status status;

    (void)call;
    (void)args;
    (void)failure;
    control->ops->status(control->ctx, &status);
    *ret_result = json_pack(
        "{s:s, s:b, s:I, s:I, s:I, s:o*, s:o*}", "state", stasis_vmm_state_name(status.state),
        "paused", (int)status.paused, "generation", (json_int_t)status.generation, "saved_bytes",
        (json_int_t)status.saved_bytes, "total_bytes", (json_int_t)status.total_bytes,
        "balloon_bytes", number_if(status.has_balloon, status.balloon_bytes),
        "balloon_target_bytes", number_if(status.has_balloon, status.balloon_target_bytes));
    return 0;
}

int stasis_control_run_pause(struct stasis_control *control, struct stasis_control_call *call,
                             const struct stasis_control_args *args, json_t **ret_result,
                             struct stasis_control_failure *failure)
{
    int rc;

    (void)args;
    (void)ret_result;
    control->pause = call;
    rc = control->ops->pause(control->ctx, &failure->err);
    if (rc)
        control->pause = NULL;
    return rc ? rc : STASIS_CONTROL_LATER;
}

int stasis_control_run_resume(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure)
{
    (void)call;
    (void)args;
    (void)ret_result;
    return control->ops->resume(control->ctx, &failure->err);
}

/* ---- snapshot ---- */

static int find_folder(const struct stasis_control *control, const struct stasis_control_call *call,
                       int *ret_fd, struct stasis_control_failure *failure)
{
    if (!call->fds.count && control->dir_fd < 0)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "no folder for the snapshot; send its descriptor, or start the "
                                   "VM with --control dir=FOLDER");
    if (!call->fds.count) {
        *ret_fd = control->dir_fd;
        return 0;
    }
    if (!stasis_control_is_folder(call->fds.fds[0]))
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "the descriptor is no folder; send that of the snapshot's "
                                   "folder");
    *ret_fd = call->fds.fds[0];
    return 0;
}

int stasis_control_run_snapshot(struct stasis_control *control, struct stasis_control_call *call,
                                const struct stasis_control_args *args, json_t **ret_result,
                                struct stasis_control_failure *failure)
{
    struct stasis_snapshot_request request = {
        .path = args->name,
        .exit = args->then == 1,
        .ctx = call,
        .save = {.zlib_level = args->zlib_level,
                 .digest = (enum stasis_vmm_digest)args->digest,
                 .sync = (enum stasis_vmm_sync)args->sync,
                 .target = args->target,
                 .parent = args->parent,
                 .drop = (enum stasis_vmm_drop)args->drop},
    };
    int rc;

    (void)ret_result;
    if (!args->name)
        return stasis_control_fail(
            failure, STASIS_CONTROL_INVALID_PARAMS,
            "name is missing; give that of the file, or path=FILE to vmm ctl");
    rc = find_folder(control, call, &request.folder_fd, failure);
    if (rc)
        return rc;
    stasis_control_add_snapshot(control, call);
    rc = control->ops->snapshot(control->ctx, &request, &failure->err);
    if (rc)
        stasis_control_remove_snapshot(control, call);
    return rc ? rc : STASIS_CONTROL_LATER;
}

/* Each of them: one that is not saved yet is answered at once, and goes. */
static int cancel_own(struct stasis_control *control, const struct stasis_control_client *client,
                      struct stasis_control_failure *failure)
{
    struct stasis_control_call *next;
    bool any = false;
    int rc = 0;

    for (struct stasis_control_call *call = control->snapshots; call; call = next) {
        next = call->owner;
        if (call->client != client)
            continue;
        any = true;
        rc = control->ops->cancel(control->ctx, call, &failure->err);
    }
    if (any)
        return rc;
    *failure = (struct stasis_control_failure){.name = "NO_SNAPSHOT_RUNS"};
    return stasis_fail(&failure->err, STASIS_ERR_STATE,
                       "cannot cancel: this client has asked for no snapshot that is being saved; "
                       "leave out of=own to cancel that of others");
}

int stasis_control_run_cancel(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure)
{
    (void)ret_result;
    return args->of == STASIS_CONTROL_OF_OWN
               ? cancel_own(control, call->client, failure)
               : control->ops->cancel(control->ctx, NULL, &failure->err);
}

/* ---- power ---- */

int stasis_control_run_power_button(struct stasis_control *control,
                                    struct stasis_control_call *call,
                                    const struct stasis_control_args *args, json_t **ret_result,
                                    struct stasis_control_failure *failure)
{
    (void)call;
    (void)args;
    (void)ret_result;
    return control->ops->power_button(control->ctx, &failure->err);
}

/* The end comes as an event of the loop, after the answer. */
int stasis_control_run_reset(struct stasis_control *control, struct stasis_control_call *call,
                             const struct stasis_control_args *args, json_t **ret_result,
                             struct stasis_control_failure *failure)
{
    (void)call;
    (void)args;
    (void)ret_result;
    return control->ops->reset(control->ctx, &failure->err);
}

/* ---- memory ---- */

int stasis_control_run_balloon(struct stasis_control *control, struct stasis_control_call *call,
                               const struct stasis_control_args *args, json_t **ret_result,
                               struct stasis_control_failure *failure)
{
    (void)call;
    (void)ret_result;
    if (!args->target_mib.is_given)
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "target_mib is missing; give the MiB that the balloon shall "
                                   "have");
    return control->ops->balloon(control->ctx, args->target_mib.value, &failure->err);
}

/* ---- reports ---- */

/* Takes over the text, which the VM made. */
static int parse_own(char *text, json_t **ret_result, struct stasis_control_failure *failure)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &error);

    free(text);
    if (!value)
        return stasis_fail(&failure->err, STASIS_ERR_INTERNAL, "the VMM's answer is no JSON: %s",
                           error.text);
    *ret_result = value;
    return 0;
}

int stasis_control_run_metrics(struct stasis_control *control, struct stasis_control_call *call,
                               const struct stasis_control_args *args, json_t **ret_result,
                               struct stasis_control_failure *failure)
{
    const enum stasis_vmm_metrics_format format = (enum stasis_vmm_metrics_format)args->format;
    char *text;
    int rc = control->ops->metrics(control->ctx, format, &text, &failure->err);

    (void)call;
    if (rc || format == STASIS_VMM_METRICS_JSON)
        return rc ? rc : parse_own(text, ret_result, failure);
    *ret_result = json_pack("{s:o}", "text", stasis_control_text(text));
    free(text);
    return 0;
}

int stasis_control_run_config(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure)
{
    char *text;
    int rc = control->ops->config(control->ctx, &text, &failure->err);

    (void)call;
    (void)args;
    return rc ? rc : parse_own(text, ret_result, failure);
}

int stasis_control_run_subscribe(struct stasis_control *control, struct stasis_control_call *call,
                                 const struct stasis_control_args *args, json_t **ret_result,
                                 struct stasis_control_failure *failure)
{
    (void)control;
    (void)args;
    (void)ret_result;
    (void)failure;
    stasis_control_call_subscribe(call);
    return 0;
}

/* The end may come within stop(), so the answer goes first. */
int stasis_control_run_quit(struct stasis_control *control, struct stasis_control_call *call,
                            const struct stasis_control_args *args, json_t **ret_result,
                            struct stasis_control_failure *failure)
{
    (void)call;
    (void)args;
    (void)ret_result;
    (void)failure;
    control->stop = true;
    return 0;
}
