/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VMM: boots the guest that is built in, freezes it when it has counted to three, thaws it, and
 * freezes it again at six. Between the two it is saved to a file of another name while it runs on.
 * The event loop is the program's own: poll(2).
 *
 *   vmm FOLDER
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <stasis/vmm.h>

struct program {
    struct stasis_vmm *vmm;
    bool ended;
    struct stasis_vmm_end end;
};

static void on_message(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "vmm: %s\n", line);
}

/* A copy beside the first freeze of a thawed guest: as soon as it runs. */
static void on_running(struct program *program)
{
    const struct stasis_snapshot_request copy = {.path = "copy.snap"};
    struct stasis_error err;

    if (stasis_vmm_snapshot(program->vmm, &copy, &err))
        fprintf(stderr, "vmm: no copy: %s\n", err.msg);
}

static void on_event(void *ctx, const struct stasis_vmm_event *event)
{
    struct program *program = ctx;

    if (event->kind == STASIS_VMM_EVENT_RUNNING)
        on_running(program);
    if (event->kind == STASIS_VMM_EVENT_ENDED) {
        program->ended = true;
        program->end = *event->end;
    }
}

static int drive(struct program *program, struct stasis_error *err)
{
    int rc = stasis_vmm_start(program->vmm, err);

    while (!rc && !program->ended) {
        struct pollfd wait = {.fd = stasis_vmm_fd(program->vmm), .events = POLLIN};

        if (poll(&wait, 1, -1) > 0)
            rc = stasis_vmm_dispatch(program->vmm, err);
    }
    return rc;
}

static void run(const struct stasis_vmm_config *config)
{
    struct program program = {.ended = false};
    const struct stasis_vmm_ops ops = {.ctx = &program, .message = on_message, .event = on_event};
    struct stasis_error err;
    int rc = stasis_vmm_new(config, &ops, &program.vmm, &err);

    if (!rc)
        rc = drive(&program, &err);
    if (!rc && program.end.reason != STASIS_VMM_FROZEN)
        rc = stasis_fail(&err, STASIS_ERR_GUEST, "the guest was not frozen");
    stasis_vmm_free(program.vmm);
    if (rc) {
        fprintf(stderr, "vmm: %s\n", err.msg);
        exit(stasis_err_exit_status(rc));
    }
}

int main(int argc, char **argv)
{
    struct stasis_vmm_config config = {
        .demo = true,
        .memory_mib = 16,
        .snapshot = {.path = "guest.snap", .on_output = "tick 3 "},
    };

    if (argc != 2 || chdir(argv[1])) {
        fprintf(stderr, "usage: vmm FOLDER\n");
        return 2;
    }
    run(&config);
    config.demo = false;
    config.restore.path = "guest.snap";
    config.snapshot.on_output = "tick 6 ";
    run(&config);
    return 0;
}
