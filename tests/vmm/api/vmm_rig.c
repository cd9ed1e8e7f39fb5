/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/vmm/api/vmm_rig.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_event(void *ctx, const struct stasis_vmm_event *event)
{
    struct vmm_rig *rig = ctx;
    unsigned count = atomic_load(&rig->count);

    assert_in_range(count, 0, VMM_RIG_EVENTS - 1);
    rig->events[count] = event->kind;
    if (event->err)
        rig->save_code = event->err->code;
    if (event->err || event->stats)
        rig->save_ctx = event->request_ctx;
    if (event->root) {
        rig->layer = event->layer;
        memcpy(rig->root, event->root, sizeof(rig->root));
    }
    if (event->end)
        rig->end = *event->end;
    atomic_store(&rig->count, count + 1);
}

static void on_message(void *ctx, const char *line)
{
    struct vmm_rig *rig = ctx;

    fprintf(stderr, "message: %s\n", line);
    snprintf(rig->message, sizeof(rig->message), "%s", line);
    rig->messages++;
}

static void on_fatal(void *ctx, const struct stasis_error *err)
{
    (void)ctx;
    fprintf(stderr, "fatal: %s\n", err->msg);
    _exit(99);
}

void vmm_rig_init(struct vmm_rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    session_folder_init(&rig->folder);
    snprintf(rig->serial, sizeof(rig->serial), "%s/serial", rig->folder.path);
    rig->config.demo = true;
    rig->config.memory_mib = 8;
    rig->config.serial.kind = STASIS_VMM_SERIAL_FILE;
    rig->config.serial.path = rig->serial;
}

void vmm_rig_fini(struct vmm_rig *rig)
{
    stasis_vmm_free(rig->vmm);
    session_folder_fini(&rig->folder);
}

void vmm_rig_open(struct vmm_rig *rig)
{
    const struct stasis_vmm_ops ops = {
        .ctx = rig, .event = on_event, .message = on_message, .fatal = on_fatal};
    struct stasis_error err;

    kvm_ok(stasis_vmm_new(&rig->config, &ops, &rig->vmm, &err), &err);
}

static void *run(void *arg)
{
    struct vmm_rig *rig = arg;
    struct stasis_vmm_end end;
    struct stasis_error err;

    kvm_ok(stasis_vmm_run(rig->vmm, &end, &err), &err);
    assert_int_equal(end.reason, rig->end.reason);
    return NULL;
}

void vmm_rig_run(struct vmm_rig *rig)
{
    assert_int_equal(pthread_create(&rig->thread, NULL, run, rig), 0);
}

void vmm_rig_join(struct vmm_rig *rig)
{
    assert_int_equal(pthread_join(rig->thread, NULL), 0);
    rig->thread = 0;
}

/* What the loop of an embedder does. */
static void turn(struct vmm_rig *rig)
{
    struct pollfd wait = {.fd = stasis_vmm_fd(rig->vmm), .events = POLLIN};
    struct stasis_error err;

    if (rig->thread || poll(&wait, 1, 1) != 1)
        return;
    kvm_ok(stasis_vmm_dispatch(rig->vmm, &err), &err);
}

static bool has_text(const struct vmm_rig *rig, const char *text)
{
    static char bytes[65536];
    size_t len = session_read_file(rig->serial, bytes, sizeof(bytes) - 1);

    bytes[len] = '\0';
    return strstr(bytes, text) != NULL;
}

void vmm_rig_wait_text(struct vmm_rig *rig, const char *text)
{
    kvm_wait((turn(rig), has_text(rig, text)));
}

unsigned vmm_rig_events(const struct vmm_rig *rig, enum stasis_vmm_event_kind kind)
{
    unsigned count = atomic_load(&rig->count);
    unsigned found = 0;

    for (unsigned i = 0; i < count; i++)
        found += rig->events[i] == kind;
    return found;
}

void vmm_rig_wait_event(struct vmm_rig *rig, enum stasis_vmm_event_kind kind, unsigned count)
{
    kvm_wait((turn(rig), vmm_rig_events(rig, kind) >= count));
}

enum stasis_vmm_state vmm_rig_state(struct vmm_rig *rig)
{
    struct stasis_vmm_status status;

    stasis_vmm_status(rig->vmm, &status);
    return status.state;
}

const char *vmm_rig_path(struct vmm_rig *rig, const char *name)
{
    static char paths[2][160];
    static unsigned turn_of;

    turn_of ^= 1;
    snprintf(paths[turn_of], sizeof(paths[0]), "%s/%s", rig->folder.path, name);
    return paths[turn_of];
}
