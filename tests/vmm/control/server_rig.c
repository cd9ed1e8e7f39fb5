/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "server_rig.h"

#include <stdlib.h>
#include <string.h>

struct stasis_control_call *later;
unsigned handled;

static void handle(void *ctx, struct stasis_control_call *call)
{
    const char *method = call->request.method;
    struct stasis_control_failure failure = {.err.code = STASIS_OK};

    (void)ctx;
    handled++;
    if (strcmp(method, "later") == 0) {
        later = call;
    } else if (strcmp(method, "echo") == 0) {
        stasis_control_call_finish(call, json_incref(call->request.params));
    } else if (strcmp(method, "fds") == 0) {
        stasis_control_call_finish(call, json_pack("{s:i}", "count", (int)call->fds.count));
    } else if (strcmp(method, "subscribe") == 0) {
        stasis_control_call_subscribe(call);
        stasis_control_call_finish(call, NULL);
    } else if (strcmp(method, "big") == 0) {
        char *text = malloc(60001);

        memset(text, 'x', 60000);
        text[60000] = '\0';
        stasis_control_call_finish(call, json_pack("{s:s}", "text", text));
        free(text);
    } else {
        (void)stasis_fail(&failure.err, STASIS_ERR_NOT_FOUND, "x: it is gone; take another");
        stasis_control_call_fail(call, &failure);
    }
}

void open_server(struct rig *rig)
{
    const struct stasis_control_server_ops ops = {.handle = handle};

    rig_init(rig);
    handled = 0;
    assert_int_equal(stasis_control_server_open(rig->path, &ops, &rig->server, NULL), 0);
}

void close_server(struct rig *rig)
{
    stasis_control_server_close(rig->server);
    rig_fini(rig);
}
