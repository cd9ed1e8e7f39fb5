/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio network device's configuration, reset, and state.
 */
#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "net_internal.h"

#define ID_NET     1u
#define QUEUE_SIZE 256u

/* struct virtio_net_config (5.1.4): offsets of what is used. */
enum {
    MAC = 0,
    STATUS = 6,
    MAX_VIRTQUEUE_PAIRS = 8,
    MTU = 10,
};
#define S_LINK_UP 1u

#define FEATURES                                                                                   \
    (STASIS_VIRTIO_NET_F_MTU | STASIS_VIRTIO_NET_F_MAC | STASIS_VIRTIO_NET_F_MRG_RXBUF |           \
     STASIS_VIRTIO_NET_F_STATUS)

static void put16(struct stasis_virtio_net *net, unsigned offset, uint16_t value)
{
    value = htole16(value);
    memcpy(net->config + offset, &value, sizeof(value));
}

static void make_config(struct stasis_virtio_net *net)
{
    memcpy(net->config + MAC, net->mac, sizeof(net->mac));
    put16(net, STATUS, net->is_link_up ? S_LINK_UP : 0);
    put16(net, MAX_VIRTQUEUE_PAIRS, 1);
    put16(net, MTU, net->mtu);
}

static uint64_t number_of(const uint8_t mac[6])
{
    uint64_t number = 0;

    for (unsigned i = 0; i < 6; i++)
        number |= (uint64_t)mac[i] << 8 * i;
    return number;
}

static int check_config(const struct stasis_virtio_net_config *config, struct stasis_error *err)
{
    const uint8_t *mac = config->mac;

    if (mac[0] & 1 || !number_of(mac))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "MAC address %02x:%02x:%02x:%02x:%02x:%02x is not of one station: give "
                           "one whose first byte is even, such as 02:00:00:00:00:01",
                           mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    if (config->mtu < STASIS_VIRTIO_NET_MTU_MIN)
        return stasis_fail(err, STASIS_ERR_ARG, "MTU %u: give %u to 65535", config->mtu,
                           STASIS_VIRTIO_NET_MTU_MIN);
    if (config->offloads & ~STASIS_VIRTIO_NET_OFFLOADS ||
        !stasis_virtio_net_features_agree(config->offloads))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "offloads 0x%" PRIx64
                           " are not those of virtio, each with what it requires",
                           config->offloads);
    return 0;
}

int stasis_virtio_net_init(struct stasis_virtio_net *net, const struct stasis_virtio_host *host,
                           const struct stasis_virtio_net_config *config,
                           const struct stasis_virtio_net_ops *ops, void *ctx,
                           struct stasis_error *err)
{
    int rc = check_config(config, err);

    assert(ops->send && ops->receive && ops->accept && ops->wake);
    if (rc)
        return rc;
    memset(net, 0, sizeof(*net));
    net->ops = ops;
    net->ctx = ctx;
    memcpy(net->mac, config->mac, sizeof(net->mac));
    net->mtu = config->mtu;
    net->is_link_up = true;
    make_config(net);
    net->kind = (struct stasis_virtio_kind){.device_id = ID_NET,
                                            .features = FEATURES | config->offloads,
                                            .queue_count = STASIS_VIRTIO_NET_QUEUES,
                                            .queue_size = QUEUE_SIZE,
                                            .config = net->config,
                                            .config_len = sizeof(net->config),
                                            .notify = stasis_virtio_net_notify,
                                            .reset = stasis_virtio_net_reset,
                                            .accepts = stasis_virtio_net_features_agree};
    stasis_virtio_mmio_init(&net->mmio, &net->kind, net, host);
    return 0;
}

static void drop_waiting(struct stasis_virtio_net *net)
{
    net->counters.rx_dropped += net->rx_len > 0;
    net->rx_len = 0;
}

/* What was left to this driver may be too much for the next one. */
void stasis_virtio_net_reset(void *device)
{
    struct stasis_virtio_net *net = device;

    drop_waiting(net);
    stasis_virtio_net_tell_accepted(net);
}

void stasis_virtio_net_set_link(struct stasis_virtio_net *net, bool is_up)
{
    if (is_up == net->is_link_up)
        return;
    net->is_link_up = is_up;
    make_config(net);
    if (!is_up)
        drop_waiting(net);
    stasis_virtio_mmio_config_changed(&net->mmio);
    if (is_up)
        net->ops->wake(net->ctx);
}

/* ---- save and restore ---- */

void stasis_virtio_net_save(const struct stasis_virtio_net *net,
                            struct stasis_virtio_net_state *ret_state)
{
    struct stasis_virtio_mmio_state regs;

    stasis_state_init(&stasis_virtio_net_schema, ret_state);
    stasis_virtio_mmio_save(&net->mmio, &regs);
    memcpy(&ret_state->mmio, &regs, sizeof(regs));
    ret_state->mac = number_of(net->mac);
    ret_state->mtu = net->mtu;
    ret_state->link_up = net->is_link_up;
}

static int check_offloads(const struct stasis_virtio_net *net,
                          const struct stasis_virtio_net_state *state, struct stasis_error *err)
{
    uint64_t offered = state->mmio.device_features & STASIS_VIRTIO_NET_OFFLOADS;

    if (!(offered & ~net->kind.features))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the guest's network had offloads 0x%" PRIx64 ", this one has 0x%" PRIx64
                       ": give the guest one that has them all",
                       offered, net->kind.features & STASIS_VIRTIO_NET_OFFLOADS);
}

int stasis_virtio_net_restore(struct stasis_virtio_net *net,
                              const struct stasis_virtio_net_state *state, struct stasis_error *err)
{
    struct stasis_virtio_mmio_state regs;
    int rc = stasis_state_check(&stasis_virtio_net_schema, state, err);

    memcpy(&regs, &state->mmio, sizeof(regs));
    if (!rc)
        rc = check_offloads(net, state, err);
    if (!rc)
        rc = stasis_virtio_mmio_restore(&net->mmio, &regs, err);
    if (rc)
        return rc;
    for (unsigned i = 0; i < sizeof(net->mac); i++)
        net->mac[i] = (uint8_t)(state->mac >> 8 * i);
    net->mtu = state->mtu;
    net->is_link_up = state->link_up;
    make_config(net);
    net->is_accept_known = false;
    drop_waiting(net);
    return 0;
}

void stasis_virtio_net_apply_outputs(struct stasis_virtio_net *net)
{
    stasis_virtio_mmio_apply_outputs(&net->mmio);
    stasis_virtio_net_tell_accepted(net);
    if (stasis_virtio_mmio_is_active(&net->mmio, STASIS_VIRTIO_NET_RX) ||
        stasis_virtio_mmio_is_active(&net->mmio, STASIS_VIRTIO_NET_TX))
        net->ops->wake(net->ctx);
}
