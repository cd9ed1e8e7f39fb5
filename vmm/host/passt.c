/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/passt.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/socket.h"

/* ---- the connection ---- */

static int refuse_folder(struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_ARG,
                             "cannot open its folder; name the socket of a passt that runs");
}

static int open_folder(const char *path, struct stasis_passt *passt, struct stasis_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char folder[PATH_MAX];

    if (!*name || strlen(name) > STASIS_PASST_NAME_MAX || strlen(path) >= sizeof(folder))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it ends in no name of 1 to %u bytes; give that of passt's socket",
                           STASIS_PASST_NAME_MAX);
    (void)snprintf(folder, sizeof(folder), "%.*s/", slash ? (int)(slash - path) : 1,
                   slash ? path : ".");
    memcpy(passt->name, name, strlen(name) + 1);
    passt->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return passt->folder_fd < 0 ? refuse_folder(err) : 0;
}

static int refuse(struct stasis_error *err)
{
    if (errno == EACCES || errno == EPERM)
        return stasis_fail_errno(err, STASIS_ERR_ARG,
                                 "cannot connect to it; let this user write to the socket");
    if (errno == EPROTOTYPE)
        return stasis_fail(err, STASIS_ERR_ARG, "it is no stream socket; name that of passt");
    return stasis_fail_errno(err, STASIS_ERR_ARG, "cannot connect to it; have passt listen there");
}

/* A path of any length would not fit into the address. */
int stasis_passt_connect(struct stasis_passt *passt, struct stasis_error *err)
{
    int fd = stasis_socket_connect_in(passt->folder_fd, passt->name);

    _Static_assert(STASIS_PASST_NAME_MAX <= STASIS_SOCKET_NAME_MAX, "it fits into an address");
    if (fd < 0)
        return refuse(err);
    passt->fd = fd;
    return 0;
}

void stasis_passt_disconnect(struct stasis_passt *passt)
{
    if (passt->fd >= 0)
        close(passt->fd);
    passt->fd = -1;
    passt->in_at = passt->in_end = passt->out_at = passt->out_end = 0;
}

int stasis_passt_open(const char *path, struct stasis_passt *passt, struct stasis_error *err)
{
    int rc;

    passt->folder_fd = passt->fd = -1;
    passt->in_at = passt->in_end = passt->out_at = passt->out_end = 0;
    rc = open_folder(path, passt, err);
    if (rc)
        return rc;
    rc = stasis_passt_connect(passt, err) ? STASIS_ERR_ARG : 0;
    if (rc) {
        if (err)
            err->code = rc;
        stasis_passt_close(passt);
    }
    return rc;
}

void stasis_passt_close(struct stasis_passt *passt)
{
    stasis_passt_disconnect(passt);
    if (passt->folder_fd >= 0)
        close(passt->folder_fd);
    passt->folder_fd = -1;
}

/* ---- what is sent ---- */

enum stasis_net_result stasis_passt_flush(struct stasis_passt *passt)
{
    while (passt->out_at < passt->out_end) {
        ssize_t sent = send(passt->fd, passt->out + passt->out_at, passt->out_end - passt->out_at,
                            MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR)
            return errno == EAGAIN ? STASIS_NET_BUSY : STASIS_NET_GONE;
        passt->out_at += sent > 0 ? (size_t)sent : 0;
    }
    return STASIS_NET_DONE;
}

/* A frame of which nothing was taken is not kept: it is the guest's still. */
enum stasis_net_result stasis_passt_send(struct stasis_passt *passt, const uint8_t *frame,
                                         size_t len)
{
    const uint32_t length = htobe32((uint32_t)len);
    enum stasis_net_result result = stasis_passt_flush(passt);

    if (result != STASIS_NET_DONE)
        return result;
    if (len > STASIS_PASST_FRAME_MAX)
        return STASIS_NET_LOST;
    memcpy(passt->out, &length, sizeof(length));
    memcpy(passt->out + sizeof(length), frame, len);
    passt->out_at = 0;
    passt->out_end = sizeof(length) + len;
    result = stasis_passt_flush(passt);
    if (result == STASIS_NET_BUSY && passt->out_at)
        return STASIS_NET_DONE;
    if (result != STASIS_NET_DONE)
        passt->out_at = passt->out_end = 0;
    return result;
}

/* ---- what comes ---- */

/* Bytes of the first frame with its length; 0: that has not come yet. */
static size_t first_len(const struct stasis_passt *passt)
{
    uint32_t length;

    if (passt->in_end - passt->in_at < sizeof(length))
        return 0;
    memcpy(&length, passt->in + passt->in_at, sizeof(length));
    return sizeof(length) + (size_t)be32toh(length);
}

static bool is_frame(size_t len)
{
    return len >= STASIS_PASST_LENGTH + STASIS_PASST_FRAME_MIN &&
           len <= STASIS_PASST_LENGTH + STASIS_PASST_FRAME_MAX;
}

static bool is_in_part(const struct stasis_passt *passt)
{
    size_t len = first_len(passt);

    return !len || (is_frame(len) && passt->in_end - passt->in_at < len);
}

/* Room is left for the rest of any frame whose begin is there. */
static enum stasis_net_result fill(struct stasis_passt *passt)
{
    ssize_t got;

    memmove(passt->in, passt->in + passt->in_at, passt->in_end - passt->in_at);
    passt->in_end -= passt->in_at;
    passt->in_at = 0;
    do
        got = read(passt->fd, passt->in + passt->in_end, sizeof(passt->in) - passt->in_end);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        passt->in_end += (size_t)got;
        return STASIS_NET_DONE;
    }
    return got < 0 && errno == EAGAIN ? STASIS_NET_BUSY : STASIS_NET_GONE;
}

/* Once: whoever sends it byte by byte is not waited for. */
enum stasis_net_result stasis_passt_receive(struct stasis_passt *passt, uint8_t *frame,
                                            size_t *ret_len)
{
    enum stasis_net_result result = is_in_part(passt) ? fill(passt) : STASIS_NET_DONE;
    size_t len = first_len(passt);

    if (result != STASIS_NET_DONE)
        return result;
    if (is_in_part(passt))
        return STASIS_NET_BUSY;
    if (!is_frame(len))
        return STASIS_NET_GONE;
    memcpy(frame, passt->in + passt->in_at + STASIS_PASST_LENGTH, len - STASIS_PASST_LENGTH);
    passt->in_at += len;
    *ret_len = len - STASIS_PASST_LENGTH;
    return STASIS_NET_DONE;
}
