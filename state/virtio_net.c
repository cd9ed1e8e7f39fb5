/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules between the fields of a virtio network device (virtio 1.2, 5.1).
 */
#include <inttypes.h>
#include <string.h>

#include "checks.h"

#include "stasis/virtio_state.h"

/* 5.1.3.1: a feature, and those of which it requires one. */
bool stasis_virtio_net_features_agree(uint64_t features)
{
    static const struct {
        uint64_t feature, one_of;
    } rules[] = {
        {STASIS_VIRTIO_NET_F_GUEST_TSO4, STASIS_VIRTIO_NET_F_GUEST_CSUM},
        {STASIS_VIRTIO_NET_F_GUEST_TSO6, STASIS_VIRTIO_NET_F_GUEST_CSUM},
        {STASIS_VIRTIO_NET_F_GUEST_UFO, STASIS_VIRTIO_NET_F_GUEST_CSUM},
        {STASIS_VIRTIO_NET_F_GUEST_ECN,
         STASIS_VIRTIO_NET_F_GUEST_TSO4 | STASIS_VIRTIO_NET_F_GUEST_TSO6},
        {STASIS_VIRTIO_NET_F_HOST_TSO4, STASIS_VIRTIO_NET_F_CSUM},
        {STASIS_VIRTIO_NET_F_HOST_TSO6, STASIS_VIRTIO_NET_F_CSUM},
        {STASIS_VIRTIO_NET_F_HOST_UFO, STASIS_VIRTIO_NET_F_CSUM},
        {STASIS_VIRTIO_NET_F_HOST_ECN,
         STASIS_VIRTIO_NET_F_HOST_TSO4 | STASIS_VIRTIO_NET_F_HOST_TSO6},
    };

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (features & rules[i].feature && !(features & rules[i].one_of))
            return false;
    }
    return true;
}

/* Registers and queues are structs of its own, of the same rows. */
_Static_assert(sizeof(struct stasis_virtio_net_mmio_state) ==
                       sizeof(struct stasis_virtio_mmio_state) &&
                   sizeof(struct stasis_virtio_net_queue_state) ==
                       sizeof(struct stasis_virtio_queue_state),
               "virtio_mmio_rows.def, virtio_queue.def");

int stasis_check_virtio_net_queue(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_queue_state queue;

    memcpy(&queue, state, sizeof(queue));
    return stasis_check_virtio_queue(&queue, err);
}

int stasis_check_virtio_net_mmio(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_mmio_state mmio;
    int rc;

    memcpy(&mmio, state, sizeof(mmio));
    rc = stasis_check_virtio_mmio(&mmio, err);
    if (!rc && mmio.status & STASIS_VIRTIO_FEATURES_OK &&
        !stasis_virtio_net_features_agree(mmio.driver_features))
        rc = stasis_fail(err, STASIS_ERR_RANGE,
                         "driver_features 0x%" PRIx64 " lack one that another requires",
                         mmio.driver_features);
    return rc;
}

/* Buffers are given back in the call that takes them. No queue is the default, which no device
 * has. */
int stasis_check_virtio_net(const void *state, struct stasis_error *err)
{
    const struct stasis_virtio_net_state *net = state;

    if (net->mmio.queues_count > 2)
        return stasis_fail(err, STASIS_ERR_RANGE, "a network device with %" PRIu32 " queues",
                           net->mmio.queues_count);
    for (uint32_t i = 0; i < net->mmio.queues_count; i++) {
        if (net->mmio.queues[i].next_avail != net->mmio.queues[i].next_used)
            return stasis_fail(err, STASIS_ERR_RANGE,
                               "a network device with buffers in flight in queue %" PRIu32, i);
    }
    if (!net->mac)
        return stasis_fail(err, STASIS_ERR_RANGE, "a network device without MAC address");
    if (net->mtu < STASIS_VIRTIO_NET_MTU_MIN)
        return stasis_fail(err, STASIS_ERR_RANGE, "a network device with MTU %u", net->mtu);
    return 0;
}
