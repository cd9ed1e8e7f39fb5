/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/vmm_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/utsname.h>

#include "vmm/base/clock.h"
#include "vmm/machine/board.h"

#define MTU_DEFAULT 1500
#define RATE_MS     10u  /* until a limit of rate is looked at again */
#define RETRY_MS    250u /* until passt is tried again; each time that this fails soon, twice that */
#define RETRY_MAX   8000u
#define STABLE_NS   UINT64_C(10000000000) /* a connection that has lasted so long was no failure */

/* ---- names and numbers ---- */

/* FNV-1a */
static uint64_t hash(uint64_t seed, const char *text)
{
    do
        seed = (seed ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    while (*text++);
    return seed;
}

/* The same each time that the network is given on this host, and another one for others. Locally
 * administered: 02. */
static void make_mac(const char *network, const char *id, uint8_t ret_mac[6])
{
    uint64_t number = UINT64_C(0xcbf29ce484222325);
    struct utsname host;

    number = hash(number, uname(&host) ? "" : host.nodename);
    number = hash(hash(number, network), id);
    ret_mac[0] = 2;
    for (unsigned i = 1; i < 6; i++)
        ret_mac[i] = (uint8_t)(number >> 8 * i);
}

/* ---- what devices use, under the machine's lock ---- */

static void want(struct stasis_vmm_net_host *net, unsigned event)
{
    net->wanted |= event;
    if (net->watch)
        net->watch(net->ctx);
}

/* An earlier one is enough. */
static void turn_in(struct stasis_vmm_net_host *net, unsigned ms)
{
    uint64_t at_ns = stasis_monotonic_ns() + UINT64_C(1000000) * ms;

    if (net->turn_ns && net->turn_ns <= at_ns)
        return;
    net->turn_ns = at_ns;
    if (net->turn_at)
        net->turn_at(net->ctx, at_ns);
}

static void lose(struct stasis_vmm_net_host *net)
{
    net->is_gone = true;
    turn_in(net, 0);
}

/* Whether that many bytes may be moved now. */
static bool has_tokens(struct stasis_vmm_net_host *net, struct stasis_bucket *bucket, size_t len)
{
    if (!bucket->rate || stasis_bucket_fill(bucket, stasis_monotonic_ns(), len) == len)
        return true;
    turn_in(net, RATE_MS);
    return false;
}

static void take_tokens(struct stasis_bucket *bucket, size_t len)
{
    if (bucket->rate)
        bucket->tokens -= len < bucket->tokens ? len : bucket->tokens;
}

static enum stasis_net_result send_frame(struct stasis_vmm_net_host *net, const uint8_t *bytes,
                                         size_t len)
{
    enum stasis_net_result result;

    if (!net->is_passt)
        return stasis_tap_send(&net->tap, bytes, len);
    result = stasis_passt_send(net->passt, bytes + STASIS_VIRTIO_NET_HEADER_BYTES,
                               len - STASIS_VIRTIO_NET_HEADER_BYTES);
    if (net->passt->out_at < net->passt->out_end)
        want(net, EPOLLOUT);
    return result;
}

static enum stasis_virtio_net_result do_send(void *ctx, const uint8_t *bytes, size_t len)
{
    struct stasis_vmm_net_host *net = ctx;

    if (net->is_gone)
        return STASIS_VIRTIO_NET_LOST;
    if (!has_tokens(net, &net->out, len))
        return STASIS_VIRTIO_NET_BUSY;
    switch (send_frame(net, bytes, len)) {
    case STASIS_NET_DONE:
        take_tokens(&net->out, len);
        return STASIS_VIRTIO_NET_SENT;
    case STASIS_NET_BUSY:
        want(net, EPOLLOUT);
        return STASIS_VIRTIO_NET_BUSY;
    case STASIS_NET_GONE:
        lose(net);
        break;
    case STASIS_NET_LOST:
    default:
        break;
    }
    return STASIS_VIRTIO_NET_LOST;
}

/* passt leaves nothing to the guest: its frames have a header of zeros. */
static enum stasis_net_result receive_frame(struct stasis_vmm_net_host *net, uint8_t *bytes,
                                            size_t size, size_t *ret_len)
{
    enum stasis_net_result result;

    _Static_assert(STASIS_PASST_FRAME_MAX == STASIS_VIRTIO_NET_FRAME_MAX, "a frame fits");
    assert(size == STASIS_VIRTIO_NET_BYTES_MAX);
    if (!net->is_passt)
        return stasis_tap_receive(&net->tap, bytes, size, ret_len);
    memset(bytes, 0, STASIS_VIRTIO_NET_HEADER_BYTES);
    result = stasis_passt_receive(net->passt, bytes + STASIS_VIRTIO_NET_HEADER_BYTES, ret_len);
    *ret_len += STASIS_VIRTIO_NET_HEADER_BYTES;
    return result;
}

static size_t do_receive(void *ctx, uint8_t *bytes, size_t size)
{
    struct stasis_vmm_net_host *net = ctx;
    size_t len = 0;

    if (net->is_gone || !has_tokens(net, &net->in, size))
        return 0;
    switch (receive_frame(net, bytes, size, &len)) {
    case STASIS_NET_DONE:
        take_tokens(&net->in, len);
        return len;
    case STASIS_NET_BUSY:
        want(net, EPOLLIN);
        break;
    case STASIS_NET_LOST:
    case STASIS_NET_GONE:
    default:
        lose(net);
        break;
    }
    return 0;
}

static void do_accept(void *ctx, uint64_t offloads)
{
    const struct stasis_vmm_net_host *net = ctx;

    if (!net->is_passt)
        stasis_tap_accept(&net->tap, offloads);
}

/* ---- opening ---- */

static int open_passt(const char *path, struct stasis_vmm_net_host *net, struct stasis_error *err)
{
    struct stasis_passt *passt = malloc(sizeof(*passt));
    int rc = passt ? stasis_passt_open(path, passt, err)
                   : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a network");

    if (rc) {
        free(passt);
        return stasis_wrap(err, rc, "net.passt=%s", path);
    }
    net->passt = passt;
    net->is_passt = true;
    return 0;
}

static int open_network(const struct stasis_vmm_net *config, struct stasis_vmm_net_host *net,
                        struct stasis_error *err)
{
    int rc;

    if (config->passt)
        return open_passt(config->passt, net, err);
    if (config->tap) {
        rc = stasis_tap_open(config->tap, &net->tap, err);
        return rc ? stasis_wrap(err, rc, "net.tap=%s", config->tap) : 0;
    }
    rc = stasis_tap_use(config->fd, &net->tap, err);
    return rc ? stasis_wrap(err, rc, "net.fd=%d", config->fd) : 0;
}

/* The configuration has been checked. */
static void describe(const struct stasis_vmm_config *config, struct stasis_vmm_net_host *net)
{
    struct stasis_device_net *device = &net->device;
    const char *name = config->net.passt ? config->net.passt : net->tap.name;

    *device = (struct stasis_device_net){
        .id = stasis_config_net_id(config),
        .mtu = config->net.mtu ? (uint16_t)config->net.mtu : MTU_DEFAULT,
        .is_mtu_given = config->net.mtu,
        .is_mac_given = config->net.mac,
        .offloads = net->is_passt ? 0 : stasis_tap_offloads(),
        .ctx = net,
        .send = do_send,
        .receive = do_receive,
        .accept = do_accept,
    };
    if (!config->net.mac || stasis_config_net_mac(config->net.mac, device->mac, NULL))
        make_mac(name, device->id, device->mac);
}

void stasis_vmm_net_stand_in(const struct stasis_vmm_config *config,
                             struct stasis_vmm_net_host *net)
{
    *net = (struct stasis_vmm_net_host){.is_passt = true, .is_gone = true};
    describe(config, net);
    net->device.offloads = STASIS_VIRTIO_NET_OFFLOADS;
}

int stasis_vmm_net_open(const struct stasis_vmm_config *config, struct stasis_vmm_net_host *net,
                        struct stasis_device_host *host, struct stasis_error *err)
{
    int rc;

    if (!stasis_config_has_net(config))
        return 0;
    rc = open_network(&config->net, net, err);
    if (rc)
        return rc;
    net->is_open = true;
    net->in.rate = net->out.rate = config->net.bandwidth;
    net->link_is_up = true;
    net->retry_ms = RETRY_MS;
    net->connected_ns = stasis_monotonic_ns();
    describe(config, net);
    host->net = &net->device;
    return 0;
}

void stasis_vmm_net_close(struct stasis_vmm_net_host *net)
{
    if (!net->is_open)
        return;
    if (net->is_passt)
        stasis_passt_close(net->passt);
    else
        stasis_tap_close(&net->tap);
    free(net->passt);
    net->passt = NULL;
    net->is_open = false;
}

int stasis_vmm_net_check_board(const struct stasis_vmm_config *config,
                               const struct stasis_board_state *board, struct stasis_error *err)
{
    const char *id = stasis_config_net_id(config);

    if (!stasis_config_has_net(config) ||
        stasis_board_has(board, stasis_virtio_net_schema.type, id))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the guest has no network %s; leave out net.tap, net.passt and net.fd, or "
                       "set net.id to the name of a network that it has",
                       id);
}

/* ---- the event loop's part ---- */

int stasis_vmm_net_fd(const struct stasis_vmm_net_host *net)
{
    if (!net->is_open)
        return -1;
    return net->is_passt ? net->passt->fd : net->tap.fd;
}

/* What is left of a frame. */
static void flush(struct stasis_vmm_net_host *net)
{
    if (!net->is_passt)
        return;
    switch (stasis_passt_flush(net->passt)) {
    case STASIS_NET_BUSY:
        want(net, EPOLLOUT);
        break;
    case STASIS_NET_GONE:
    case STASIS_NET_LOST:
        lose(net);
        break;
    case STASIS_NET_DONE:
    default:
        break;
    }
}

/* The device asks for what it still wants: that may be nothing, but the end is always waited for.
 */
void stasis_vmm_net_ready(struct stasis_vmm_net_host *net, struct stasis_device *device,
                          bool has_hung_up)
{
    net->wanted = 0;
    if (!net->is_gone)
        flush(net);
    if (net->is_gone)
        return;
    stasis_device_net_resume(device);
    if (has_hung_up)
        lose(net);
    if (!net->is_gone && !net->wanted)
        want(net, 0);
}

static void set_link(struct stasis_vmm_net_host *net, struct stasis_device *device, bool is_up)
{
    net->link_is_up = is_up;
    stasis_device_net_set_link(device, is_up);
}

/* Whoever connects often, and is lost at once, is tried less and less often. */
static void disconnect(struct stasis_vmm_net_host *net, struct stasis_device *device,
                       void (*drop)(void *ctx))
{
    bool lasted = stasis_monotonic_ns() - net->connected_ns >= STABLE_NS;

    set_link(net, device, false);
    drop(net->ctx);
    net->wanted = 0;
    if (!net->is_passt)
        return;
    stasis_passt_disconnect(net->passt);
    if (lasted)
        net->retry_ms = RETRY_MS;
    turn_in(net, net->retry_ms);
    net->retry_ms = 2 * net->retry_ms < RETRY_MAX ? 2 * net->retry_ms : RETRY_MAX;
}

/* A guest that has been reset since does not know that its link is down. */
static void reconnect(struct stasis_vmm_net_host *net, struct stasis_device *device)
{
    if (!net->is_passt || stasis_passt_connect(net->passt, NULL)) {
        set_link(net, device, false);
        if (net->is_passt)
            turn_in(net, RETRY_MS);
        return;
    }
    net->is_gone = false;
    net->connected_ns = stasis_monotonic_ns();
    set_link(net, device, true);
}

void stasis_vmm_net_turn(struct stasis_vmm_net_host *net, struct stasis_device *device,
                         void (*drop)(void *ctx))
{
    net->turn_ns = 0;
    if (net->is_gone && net->link_is_up) {
        disconnect(net, device, drop);
        return;
    }
    if (net->is_gone) {
        reconnect(net, device);
        return;
    }
    set_link(net, device, true);
    stasis_device_net_resume(device);
}
