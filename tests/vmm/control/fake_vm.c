/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "fake_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "stasis/snap.h"

static void tell(struct fake_vm *vm, enum stasis_vmm_event_kind kind)
{
    const struct stasis_vmm_event event = {
        .kind = kind, .path = vm->path, .request_ctx = vm->request.ctx};

    stasis_control_event(vm->control, &event);
}

static int refuse(struct fake_vm *vm, struct stasis_error *err)
{
    int code = vm->refuse;

    vm->refuse = 0;
    return code ? stasis_fail(err, (enum stasis_err)code, "the machine refuses; set snapshot.path")
                : 0;
}

static void status(void *ctx, struct stasis_vmm_status *ret_status)
{
    const struct fake_vm *vm = ctx;

    *ret_status =
        (struct stasis_vmm_status){.state = vm->state, .paused = vm->paused, .generation = 3};
    ret_status->has_balloon = vm->has_balloon;
    ret_status->balloon_bytes = 4096;
    ret_status->balloon_target_bytes = vm->balloon_mib << 20;
    if (vm->state == STASIS_VMM_IS_SAVING) {
        ret_status->saved_bytes = 5;
        ret_status->total_bytes = 50;
    }
}

static int pause_vm(void *ctx, struct stasis_error *err)
{
    struct fake_vm *vm = ctx;
    int rc = refuse(vm, err);

    if (rc)
        return rc;
    vm->state = STASIS_VMM_IS_PAUSING;
    if (!vm->slow)
        fake_vm_end_pause(vm, 0);
    return 0;
}

static int resume_vm(void *ctx, struct stasis_error *err)
{
    struct fake_vm *vm = ctx;
    int rc = refuse(vm, err);

    if (rc)
        return rc;
    vm->state = STASIS_VMM_RUNNING;
    vm->paused = false;
    tell(vm, STASIS_VMM_EVENT_RUNNING);
    return 0;
}

static int snapshot(void *ctx, const struct stasis_snapshot_request *request,
                    struct stasis_error *err)
{
    struct fake_vm *vm = ctx;
    struct stat folder = {.st_ino = 0};
    struct stat expected = {.st_ino = 1};
    int rc = refuse(vm, err);

    if (rc)
        return rc;
    vm->request = *request;
    snprintf(vm->path, sizeof(vm->path), "%s", request->path);
    snprintf(vm->target, sizeof(vm->target), "%s",
             request->save.target ? request->save.target : "");
    snprintf(vm->parent, sizeof(vm->parent), "%s",
             request->save.parent ? request->save.parent : "");
    vm->folder_ino_matches = vm->expected && !fstat(request->folder_fd, &folder) &&
                             !stat(vm->expected, &expected) && folder.st_ino == expected.st_ino;
    vm->state = STASIS_VMM_IS_SAVING;
    tell(vm, STASIS_VMM_EVENT_SAVING);
    return 0;
}

static int cancel(void *ctx, const void *request_ctx, struct stasis_error *err)
{
    struct fake_vm *vm = ctx;
    int rc = refuse(vm, err);

    if (!rc && request_ctx && request_ctx != vm->request.ctx)
        rc = stasis_fail(err, STASIS_ERR_STATE, "that is not being saved; ask again");

    vm->cancels++;
    if (!rc && !vm->slow)
        fake_vm_end_snapshot(vm, STASIS_ERR_CANCELLED);
    return rc;
}

static int power_button(void *ctx, struct stasis_error *err)
{
    int rc = refuse(ctx, err);

    if (!rc)
        tell(ctx, STASIS_VMM_EVENT_POWER_BUTTON);
    return rc;
}

static int reset(void *ctx, struct stasis_error *err)
{
    struct fake_vm *vm = ctx;
    int rc = refuse(vm, err);

    vm->resets += !rc;
    return rc;
}

static int balloon(void *ctx, uint64_t target_mib, struct stasis_error *err)
{
    struct fake_vm *vm = ctx;
    int rc = refuse(vm, err);

    if (!rc)
        vm->balloon_mib = target_mib;
    return rc;
}

static void stop(void *ctx)
{
    struct fake_vm *vm = ctx;

    vm->stopped = true;
}

static int metrics(void *ctx, enum stasis_vmm_metrics_format format, char **ret_text,
                   struct stasis_error *err)
{
    int rc = refuse(ctx, err);

    if (!rc)
        *ret_text = strdup(format == STASIS_VMM_METRICS_JSON
                               ? "{\n\"exits\": 9223372036854775807}\n"
                               : "# TYPE stasis_exits counter\nstasis_exits_total 7\n# EOF\n");
    return rc;
}

static int config(void *ctx, char **ret_json, struct stasis_error *err)
{
    int rc = refuse(ctx, err);

    if (!rc)
        *ret_json =
            strdup("{\"demo\": true, \"memory\": {\"size_mib\": 256}, \"vcpu\": {\"num\": 1}, "
                   "\"cpu\": {\"model\": \"host\"}, \"rtc\": {\"model\": \"cmos\"}, "
                   "\"on_reset\": {\"action\": \"exit\"}, \"serial\": {\"out\": \"stdio\"}, "
                   "\"guest_errors\": {\"action\": \"count\", \"of\": \"all\"}, "
                   "\"log\": {\"level\": \"none\", \"time\": \"on\"}}");
    return rc;
}

const struct stasis_control_ops fake_vm_ops = {
    .status = status,
    .pause = pause_vm,
    .resume = resume_vm,
    .snapshot = snapshot,
    .cancel = cancel,
    .power_button = power_button,
    .reset = reset,
    .balloon = balloon,
    .stop = stop,
    .metrics = metrics,
    .config = config,
};

void fake_vm_progress(struct fake_vm *vm, uint64_t done, uint64_t total)
{
    stasis_control_progress(vm->control, STASIS_VMM_SAVING, done, total);
}

void fake_vm_end_pause(struct fake_vm *vm, int code)
{
    struct stasis_error err;

    vm->paused = !code;
    vm->state = code ? STASIS_VMM_RUNNING : STASIS_VMM_PAUSED;
    if (!code) {
        tell(vm, STASIS_VMM_EVENT_PAUSED);
        return;
    }
    (void)stasis_fail(&err, (enum stasis_err)code, "CPU 0 has not stopped");
    stasis_control_event(vm->control, &(struct stasis_vmm_event){
                                          .kind = STASIS_VMM_EVENT_PAUSE_FAILED, .err = &err});
}

void fake_vm_end_snapshot(struct fake_vm *vm, int code)
{
    const struct stasis_save_stats stats = {.file_bytes = 70, .stored_bytes = 60, .zero_bytes = 40};
    const uint8_t root[32] = {0xab, [31] = 0x0c};
    struct stasis_error err;
    struct stasis_vmm_event event = {.kind = STASIS_VMM_EVENT_SAVED,
                                     .path = vm->path,
                                     .request_ctx = vm->request.ctx,
                                     .stats = &stats,
                                     .root = root,
                                     .layer = vm->parent[0] != '\0',
                                     .pause_us = 1234};

    vm->state = vm->paused ? STASIS_VMM_PAUSED : STASIS_VMM_RUNNING;
    if (code) {
        (void)stasis_fail(&err, (enum stasis_err)code, "%s: it was given up", vm->path);
        event = (struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_SAVE_FAILED,
                                          .path = vm->path,
                                          .request_ctx = vm->request.ctx,
                                          .err = &err};
    }
    stasis_control_event(vm->control, &event);
}

void fake_vm_guest_error(struct fake_vm *vm, const char *device)
{
    const struct stasis_vmm_guest_error error = {.kind = "write_only",
                                                 .device = device,
                                                 .text = "read of it",
                                                 .address = 0xd000001c,
                                                 .len = 4,
                                                 .is_mmio = true,
                                                 .suppressed = 7};

    stasis_control_event(
        vm->control,
        &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_GUEST_ERROR, .guest_error = &error});
}

void fake_vm_end(struct fake_vm *vm, enum stasis_vmm_reason reason)
{
    struct stasis_vmm_end end = {.reason = reason};
    const struct stasis_vmm_event event = {.kind = STASIS_VMM_EVENT_ENDED, .end = &end};

    if (reason == STASIS_VMM_CRASHED)
        (void)stasis_fail(&end.crash, STASIS_ERR_GUEST, "triple fault");
    vm->state = STASIS_VMM_HAS_ENDED;
    stasis_control_event(vm->control, &event);
}
