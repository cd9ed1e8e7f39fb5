/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Clients of a control server that runs in the same thread: what a client has sent is handled when
 * rig_pump() returns, without a wait.
 */
#ifndef STASIS_TESTS_CONTROL_RIG_H
#define STASIS_TESTS_CONTROL_RIG_H

#include "support/cmocka_all.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "vmm/control/control.h"
#include "vmm/control/server.h"

struct rig {
    char folder[64];
    char path[96];
    struct stasis_control_server *server; /* one of the two */
    struct stasis_control *control;
};

void rig_init(struct rig *rig);
/* Removes the folder, in which nothing may be left. */
void rig_fini(struct rig *rig);

/* Lets the server do all that there is to do. */
void rig_pump(struct rig *rig);

int rig_connect(const struct rig *rig);
/* Sends all of it, and lets the server work in between. */
void rig_send(struct rig *rig, int fd, const char *bytes, size_t len);
void rig_say(struct rig *rig, int fd, const char *text);
/* The same in one message, with descriptors. */
void rig_pass(struct rig *rig, int fd, const char *text, const int *fds, unsigned count);

/* The next line for this client without its newline, or NULL; valid until the next call. */
const char *rig_hear(struct rig *rig, int fd);
/* Parsed; the test fails without a line. To be freed. */
json_t *rig_hear_json(struct rig *rig, int fd);
/* What follows a request: its answer. */
const char *rig_ask(struct rig *rig, int fd, const char *text);
/* Whether the server has closed the connection. */
bool rig_closed(struct rig *rig, int fd);

/* The answer to the request is an error with this code, and its message holds the words. */
void rig_assert_refused(struct rig *rig, int fd, const char *text, int code, const char *words);

unsigned rig_open_fds(void);

#endif
