/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A client of a control socket whose VM is a fake one.
 */
#ifndef STASIS_TESTS_CONTROL_SESSION_H
#define STASIS_TESTS_CONTROL_SESSION_H

#include "control_rig.h"

#include "fake_vm.h"

struct session {
    struct rig rig;
    struct fake_vm vm;
    int fd;
};

/* With a folder for snapshots (--control dir=), or without. */
void session_begin(struct session *session, bool dir);
void session_end(struct session *session);

#define ASK(method) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\"}\n"
#define WITH(method, params)                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}\n"
#define DONE "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"

void session_assert_answer(struct session *session, int fd, const char *text, const char *answer);
/* What is sent when the server closes has the words. */
void session_assert_last_line(int fd, const char *words);

#endif
