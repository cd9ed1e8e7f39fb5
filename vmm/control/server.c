/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A client that fails is only marked as dead, since whoever notices it may be called by what serves
 * that client. settle() frees it, when the outermost function of the server returns.
 */
#include "vmm/control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/control/client.h"
#include "vmm/host/socket.h"

#define EVENTS_A_DISPATCH 16
#define LINES_A_TURN      64
#define DEAF_NS           200000000

struct stasis_control_server {
    struct stasis_control_server_ops ops;
    struct stasis_socket socket;
    int epoll_fd;
    int spare_fd;   /* closed to accept and refuse a client when the process has none left, or -1 */
    int timer_fd;   /* runs while there is no spare_fd */
    unsigned depth; /* of functions of the server */
    struct stasis_control_client *clients;
    unsigned client_count;
    struct stasis_control_call *calls;
};

/* ---- clients ---- */

static void watch(struct stasis_control_server *server, struct stasis_control_client *client)
{
    uint32_t wants = stasis_control_client_wants(client);
    struct epoll_event event = {.events = wants, .data.ptr = client};

    if (wants != client->watched && epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, client->fd, &event))
        client->dead = true;
    client->watched = wants;
}

static void forget_client(struct stasis_control_server *server,
                          struct stasis_control_client *client)
{
    for (struct stasis_control_call *call = server->calls; call; call = call->next)
        if (call->client == client)
            call->client = NULL;
    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
    stasis_control_client_free(client);
    server->client_count--;
}

/* Sends what there is, frees whom nobody serves any more, and says what to wait for. */
static void settle(struct stasis_control_server *server)
{
    struct stasis_control_client **at = &server->clients;

    while (*at) {
        struct stasis_control_client *client = *at;

        stasis_control_client_flush(client);
        watch(server, client);
        if (stasis_control_client_is_done(client)) {
            *at = client->next;
            forget_client(server, client);
        } else {
            at = &client->next;
        }
    }
}

static void enter(struct stasis_control_server *server)
{
    server->depth++;
}

static void leave(struct stasis_control_server *server)
{
    if (server->depth == 1)
        settle(server);
    server->depth--;
}

/* ---- requests ---- */

static void answer_failure(struct stasis_control_client *client, const json_t *id,
                           const struct stasis_control_failure *failure)
{
    stasis_control_client_put(client, stasis_control_failure_line(id, failure));
}

static void start_call(struct stasis_control_server *server, struct stasis_control_client *client,
                       struct stasis_control_request *request, struct stasis_control_fds *fds)
{
    struct stasis_control_call *call = calloc(1, sizeof(*call));

    if (!call) {
        client->dead = true;
        stasis_control_request_free(request);
        stasis_control_fds_close(fds);
        return;
    }
    *call = (struct stasis_control_call){
        .request = *request, .server = server, .client = client, .next = server->calls};
    stasis_control_fds_move(&call->fds, fds);
    server->calls = call;
    client->open_calls++;
    server->ops.handle(server->ops.ctx, call);
}

/* A notification is not answered, whatever becomes of it. What is no request at all is none. */
static bool has_answer(const struct stasis_control_request *request,
                       const struct stasis_control_failure *failure)
{
    return request->id || failure->code == STASIS_CONTROL_PARSE_ERROR ||
           failure->code == STASIS_CONTROL_INVALID_REQUEST;
}

static void serve_line(struct stasis_control_server *server, struct stasis_control_client *client,
                       struct stasis_control_line *line)
{
    struct stasis_control_failure failure = {.code = 0};
    struct stasis_control_request request = {.message = NULL};
    int rc = 0;

    if (line->too_long)
        rc = stasis_control_fail(&failure, STASIS_CONTROL_INVALID_REQUEST,
                                 "the line has more than %d bytes; send a shorter one",
                                 STASIS_CONTROL_LINE_MAX - 1);
    if (!rc)
        rc = stasis_control_request_parse(line->text, line->len, &request, &failure);
    if (!rc && line->fds.lost)
        rc = stasis_control_fail(
            &failure, STASIS_CONTROL_INVALID_PARAMS,
            "not all descriptors of the request could be taken; send at most %d, and give "
            "the VMM a higher limit of open files if that is enough",
            STASIS_CONTROL_FDS_MAX);
    if (!rc) {
        start_call(server, client, &request, &line->fds);
        return;
    }
    if (has_answer(&request, &failure))
        answer_failure(client, request.id, &failure);
    stasis_control_request_free(&request);
    stasis_control_fds_close(&line->fds);
}

static void serve_lines(struct stasis_control_server *server, struct stasis_control_client *client)
{
    struct stasis_control_line line;

    for (unsigned i = 0; i < LINES_A_TURN; i++) {
        if (!stasis_control_client_may_ask(client) ||
            !stasis_control_lines_next(&client->lines, &line))
            return;
        serve_line(server, client, &line);
        if (!stasis_control_client_may_ask(client))
            stasis_control_client_flush(client);
    }
}

static void receive(struct stasis_control_client *client)
{
    ssize_t got = stasis_control_lines_receive(&client->lines, client->fd);

    if (got == 0)
        client->ended = true;
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        client->dead = true;
}

static void serve(struct stasis_control_server *server, struct stasis_control_client *client,
                  uint32_t events)
{
    stasis_control_client_flush(client);
    if (!client->ended && stasis_control_client_may_ask(client) &&
        !stasis_control_lines_has_next(&client->lines))
        receive(client);
    serve_lines(server, client);
    if (events & (EPOLLHUP | EPOLLERR) && client->ended &&
        !stasis_control_lines_has_next(&client->lines))
        client->dead = true;
}

/* ---- connections ---- */

static void refuse(int fd)
{
    struct stasis_control_failure failure = {.name = "TOO_MANY_CLIENTS"};
    char *line;

    (void)stasis_fail(&failure.err, STASIS_ERR_FULL,
                      "there are %d clients already; end one of them", STASIS_CONTROL_CLIENTS_MAX);
    line = stasis_control_failure_line(NULL, &failure);
    if (line)
        (void)!stasis_control_send(fd, line, strlen(line), -1, MSG_DONTWAIT);
    free(line);
    close(fd);
}

static void add_client(struct stasis_control_server *server, int fd)
{
    struct stasis_control_client *client = stasis_control_client_new(fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    if (!client) {
        close(fd);
        return;
    }
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        stasis_control_client_free(client);
        return;
    }
    client->watched = EPOLLIN;
    client->next = server->clients;
    server->clients = client;
    server->client_count++;
}

static void set_deaf(struct stasis_control_server *server, bool deaf)
{
    struct epoll_event event = {.events = deaf ? 0 : EPOLLIN, .data.ptr = NULL};
    const struct timespec wait = {.tv_nsec = deaf ? DEAF_NS : 0};
    const struct itimerspec time = {.it_value = wait, .it_interval = wait};

    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->socket.fd, &event);
    (void)timerfd_settime(server->timer_fd, 0, &time, NULL);
}

/* Without one, the socket would be ready for ever. */
static void take_spare(struct stasis_control_server *server)
{
    server->spare_fd = fcntl(server->socket.fd, F_DUPFD_CLOEXEC, 0);
    set_deaf(server, server->spare_fd < 0);
}

/* Without a descriptor for it a client would wait in the queue, and its report would not end. */
static void turn_away(struct stasis_control_server *server)
{
    int fd;

    close(server->spare_fd);
    fd = accept4(server->socket.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    take_spare(server);
}

static void try_again(struct stasis_control_server *server)
{
    uint64_t times;

    (void)!read(server->timer_fd, &times, sizeof(times));
    if (server->spare_fd < 0)
        take_spare(server);
}

static void accept_client(struct stasis_control_server *server)
{
    int fd = accept4(server->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE))
        turn_away(server);
    if (fd < 0)
        return;
    if (server->client_count == STASIS_CONTROL_CLIENTS_MAX)
        refuse(fd);
    else
        add_client(server, fd);
}

/* ---- life ---- */

static int open_epoll(struct stasis_control_server *server, struct stasis_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    struct epoll_event timer = {.events = EPOLLIN, .data.ptr = server};

    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    server->spare_fd = fcntl(server->socket.fd, F_DUPFD_CLOEXEC, 0);
    if (server->epoll_fd < 0 || server->spare_fd < 0 || server->timer_fd < 0 ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->timer_fd, &timer) ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->socket.fd, &event))
        return stasis_fail_errno(err, STASIS_ERR_IO, "cannot watch the control socket");
    return 0;
}

int stasis_control_server_open(const char *path, const struct stasis_control_server_ops *ops,
                               struct stasis_control_server **ret_server, struct stasis_error *err)
{
    struct stasis_control_server *server = malloc(sizeof(*server));
    int rc;

    if (!server)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    *server = (struct stasis_control_server){
        .ops = *ops, .socket = STASIS_SOCKET_NONE, .epoll_fd = -1, .spare_fd = -1, .timer_fd = -1};
    rc = stasis_socket_listen(&server->socket, path, err);
    rc = rc ? stasis_wrap(err, rc, "%s", path) : open_epoll(server, err);
    if (rc) {
        stasis_control_server_close(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

static void free_call(struct stasis_control_call *call)
{
    stasis_control_request_free(&call->request);
    stasis_control_fds_close(&call->fds);
    free(call);
}

void stasis_control_server_leave_folder(struct stasis_control_server *server)
{
    stasis_socket_leave_folder(&server->socket);
}

const struct stasis_socket *stasis_control_server_socket(const struct stasis_control_server *server)
{
    return &server->socket;
}

void stasis_control_server_close(struct stasis_control_server *server)
{
    if (!server)
        return;
    while (server->calls) {
        struct stasis_control_call *call = server->calls;

        server->calls = call->next;
        free_call(call);
    }
    while (server->clients) {
        struct stasis_control_client *client = server->clients;

        server->clients = client->next;
        stasis_control_client_flush(client);
        stasis_control_client_free(client);
    }
    stasis_socket_close(&server->socket);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    if (server->timer_fd >= 0)
        close(server->timer_fd);
    free(server);
}

int stasis_control_server_fd(const struct stasis_control_server *server)
{
    return server->epoll_fd;
}

/* Events are taken one at a time: what serves one client may free another. */
void stasis_control_server_dispatch(struct stasis_control_server *server)
{
    struct epoll_event event;

    for (unsigned i = 0; i < EVENTS_A_DISPATCH; i++) {
        if (epoll_wait(server->epoll_fd, &event, 1, 0) <= 0)
            return;
        enter(server);
        if (event.data.ptr == server)
            try_again(server);
        else if (event.data.ptr)
            serve(server, event.data.ptr, event.events);
        else
            accept_client(server);
        leave(server);
    }
}

/* ---- answers and events ---- */

static void end_call(struct stasis_control_call *call, char *line)
{
    struct stasis_control_server *server = call->server;
    struct stasis_control_call **at = &server->calls;

    enter(server);
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (call->client) {
        call->client->open_calls--;
        if (call->request.id)
            stasis_control_client_put(call->client, line);
        else
            free(line);
    } else {
        free(line);
    }
    free_call(call);
    leave(server);
}

void stasis_control_call_finish(struct stasis_control_call *call, json_t *result)
{
    end_call(call, stasis_control_result_line(call->request.id, result));
}

void stasis_control_call_fail(struct stasis_control_call *call,
                              const struct stasis_control_failure *failure)
{
    end_call(call, stasis_control_failure_line(call->request.id, failure));
}

void stasis_control_call_subscribe(struct stasis_control_call *call)
{
    if (call->client)
        call->client->subscribed = true;
}

bool stasis_control_server_has_subscribers(const struct stasis_control_server *server)
{
    for (const struct stasis_control_client *client = server->clients; client;
         client = client->next)
        if (client->subscribed)
            return true;
    return false;
}

void stasis_control_server_event(struct stasis_control_server *server, const char *name,
                                 json_t *params)
{
    char *line;

    if (!stasis_control_server_has_subscribers(server)) {
        json_decref(params);
        return;
    }
    line = stasis_control_request_line(NULL, name, params);
    enter(server);
    for (struct stasis_control_client *client = server->clients; client; client = client->next)
        if (client->subscribed && line)
            stasis_control_client_put_event(client, line);
        else if (client->subscribed)
            client->dropped++;
    leave(server);
    free(line);
}
