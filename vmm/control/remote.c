/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/remote.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/control/socket.h"

#define ID 1

/* ---- lines ---- */

static int no_server(struct stasis_error *err, const char *what)
{
    return stasis_fail(err, STASIS_ERR_IO, "%s: this is no control socket of vmm; check the path",
                       what);
}

static int grow(struct stasis_control_remote *remote, struct stasis_error *err)
{
    size_t size = remote->size ? 2 * remote->size : 4096;
    char *bytes;

    if (remote->len < remote->size)
        return 0;
    if (size > STASIS_CONTROL_ANSWER_MAX)
        return no_server(err, "the server sends a line without end");
    bytes = realloc(remote->bytes, size);
    if (!bytes)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the answer");
    remote->bytes = bytes;
    remote->size = size;
    return 0;
}

/* Until the server has sent something. What is readable all the time must not keep it from that. */
static void wait_and_watch(const struct stasis_control_remote *remote)
{
    const struct stasis_control_remote_ops *ops = remote->ops;
    struct pollfd polls[] = {{.fd = remote->fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};

    if (!ops)
        return;
    polls[1].fd = ops->fd;
    do {
        if (poll(polls, 2, -1) > 0 && polls[1].revents)
            ops->ready(ops->ctx);
    } while (!polls[0].revents);
}

/* Returns 1, or 0 at the end. */
static int receive(struct stasis_control_remote *remote, struct stasis_error *err)
{
    ssize_t got;
    int rc;

    if (remote->len > remote->start)
        memmove(remote->bytes, remote->bytes + remote->start, remote->len - remote->start);
    remote->len -= remote->start;
    remote->start = 0;
    rc = grow(remote, err);
    if (rc)
        return rc;
    wait_and_watch(remote);
    do
        got = recv(remote->fd, remote->bytes + remote->len, remote->size - remote->len, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno != ECONNRESET)
        return stasis_fail_errno(err, STASIS_ERR_IO, "cannot read from the socket");
    remote->len += got > 0 ? (size_t)got : 0;
    return got > 0;
}

static char *find_end(const struct stasis_control_remote *remote)
{
    return remote->len ? memchr(remote->bytes + remote->start, '\n', remote->len - remote->start)
                       : NULL;
}

int stasis_control_remote_next(struct stasis_control_remote *remote, json_t **ret_message,
                               struct stasis_error *err)
{
    struct stasis_error reason;
    const char *end;
    char *line;
    json_t *message;

    while (!(end = find_end(remote))) {
        int rc = receive(remote, err);

        if (rc <= 0)
            return rc;
    }
    line = remote->bytes + remote->start;
    remote->start = (size_t)(end + 1 - remote->bytes);
    if (stasis_control_json_parse(line, (size_t)(end - line), &message, &reason))
        return no_server(err, "the server sends no JSON");
    if (!json_is_object(message)) {
        json_decref(message);
        return no_server(err, "the server sends no object");
    }
    *ret_message = message;
    return 1;
}

/* ---- the request and its answer ---- */

int stasis_control_remote_open(struct stasis_control_remote *remote, const char *path,
                               const struct stasis_control_words *words, struct stasis_error *err)
{
    struct stasis_control_remote opened = {.fd = -1, .last_id = ID};
    json_t *id = json_integer(ID);
    char *line = stasis_control_request_line(id, words->method->name, json_incref(words->params));
    size_t len = line ? strlen(line) : 0;
    int rc = line ? stasis_control_socket_connect(path, &opened.fd, err)
                  : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the request");

    /* Our requests are shorter than any socket's buffer. */
    if (!rc && stasis_control_send(opened.fd, line, len, words->folder_fd, 0) != (ssize_t)len) {
        opened.send_errno = errno;
        if (errno != EPIPE && errno != ECONNRESET)
            rc = stasis_fail_errno(err, STASIS_ERR_IO, "%s: cannot send the request", path);
    }
    json_decref(id);
    free(line);
    if (rc) {
        stasis_control_remote_close(&opened);
        return rc;
    }
    *remote = opened;
    return 0;
}

void stasis_control_remote_close(struct stasis_control_remote *remote)
{
    free(remote->bytes);
    if (remote->fd >= 0)
        close(remote->fd);
}

void stasis_control_remote_watch(struct stasis_control_remote *remote,
                                 const struct stasis_control_remote_ops *ops)
{
    remote->ops = ops;
}

int stasis_control_remote_ask(struct stasis_control_remote *remote, const char *method,
                              json_t *params, struct stasis_error *err)
{
    json_t *id = json_integer(remote->last_id + 1);
    char *line = stasis_control_request_line(id, method, params);
    size_t len = line ? strlen(line) : 0;
    int rc = line ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the request");

    if (!rc && stasis_control_send(remote->fd, line, len, -1, 0) != (ssize_t)len)
        rc = stasis_fail_errno(err, STASIS_ERR_IO, "cannot send the request");
    if (!rc)
        remote->last_id++;
    json_decref(id);
    free(line);
    return rc;
}

/* What JSON-RPC has its own codes for is wrong use of the method, or of the table of another
 * release. */
static int status_of(json_int_t code)
{
    if (code >= 1 && code <= 125)
        return (int)code;
    return code < 0 ? stasis_err_exit_status(STASIS_ERR_ARG) : 1;
}

static int take_error(const json_t *error, int *ret_status, struct stasis_error *err)
{
    const json_t *data = json_object_get(error, "data");
    const char *text = json_string_value(json_object_get(data, "message"));
    const char *remedy = json_string_value(json_object_get(data, "remedy"));

    if (!text)
        text = json_string_value(json_object_get(error, "message"));
    if (!text)
        return no_server(err, "the server sends an error without a message");
    *ret_status = status_of(json_integer_value(json_object_get(error, "code")));
    if (remedy && *remedy && !strstr(text, remedy))
        return stasis_fail(err, STASIS_ERR_IO, "%s; %s", text, remedy);
    return stasis_fail(err, STASIS_ERR_IO, "%s", text);
}

static int no_answer(const struct stasis_control_remote *remote, struct stasis_error *err)
{
    errno = remote->send_errno;
    if (errno)
        return stasis_fail_errno(err, STASIS_ERR_IO, "cannot send the request");
    return stasis_fail(err, STASIS_ERR_IO,
                       "the server closed the connection without an answer; the VM has ended");
}

/* What comes while the answer is waited for: events, and answers to what else was asked. */
static bool is_aside(const struct stasis_control_remote *remote, const json_t *message)
{
    const json_t *id = json_object_get(message, "id");
    json_int_t number = json_integer_value(id);

    if (!json_object_get(message, "method"))
        return json_is_integer(id) && number > ID && number <= remote->last_id;
    if (remote->ops)
        remote->ops->event(remote->ops->ctx, message);
    return true;
}

/* An error that belongs to no request is about the connection. */
static bool is_ours(const json_t *message)
{
    const json_t *id = json_object_get(message, "id");

    return (json_is_integer(id) && json_integer_value(id) == ID) ||
           (json_is_null(id) && json_object_get(message, "error"));
}

static int take_answer(json_t *message, json_t **ret_result, int *ret_status,
                       struct stasis_error *err)
{
    json_t *result = json_object_get(message, "result");
    const json_t *error = json_object_get(message, "error");

    if (!is_ours(message))
        return no_server(err, "the server answers a request that was not sent");
    if (json_is_object(error))
        return take_error(error, ret_status, err);
    if (!json_is_object(result))
        return no_server(err, "the server answers without a result");
    *ret_result = json_incref(result);
    return 0;
}

int stasis_control_remote_answer(struct stasis_control_remote *remote, json_t **ret_result,
                                 int *ret_status, struct stasis_error *err)
{
    json_t *message = NULL;
    int rc;

    *ret_status = stasis_err_exit_status(STASIS_ERR_IO);
    do {
        json_decref(message);
        message = NULL;
        rc = stasis_control_remote_next(remote, &message, err);
    } while (rc > 0 && is_aside(remote, message));
    if (rc == 0)
        rc = no_answer(remote, err);
    else if (rc > 0)
        rc = take_answer(message, ret_result, ret_status, err);
    json_decref(message);
    return rc;
}
