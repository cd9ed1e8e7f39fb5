/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A client's connection to a control socket.
 */
#ifndef STASIS_VMM_CONTROL_SOCKET_H
#define STASIS_VMM_CONTROL_SOCKET_H

#include "stasis/error.h"

/* Connects, and returns a blocking descriptor. STASIS_ERR_NOT_FOUND: there is no socket;
 * STASIS_ERR_UNAVAILABLE: nobody listens, or it belongs to another user. */
STASIS_MUST_CHECK int stasis_control_socket_connect(const char *path, int *ret_fd,
                                                    struct stasis_error *err);

#endif
