/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The network of a configuration, connected to a passt of the test's; the device on a board is the
 * guest's side.
 */
#include "vmm/api/vmm_net.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "vmm/api/passt_rig.h"
#include "vmm/base/clock.h"
#include "vmm/machine/board.h"
#include "vmm/machine/net_board_rig.h"

#define F_STATUS (1u << 16)
#define STATUS   0x106u

static struct stasis_vmm_config config;
static struct stasis_vmm_net_host net;
static struct stasis_error err;

/* ---- the event loop ---- */

static unsigned watched, dropped;
static uint64_t turn_ns;

static void watch(void *ctx)
{
    assert_ptr_equal(ctx, &net);
    watched = net.wanted;
}

static void turn_at(void *ctx, uint64_t at_ns)
{
    assert_ptr_equal(ctx, &net);
    turn_ns = at_ns;
}

static void drop(void *ctx)
{
    assert_ptr_equal(ctx, &net);
    assert_true(stasis_vmm_net_fd(&net) >= 0);
    watched = 0;
    dropped++;
}

/* The next turn, which must have been asked for. */
static void take_turn(void)
{
    assert_true(turn_ns);
    turn_ns = 0;
    stasis_vmm_net_turn(&net, net_board_net, drop);
}

static void be_ready(void)
{
    watched = 0;
    stasis_vmm_net_ready(&net, net_board_net, false);
}

/* ---- set-up ---- */

static void connect_network(void)
{
    struct stasis_device_host host = {.ctx = NULL};

    net = (struct stasis_vmm_net_host){.is_open = false};
    assert_int_equal(stasis_vmm_net_open(&config, &net, &host, &err), 0);
    assert_ptr_equal(host.net, &net.device);
    passt_rig_accept();
    net.watch = watch;
    net.turn_at = turn_at;
    net.ctx = &net;
    watched = dropped = 0;
    turn_ns = 0;
    net_board_build(&net.device);
    net_board_bring_up(F_STATUS);
}

static int set_up(void **state)
{
    (void)state;
    passt_rig_init();
    config = (struct stasis_vmm_config){.demo = true, .net = {.passt = passt_rig_path}};
    connect_network();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_board_end();
    stasis_vmm_net_close(&net);
    passt_rig_fini();
    return 0;
}

static void has(const char *words)
{
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
}

/* ---- cases ---- */

static void frames_pass_both_ways(void **state)
{
    uint32_t len;

    (void)state;
    net_board_offer(4);
    assert_int_equal(watched, EPOLLIN);
    passt_rig_say(5, 60);
    be_ready();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    assert_int_equal(net_board_received(0, &len)[NET_RIG_HEADER], 5);
    assert_int_equal(len, NET_RIG_HEADER + 60);
    assert_int_equal(watched, EPOLLIN);
    net_board_send(6, 100);
    passt_rig_hear(6, 100);
    assert_int_equal(net.device.offloads, 0);
}

/* While the guest has no room nothing is read, and nothing waits in vain. */
static void frames_wait_in_the_socket_for_buffers(void **state)
{
    (void)state;
    net_board_offer(1);
    passt_rig_say(1, 60);
    passt_rig_say(2, 60);
    be_ready();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    assert_int_equal(watched, 0);
    net_board_offer(2);
    assert_int_equal(net_board_used(NET_RIG_RX), 2);
    assert_int_equal(watched, EPOLLIN);
}

static void a_passt_that_does_not_read_holds_the_guest_up(void **state)
{
    unsigned made = 0, heard = 0;
    uint8_t bytes[4096];
    ssize_t n;

    (void)state;
    while (!(watched & EPOLLOUT)) {
        net_board_send(1, 1500);
        assert_true(++made < 10000);
    }
    while (made - net_board_used(NET_RIG_TX) < 2) { /* the first of them was taken in part */
        net_board_send(1, 1500);
        made++;
    }
    be_ready();
    assert_int_equal(watched, EPOLLOUT);
    while (net_board_used(NET_RIG_TX) != (uint16_t)made || watched & EPOLLOUT) {
        n = recv(passt_rig_peer, bytes, sizeof(bytes), 0);
        heard += n > 0 ? (unsigned)n : 0;
        be_ready();
    }
    while ((n = recv(passt_rig_peer, bytes, sizeof(bytes), 0)) > 0)
        heard += (unsigned)n;
    assert_int_equal(heard, made * 1504);
    assert_int_equal(net_board_net->counters->dropped_frames, 0);
}

static void the_link_is_down_while_passt_is_away(void **state)
{
    (void)state;
    net_board_offer(4);
    passt_rig_end();
    be_ready();
    take_turn();
    assert_false(net.link_is_up);
    assert_int_equal(dropped, 1);
    assert_int_equal(net_board_read(STATUS, 2), 0);
    assert_int_equal(net_board_read(0x60, 4) & 2, 2);
    assert_int_equal(stasis_vmm_net_fd(&net), -1);
    net_board_send(1, 60);
    be_ready();
    take_turn();
    assert_false(net.link_is_up);
    passt_rig_listen();
    take_turn();
    assert_true(net.link_is_up);
    assert_int_equal(net_board_read(STATUS, 2), 1);
    passt_rig_accept();
    passt_rig_say(3, 60);
    stasis_device_net_resume(net_board_net);
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    assert_int_equal(watched, EPOLLIN);
    net_board_send(9, 60);
    passt_rig_hear(9, 60);
}

/* A new machine in the same process, with the network that is there. */
static void a_guest_that_is_reset_hears_of_its_link(void **state)
{
    (void)state;
    passt_rig_end();
    net_board_send(1, 60);
    take_turn();
    assert_false(net.link_is_up);
    net_board_end();
    net_board_build(&net.device);
    net_board_bring_up(F_STATUS);
    assert_int_equal(net_board_read(STATUS, 2), 1);
    take_turn();
    assert_int_equal(net_board_read(STATUS, 2), 0);
    passt_rig_listen();
    take_turn();
    assert_int_equal(net_board_read(STATUS, 2), 1);
}

static void a_passt_that_ends_is_seen_by_what_is_sent(void **state)
{
    (void)state;
    passt_rig_hang_up();
    net_board_send(1, 60);
    take_turn();
    assert_false(net.link_is_up);
}

/* It is connected to less and less often. */
static void a_passt_that_lies_is_left_alone(void **state)
{
    uint64_t now;

    (void)state;
    net_board_offer(4);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(net.retry_ms, i < 5 ? 250 << i : 8000);
        assert_int_equal(send(passt_rig_peer, "\377\377\377\377", 4, MSG_NOSIGNAL), 4);
        stasis_device_net_resume(net_board_net);
        take_turn();
        assert_false(net.link_is_up);
        passt_rig_hang_up();
        take_turn();
        assert_true(net.link_is_up);
        passt_rig_accept();
    }
    net.connected_ns -= UINT64_C(20000000000); /* it has behaved for long */
    passt_rig_hang_up();
    stasis_device_net_resume(net_board_net);
    now = stasis_monotonic_ns();
    take_turn();
    assert_true(turn_ns >= now + 250000000);
    assert_int_equal(net.retry_ms, 500);
    take_turn();
    passt_rig_accept();
}

/* What is not moved for the limit is moved by the turn that is asked for. */
static void bandwidth_is_limited_each_way(void **state)
{
    unsigned made = 0;

    (void)state;
    net.out.rate = net.in.rate = STASIS_VMM_NET_BANDWIDTH_MIN;
    for (; net_board_used(NET_RIG_TX) == (uint16_t)made; made++) {
        net_board_send(1, 1500);
        if (net_board_used(NET_RIG_TX) > made)
            passt_rig_hear(1, 1500);
        assert_true(made < 10000);
    }
    assert_true(made > STASIS_VMM_NET_BANDWIDTH_MIN / 1600);
    net.out.last_ns -= 500000000; /* half a second later */
    take_turn();
    assert_int_equal(net_board_used(NET_RIG_TX), made);
    net.in.tokens = STASIS_VMM_NET_BANDWIDTH_MIN / 4;
    net.in.last_ns = stasis_monotonic_ns() + UINT64_C(1000000000000); /* time stands still */
    turn_ns = 0;
    passt_rig_say(2, 60);
    net_board_offer(4);
    assert_int_equal(net_board_used(NET_RIG_RX), 0);
    assert_int_equal(watched, 0);
    net.in.tokens = STASIS_VMM_NET_BANDWIDTH_MIN;
    take_turn();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    assert_int_equal(net.in.tokens,
                     STASIS_VMM_NET_BANDWIDTH_MIN - STASIS_VIRTIO_NET_HEADER_BYTES - 60);
}

static void addresses_are_of_one_station(void **state)
{
    static const char *const bad[] = {"",
                                      "02:00:00:00:00",
                                      "02:00:00:00:00:01:",
                                      "02-00-00-00-00-01",
                                      "0g:00:00:00:00:01",
                                      "01:00:00:00:00:01",
                                      "ff:ff:ff:ff:ff:ff",
                                      "00:00:00:00:00:00",
                                      "2:0:0:0:0:00001:1"};
    uint8_t mac[6];

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(stasis_config_net_mac(bad[i], mac, &err), STASIS_ERR_ARG);
        has("give the address of one station");
    }
    assert_int_equal(stasis_config_net_mac("0A:bc:De:f0:12:fF", mac, &err), 0);
    assert_memory_equal(mac, ((uint8_t[]){0x0a, 0xbc, 0xde, 0xf0, 0x12, 0xff}), 6);
}

/* The same network has the same address, another id another one. */
static void an_address_is_made_of_names(void **state)
{
    uint8_t first[6];

    (void)state;
    memcpy(first, net.device.mac, sizeof(first));
    assert_int_equal(first[0], 2);
    assert_false(net.device.is_mac_given || net.device.is_mtu_given);
    assert_int_equal(net.device.mtu, 1500);
    for (unsigned i = 0; i < 2; i++) {
        struct stasis_device_host host = {.ctx = NULL};
        struct stasis_vmm_net_host other = {.is_open = false};

        config.net.id = i ? "lan" : NULL;
        assert_int_equal(stasis_vmm_net_open(&config, &other, &host, &err), 0);
        assert_int_equal(!memcmp(first, other.device.mac, sizeof(first)), !i);
        stasis_vmm_net_close(&other);
    }
}

static void words_of_the_configuration_count(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};
    struct stasis_vmm_net_host other = {.is_open = false};

    (void)state;
    config.net.id = "lan";
    config.net.mac = "02:00:00:00:00:09";
    config.net.mtu = 9000;
    config.net.bandwidth = 1 << 20;
    assert_int_equal(stasis_vmm_net_open(&config, &other, &host, &err), 0);
    assert_string_equal(host.net->id, "lan");
    assert_int_equal(host.net->mac[5], 9);
    assert_int_equal(host.net->mtu, 9000);
    assert_true(host.net->is_mac_given && host.net->is_mtu_given);
    assert_int_equal(other.in.rate, 1 << 20);
    assert_int_equal(other.out.rate, 1 << 20);
    stasis_vmm_net_close(&other);
}

static void what_cannot_be_opened_is_named(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};
    struct stasis_vmm_net_host other = {.is_open = false};

    (void)state;
    config.net.passt = "/nonexistent/passt";
    assert_int_equal(stasis_vmm_net_open(&config, &other, &host, &err), STASIS_ERR_ARG);
    has("net.passt=/nonexistent/passt: cannot open its folder");
    config.net = (struct stasis_vmm_net){.tap = "no such name"};
    assert_int_equal(stasis_vmm_net_open(&config, &other, &host, &err), STASIS_ERR_ARG);
    has("net.tap=no such name: no network interface has such a name");
    config.net = (struct stasis_vmm_net){.fd = 999};
    assert_int_equal(stasis_vmm_net_open(&config, &other, &host, &err), STASIS_ERR_ARG);
    has("net.fd=999: it is not open");
    assert_null(host.net);
    config.net = (struct stasis_vmm_net){.fd = 0};
    assert_int_equal(stasis_vmm_net_open(&config, &other, &host, &err), 0);
    assert_null(host.net);
    assert_int_equal(stasis_vmm_net_fd(&other), -1);
    stasis_vmm_net_close(&other);
}

static void a_network_needs_its_device(void **state)
{
    const struct stasis_board_state *board = &net_board_machine.board;

    (void)state;
    assert_int_equal(stasis_vmm_net_check_board(&config, board, &err), 0);
    config.net.id = "lan";
    assert_int_equal(stasis_vmm_net_check_board(&config, board, &err), STASIS_ERR_ARG);
    has("the guest has no network lan; leave out net.tap, net.passt and net.fd, or set net.id");
    config.net = (struct stasis_vmm_net){.fd = 0};
    assert_int_equal(stasis_vmm_net_check_board(&config, board, &err), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(frames_pass_both_ways),
        CASE(frames_wait_in_the_socket_for_buffers),
        CASE(a_passt_that_does_not_read_holds_the_guest_up),
        CASE(the_link_is_down_while_passt_is_away),
        CASE(a_guest_that_is_reset_hears_of_its_link),
        CASE(a_passt_that_ends_is_seen_by_what_is_sent),
        CASE(a_passt_that_lies_is_left_alone),
        CASE(bandwidth_is_limited_each_way),
        CASE(addresses_are_of_one_station),
        CASE(an_address_is_made_of_names),
        CASE(words_of_the_configuration_count),
        CASE(what_cannot_be_opened_is_named),
        CASE(a_network_needs_its_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
