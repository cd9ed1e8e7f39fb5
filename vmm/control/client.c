/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct stasis_control_client *stasis_control_client_new(int fd)
{
    struct stasis_control_client *client = calloc(1, sizeof(*client));

    if (client)
        client->fd = fd;
    return client;
}

void stasis_control_client_free(struct stasis_control_client *client)
{
    stasis_control_lines_fini(&client->lines);
    close(client->fd);
    free(client->unread);
    free(client);
}

/* ---- what it has not read ---- */

static size_t unread(const struct stasis_control_client *client)
{
    return client->unread_len - client->unread_start;
}

static void make_room(struct stasis_control_client *client, size_t len)
{
    size_t size = client->unread_size ? client->unread_size : 4096;
    char *bytes;

    if (unread(client))
        memmove(client->unread, client->unread + client->unread_start, unread(client));
    client->unread_len -= client->unread_start;
    client->unread_start = 0;
    while (size - client->unread_len < len)
        size *= 2;
    bytes = realloc(client->unread, size);
    if (!bytes) {
        client->dead = true;
        return;
    }
    client->unread = bytes;
    client->unread_size = size;
}

static void append(struct stasis_control_client *client, const char *line)
{
    size_t len = strlen(line);

    if (client->unread_size - client->unread_len < len)
        make_room(client, len);
    if (client->dead)
        return;
    memcpy(client->unread + client->unread_len, line, len);
    client->unread_len += len;
}

void stasis_control_client_put(struct stasis_control_client *client, char *line)
{
    if (line)
        append(client, line);
    else
        client->dead = true;
    free(line);
}

void stasis_control_client_put_event(struct stasis_control_client *client, const char *line)
{
    if (client->dropped || unread(client) + strlen(line) > STASIS_CONTROL_UNREAD_MAX)
        client->dropped++;
    else
        append(client, line);
}

/* Tells of what was dropped once there is room for more. */
static void report_dropped(struct stasis_control_client *client)
{
    json_t *params;

    if (!client->dropped || unread(client) > STASIS_CONTROL_UNREAD_PAUSE)
        return;
    params = json_pack("{s:I}", "count", (json_int_t)client->dropped);
    client->dropped = 0;
    stasis_control_client_put(client, stasis_control_request_line(NULL, "dropped", params));
}

static void release_unread(struct stasis_control_client *client)
{
    free(client->unread);
    client->unread = NULL;
    client->unread_start = client->unread_len = client->unread_size = 0;
}

void stasis_control_client_flush(struct stasis_control_client *client)
{
    while (!client->dead && unread(client)) {
        ssize_t sent = stasis_control_send(client->fd, client->unread + client->unread_start,
                                           unread(client), -1, MSG_DONTWAIT);

        if (sent < 0 && errno != EAGAIN)
            client->dead = true;
        if (sent < 0)
            break;
        client->unread_start += (size_t)sent;
        report_dropped(client);
    }
    if (client->unread && !unread(client))
        release_unread(client);
}

/* ---- what it may do ---- */

bool stasis_control_client_may_ask(const struct stasis_control_client *client)
{
    return !client->dead && unread(client) <= STASIS_CONTROL_UNREAD_PAUSE;
}

uint32_t stasis_control_client_wants(const struct stasis_control_client *client)
{
    bool more = stasis_control_lines_has_next(&client->lines);
    uint32_t events = 0;

    if (unread(client) || more) /* a line that waits is taken when the socket is writable */
        events |= EPOLLOUT;
    if (!client->ended && !more && stasis_control_client_may_ask(client))
        events |= EPOLLIN;
    return events;
}

bool stasis_control_client_is_done(const struct stasis_control_client *client)
{
    return client->dead || (client->ended && !client->subscribed && !client->open_calls &&
                            !unread(client) && !stasis_control_lines_has_next(&client->lines));
}
