/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The server of a control socket: clients, requests, answers, events. It knows no methods. All
 * memory is bounded, and no client can make it wait:
 * - a client whose answers are not read is not read from either;
 * - a client that does not read its events loses them, and is told how many;
 * - a client gets few turns before the others do.
 *
 * Threads: all functions of a server belong to one thread.
 */
#ifndef STASIS_VMM_CONTROL_SERVER_H
#define STASIS_VMM_CONTROL_SERVER_H

#include "vmm/control/descriptors.h"
#include "vmm/control/message.h"

#define STASIS_CONTROL_CLIENTS_MAX 16
/* Bytes for a client that it has not read: above the first, it is not read from; above the second,
 * it loses events. One answer may exceed the first. */
#define STASIS_CONTROL_UNREAD_PAUSE 65536
#define STASIS_CONTROL_UNREAD_MAX   262144

struct stasis_control_server;
struct stasis_control_client;

/* A request that has not been answered. */
struct stasis_control_call {
    struct stasis_control_request request; /* with a method */
    struct stasis_control_fds fds;         /* that came with it; closed with the call */
    void *owner;                           /* the handler's */

    struct stasis_control_server *server; /* private, and the rest too */
    struct stasis_control_client *client; /* NULL: it has gone */
    struct stasis_control_call *next;
};

struct stasis_control_server_ops {
    /* Answers the call by one of the functions below, now or later. */
    void (*handle)(void *ctx, struct stasis_control_call *call);
    void *ctx;
};

/* Makes the socket (vmm/control/socket.h). */
STASIS_MUST_CHECK int stasis_control_server_open(const char *path,
                                                 const struct stasis_control_server_ops *ops,
                                                 struct stasis_control_server **ret_server,
                                                 struct stasis_error *err);

/* Sends what can be sent without waiting and closes all. Calls that are not answered are freed.
 * NULL is fine. */
void stasis_control_server_close(struct stasis_control_server *server);

const struct stasis_socket *
stasis_control_server_socket(const struct stasis_control_server *server);
void stasis_control_server_leave_folder(struct stasis_control_server *server);

/* Readable when dispatch() has something to do. */
int stasis_control_server_fd(const struct stasis_control_server *server);
/* Handles some of what has come; waits only where the handler of a call does. */
void stasis_control_server_dispatch(struct stasis_control_server *server);

/* Answers and frees the call. `result` is taken over; NULL: an empty object. */
void stasis_control_call_finish(struct stasis_control_call *call, json_t *result);
void stasis_control_call_fail(struct stasis_control_call *call,
                              const struct stasis_control_failure *failure);
/* Its client gets the events from now on. */
void stasis_control_call_subscribe(struct stasis_control_call *call);

/* Sends a notification to all who have subscribed. `params` is taken over. */
void stasis_control_server_event(struct stasis_control_server *server, const char *name,
                                 json_t *params);
bool stasis_control_server_has_subscribers(const struct stasis_control_server *server);

#endif
