/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The line by which a program says where in the guest it wants to go: "CONNECT <port>\n".
 */
#ifndef STASIS_VMM_VSOCK_LINE_H
#define STASIS_VMM_VSOCK_LINE_H

#include <stddef.h>
#include <stdint.h>

struct stasis_vsock_line {
    char text[32]; /* what has come of it */
    size_t len;
};

enum stasis_vsock_line_result {
    STASIS_VSOCK_LINE_PORT,
    STASIS_VSOCK_LINE_MORE, /* it is not whole yet */
    STASIS_VSOCK_LINE_BAD,  /* it is another, or the program has gone */
};

/* Reads what there is of it, without waiting, and nothing of what follows it. */
enum stasis_vsock_line_result stasis_vsock_line_read(struct stasis_vsock_line *line, int fd,
                                                     uint32_t *ret_port);

#endif
