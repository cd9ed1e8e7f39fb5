/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The network of a configuration, as devices see it, and what the event loop does for it.
 */
#ifndef STASIS_VMM_VMM_NET_H
#define STASIS_VMM_VMM_NET_H

#include "vmm/api/config.h"
#include "vmm/host/bucket.h"
#include "vmm/host/passt.h"
#include "vmm/host/tap.h"
#include "vmm/machine/device.h"

/* Begins as zeros, and stays where it is while it is open. All but the first three members are
 * under the machine's lock once devices use it. */
struct stasis_vmm_net_host {
    bool is_open;
    bool is_passt;
    struct stasis_device_net device;
    struct stasis_tap tap;
    struct stasis_passt *passt;
    struct stasis_bucket in, out;
    bool is_gone;    /* the other side; the event loop has not seen to it yet, if link_is_up */
    bool link_is_up; /* as the guest is told */
    unsigned wanted; /* events of the descriptor that are waited for, besides its end */
    uint64_t connected_ns; /* CLOCK_MONOTONIC: when the link went up */
    unsigned retry_ms;     /* until passt is tried again */
    uint64_t turn_ns;      /* CLOCK_MONOTONIC: when the next turn is; 0: none has been asked for */
    /* Whoever watches the descriptor and the clock: `wanted` has changed; the next turn is at that
     * time. NULL: nobody does. */
    void (*watch)(void *ctx);
    void (*turn_at)(void *ctx, uint64_t at_ns);
    void *ctx;
};

/* Opens what the configuration names, if it does, and gives it to host. STASIS_ERR_ARG names it. */
STASIS_MUST_CHECK int stasis_vmm_net_open(const struct stasis_vmm_config *config,
                                          struct stasis_vmm_net_host *net,
                                          struct stasis_device_host *host,
                                          struct stasis_error *err);
/* Describes it as if it were open, and could do all: for a trial. */
void stasis_vmm_net_stand_in(const struct stasis_vmm_config *config,
                             struct stasis_vmm_net_host *net);
/* Harmless when it is not open. */
void stasis_vmm_net_close(struct stasis_vmm_net_host *net);

/* Its descriptor, which changes with each connection; -1: there is none now. */
int stasis_vmm_net_fd(const struct stasis_vmm_net_host *net);

/* The descriptor has had one of the events that were wanted, or the other side has hung up: what it
 * has sent is taken as far as the guest has room at once. Until then it is watched again. */
void stasis_vmm_net_ready(struct stasis_vmm_net_host *net, struct stasis_device *device,
                          bool has_hung_up);

/* A turn: tells the guest of its link, and connects to passt again, so that
 * the descriptor may be another one. `drop` is called before a descriptor is closed. */
void stasis_vmm_net_turn(struct stasis_vmm_net_host *net, struct stasis_device *device,
                         void (*drop)(void *ctx));

/* Of a guest that is thawed: STASIS_ERR_ARG, the configuration has a network that the board has
 * not.
 */
STASIS_MUST_CHECK int stasis_vmm_net_check_board(const struct stasis_vmm_config *config,
                                                 const struct stasis_board_state *board,
                                                 struct stasis_error *err);

#endif
