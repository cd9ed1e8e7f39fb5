/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The socket of passt(1), which connects a guest to the host's network without privileges: a stream
 * of frames, each behind its length, 32 bits big-endian. passt may end and be started again: then
 * the connection is made anew, by the descriptor of the socket's folder, so that a process that has
 * lost sight of that can do so, too. No call waits. What passt says is not trusted.
 *
 * Calls are serialized by the caller.
 */
#ifndef STASIS_VMM_PASST_H
#define STASIS_VMM_PASST_H

#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"
#include "vmm/host/net_result.h"

#define STASIS_PASST_FRAME_MAX 65554u /* as of stasis/virtio_net.h */
#define STASIS_PASST_FRAME_MIN 14u    /* an Ethernet header */
#define STASIS_PASST_NAME_MAX  64u    /* of the socket, in its folder */
#define STASIS_PASST_LENGTH    4u     /* bytes in front of each frame */

struct stasis_passt {
    int folder_fd;
    char name[STASIS_PASST_NAME_MAX + 1];
    int fd; /* -1: there is no connection */
    size_t in_at, in_end;
    size_t out_at, out_end; /* of a frame that is sent in part */
    uint8_t in[2 * (STASIS_PASST_LENGTH + STASIS_PASST_FRAME_MAX)];
    uint8_t out[STASIS_PASST_LENGTH + STASIS_PASST_FRAME_MAX];
};

/* Connects to the socket. STASIS_ERR_ARG: nobody listens there, or this user may not connect.
 * Messages do not begin with the path. On success it is to be closed. */
STASIS_MUST_CHECK int stasis_passt_open(const char *path, struct stasis_passt *passt,
                                        struct stasis_error *err);
void stasis_passt_close(struct stasis_passt *passt);

/* Of what is open: drops the connection, if there is one; and makes it again, STASIS_ERR_ARG. */
void stasis_passt_disconnect(struct stasis_passt *passt);
STASIS_MUST_CHECK int stasis_passt_connect(struct stasis_passt *passt, struct stasis_error *err);

/* One frame. GONE: the connection is lost, or passt has said what is no frame; it is to be dropped.
 */
enum stasis_net_result stasis_passt_send(struct stasis_passt *passt, const uint8_t *frame,
                                         size_t len);
enum stasis_net_result stasis_passt_receive(struct stasis_passt *passt, uint8_t *frame,
                                            size_t *ret_len);

/* Sends what is left of the last frame. BUSY: there is more. */
enum stasis_net_result stasis_passt_flush(struct stasis_passt *passt);

#endif
