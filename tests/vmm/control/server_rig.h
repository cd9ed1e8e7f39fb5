/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The server with methods of the test: "echo" answers its parameters, "later" is answered by the
 * test, "subscribe" subscribes, "fds" tells how many descriptors came, "big" answers with 60,000
 * bytes, and any other fails.
 */
#ifndef STASIS_TESTS_VMM_SERVER_RIG_H
#define STASIS_TESTS_VMM_SERVER_RIG_H

#include "control_rig.h"

extern struct stasis_control_call *later; /* the last one, that the test is to answer */
extern unsigned handled;                  /* calls since the server was opened */

void open_server(struct rig *rig);
void close_server(struct rig *rig);

#define ASK(id, method) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\"}\n"
#define TELL(method)    "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\"}\n"
#define DONE(id)        "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{}}"

#endif
