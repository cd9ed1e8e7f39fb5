/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/control/control_internal.h"
#include "vmm/host/socket.h"

/* ---- requests ---- */

static int check(const struct stasis_control *control, const struct stasis_control_call *call,
                 const struct stasis_control_method *method, struct stasis_control_args *ret_args,
                 struct stasis_control_failure *failure)
{
    struct stasis_vmm_status status;
    int rc;

    if (!method)
        return stasis_control_fail(failure, STASIS_CONTROL_METHOD_NOT_FOUND,
                                   "there is no method %.60s; see vmm-control(7)",
                                   call->request.method);
    if (call->fds.count > (method->takes_folder ? 1 : 0))
        return stasis_control_fail(failure, STASIS_CONTROL_INVALID_PARAMS,
                                   "%s takes %s; leave out the rest", method->name,
                                   method->takes_folder ? "one descriptor" : "no descriptor");
    rc = stasis_control_args_parse(method, call->request.params, ret_args, failure);
    if (rc || !method->needs)
        return rc;
    control->ops->status(control->ctx, &status);
    return stasis_control_state_check(method, &status, failure);
}

static void handle(void *ctx, struct stasis_control_call *call)
{
    struct stasis_control *control = ctx;
    const struct stasis_control_method *method = stasis_control_method_find(call->request.method);
    struct stasis_control_failure failure = {.code = 0};
    struct stasis_control_args args;
    json_t *result = NULL;
    int rc = check(control, call, method, &args, &failure);

    if (!rc)
        rc = method->run(control, call, &args, &result, &failure);
    if (!rc)
        stasis_control_call_finish(call, result);
    else if (rc < 0)
        stasis_control_call_fail(call, &failure);
    if (control->stop) {
        control->stop = false;
        control->ops->stop(control->ctx);
    }
}

/* ---- life ---- */

static int open_dir(const char *dir, int *ret_fd, struct stasis_error *err)
{
    int fd;

    if (!dir)
        return 0;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_ARG, "%s: cannot open the folder", dir);
    *ret_fd = fd;
    return 0;
}

int stasis_control_check(const struct stasis_control_config *config, struct stasis_error *err)
{
    int fd = -1, rc = open_dir(config->dir, &fd, err);

    if (fd >= 0)
        close(fd);
    if (rc)
        return rc;
    rc = stasis_socket_check(config->path, err);
    return rc ? stasis_wrap(err, rc, "%s", config->path) : 0;
}

int stasis_control_open(const struct stasis_control_config *config,
                        const struct stasis_control_ops *ops, struct stasis_control **ret_control,
                        struct stasis_error *err)
{
    struct stasis_control *control = malloc(sizeof(*control));
    const struct stasis_control_server_ops server_ops = {.handle = handle, .ctx = control};
    int rc;

    if (!control)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the control socket");
    *control = (struct stasis_control){.ops = ops, .dir_fd = -1};
    json_object_seed(0); /* by /dev/urandom, which may not be found later */
    rc = open_dir(config->dir, &control->dir_fd, err);
    if (!rc)
        rc = stasis_control_server_open(config->path, &server_ops, &control->server, err);
    if (rc) {
        stasis_control_close(control);
        return rc;
    }
    *ret_control = control;
    return 0;
}

void stasis_control_set_ctx(struct stasis_control *control, void *ctx)
{
    control->ctx = ctx;
}

const struct stasis_socket *stasis_control_socket(const struct stasis_control *control)
{
    return control ? stasis_control_server_socket(control->server) : NULL;
}

void stasis_control_leave_folder(struct stasis_control *control)
{
    if (control)
        stasis_control_server_leave_folder(control->server);
}

int stasis_control_fd(const struct stasis_control *control)
{
    return stasis_control_server_fd(control->server);
}

void stasis_control_dispatch(struct stasis_control *control)
{
    stasis_control_server_dispatch(control->server);
}

/* ---- what a client waits for ---- */

/* Answers the call, of which there may be none, and forgets it. */
static void end_call(struct stasis_control_call **at, json_t *result,
                     const struct stasis_error *err)
{
    struct stasis_control_call *call = *at;
    struct stasis_control_failure failure = {.code = 0};

    *at = NULL;
    if (!call) {
        json_decref(result);
        return;
    }
    if (!err) {
        stasis_control_call_finish(call, result);
        return;
    }
    failure.err = *err;
    stasis_control_call_fail(call, &failure);
}

void stasis_control_add_snapshot(struct stasis_control *control, struct stasis_control_call *call)
{
    call->owner = control->snapshots;
    control->snapshots = call;
}

static struct stasis_control_call *take_snapshot(struct stasis_control *control,
                                                 const struct stasis_control_call *call)
{
    struct stasis_control_call *before = NULL;
    struct stasis_control_call *found = control->snapshots;

    while (found && found != call) {
        before = found;
        found = found->owner;
    }
    if (found && before)
        before->owner = found->owner;
    else if (found)
        control->snapshots = found->owner;
    return found;
}

void stasis_control_remove_snapshot(struct stasis_control *control,
                                    const struct stasis_control_call *call)
{
    (void)take_snapshot(control, call);
}

/* Of a request of a client's, or of another one, which is not ours to answer. */
static void end_snapshot(struct stasis_control *control, const struct stasis_vmm_event *event,
                         json_t *result)
{
    struct stasis_control_call *call = take_snapshot(control, event->request_ctx);

    end_call(&call, result, event->err);
}

void stasis_control_close(struct stasis_control *control)
{
    struct stasis_error err;

    if (!control)
        return;
    (void)stasis_fail(&err, STASIS_ERR_CANCELLED, "the VM ended before the snapshot was complete");
    while (control->snapshots) {
        struct stasis_control_call *call = take_snapshot(control, control->snapshots);

        end_call(&call, NULL, &err);
    }
    (void)stasis_fail(&err, STASIS_ERR_CANCELLED, "the VM ended before the guest was paused");
    end_call(&control->pause, NULL, &err);
    stasis_control_server_close(control->server);
    if (control->dir_fd >= 0)
        close(control->dir_fd);
    free(control);
}

/* ---- events ---- */

static const char *reason_name(enum stasis_vmm_reason reason)
{
    switch (reason) {
    case STASIS_VMM_RESET:
        return "reset";
    case STASIS_VMM_CRASHED:
        return "crashed";
    case STASIS_VMM_FROZEN:
        return "frozen";
    case STASIS_VMM_QUIT:
        return "quit";
    case STASIS_VMM_STOPPED:
        return "stopped";
    case STASIS_VMM_INVALID_ACCESS:
        return "invalid_access";
    case STASIS_VMM_POWERED_OFF:
        return "powered_off";
    }
    return "unknown";
}

static json_t *root_of(const struct stasis_vmm_event *event)
{
    char digits[STASIS_VMM_ROOT_DIGITS + 1];

    for (size_t i = 0; event->root && i < STASIS_VMM_ROOT_DIGITS / 2; i++)
        snprintf(digits + 2 * i, 3, "%02x", event->root[i]);
    return event->root ? json_string(digits) : NULL;
}

static json_t *saved(const struct stasis_vmm_event *event)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:o*, s:b}", "name",
                     stasis_control_text(event->path), "file_bytes",
                     (json_int_t)event->stats->file_bytes, "stored_bytes",
                     (json_int_t)event->stats->stored_bytes, "zero_bytes",
                     (json_int_t)event->stats->zero_bytes, "pause_us", (json_int_t)event->pause_us,
                     "root", root_of(event), "layer", (int)event->layer);
}

static json_t *file(const struct stasis_vmm_event *event)
{
    return json_pack("{s:o}", "name", stasis_control_text(event->path));
}

static json_t *failed(const struct stasis_vmm_event *event)
{
    const struct stasis_control_failure failure = {.err = *event->err};

    return json_pack("{s:o, s:o}", "name", stasis_control_text(event->path), "error",
                     stasis_control_failure_data(&failure, true));
}

static json_t *pause_failed(const struct stasis_vmm_event *event)
{
    const struct stasis_control_failure failure = {.err = *event->err};

    return json_pack("{s:o}", "error", stasis_control_failure_data(&failure, true));
}

static json_t *guest_error(const struct stasis_vmm_guest_error *error)
{
    json_t *params =
        json_pack("{s:s, s:o, s:I, s:i, s:b, s:b, s:I}", "kind", error->kind, "text",
                  stasis_control_text(error->text), "address", (json_int_t)error->address, "len",
                  (int)error->len, "is_mmio", error->is_mmio, "is_write", error->is_write,
                  "suppressed", (json_int_t)error->suppressed);

    if (error->device)
        (void)!json_object_set_new(params, "device", stasis_control_text(error->device));
    return params;
}

static json_t *ended(const struct stasis_vmm_event *event)
{
    const struct stasis_vmm_end *end = event->end;
    const struct stasis_control_failure failure = {.err =
                                                       end->crash.code ? end->crash : end->missing};
    json_t *params = json_pack("{s:s}", "reason", reason_name(end->reason));

    if (failure.err.code)
        (void)!json_object_set_new(params, "error", stasis_control_failure_data(&failure, true));
    return params;
}

void stasis_control_event(struct stasis_control *control, const struct stasis_vmm_event *event)
{
    if (!control)
        return;
    switch (event->kind) {
    case STASIS_VMM_EVENT_RUNNING:
        stasis_control_server_event(control->server, "running", NULL);
        break;
    case STASIS_VMM_EVENT_PAUSED:
        stasis_control_server_event(control->server, "paused", NULL);
        end_call(&control->pause, NULL, NULL);
        break;
    case STASIS_VMM_EVENT_PAUSE_FAILED:
        stasis_control_server_event(control->server, "pause_failed", pause_failed(event));
        end_call(&control->pause, NULL, event->err);
        break;
    case STASIS_VMM_EVENT_SAVING:
        control->percent = 0;
        stasis_control_server_event(control->server, "snapshot_started", file(event));
        break;
    case STASIS_VMM_EVENT_SAVED:
        stasis_control_server_event(control->server, "snapshot_done", saved(event));
        end_snapshot(control, event, saved(event));
        break;
    case STASIS_VMM_EVENT_SAVE_FAILED:
        stasis_control_server_event(control->server, "snapshot_failed", failed(event));
        end_snapshot(control, event, NULL);
        break;
    case STASIS_VMM_EVENT_GUEST_ERROR:
        stasis_control_server_event(control->server, "guest_error",
                                    guest_error(event->guest_error));
        break;
    case STASIS_VMM_EVENT_POWER_BUTTON:
        stasis_control_server_event(control->server, "power_button", NULL);
        break;
    case STASIS_VMM_EVENT_RESET:
        stasis_control_server_event(control->server, "reset", NULL);
        break;
    case STASIS_VMM_EVENT_ENDED:
        stasis_control_server_event(control->server, "ended", ended(event));
        break;
    case STASIS_VMM_EVENT_KEYS:
    case STASIS_VMM_EVENT_ENDING:
        break;
    }
}

void stasis_control_progress(struct stasis_control *control, enum stasis_vmm_work work,
                             uint64_t done, uint64_t total)
{
    unsigned percent = total ? (unsigned)((double)done / (double)total * 100) : 100;

    if (!control || work != STASIS_VMM_SAVING || percent <= control->percent)
        return;
    control->percent = percent;
    stasis_control_server_event(
        control->server, "snapshot_progress",
        json_pack("{s:I, s:I}", "saved_bytes", (json_int_t)done, "total_bytes", (json_int_t)total));
}
