/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One connection of a server: bytes in, bytes out. Private to the server.
 */
#ifndef STASIS_VMM_CONTROL_CLIENT_H
#define STASIS_VMM_CONTROL_CLIENT_H

#include <stdint.h>

#include "vmm/control/line.h"
#include "vmm/control/server.h"

struct stasis_control_client {
    struct stasis_control_client *next;
    int fd;
    uint32_t watched; /* events that epoll reports */
    bool subscribed;
    bool ended;          /* it sends nothing any more */
    bool dead;           /* to be freed when nobody uses it */
    unsigned open_calls; /* without an answer */
    uint64_t dropped;    /* events that it has not been told of */
    char *unread;        /* what it has not read: from unread_start to unread_len */
    size_t unread_start, unread_len, unread_size;
    struct stasis_control_lines lines;
};

/* Takes over the descriptor; NULL without memory. */
struct stasis_control_client *stasis_control_client_new(int fd);
void stasis_control_client_free(struct stasis_control_client *client);

/* Queues a line and frees it. Without memory, and for NULL, the client is dead: it cannot know what
 * became of its request. */
void stasis_control_client_put(struct stasis_control_client *client, char *line);
/* The same for an event, which may be dropped; `line` stays the caller's. */
void stasis_control_client_put_event(struct stasis_control_client *client, const char *line);

/* Sends what the kernel takes. */
void stasis_control_client_flush(struct stasis_control_client *client);

/* Whether it may be read from. */
bool stasis_control_client_may_ask(const struct stasis_control_client *client);
/* Events to be watched for. 0: hang-up and errors only. */
uint32_t stasis_control_client_wants(const struct stasis_control_client *client);
/* Whether nothing is left to do for it. */
bool stasis_control_client_is_done(const struct stasis_control_client *client);

#endif
