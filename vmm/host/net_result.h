/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What becomes of a frame that is sent to, or taken from, a network of the host.
 */
#ifndef STASIS_VMM_NET_RESULT_H
#define STASIS_VMM_NET_RESULT_H

enum stasis_net_result {
    STASIS_NET_DONE,
    STASIS_NET_BUSY, /* not now: the descriptor says when (EPOLLOUT), or when there is a frame */
    STASIS_NET_LOST, /* this frame only */
    STASIS_NET_GONE, /* and there will be no other: the other side has gone */
};

#endif
