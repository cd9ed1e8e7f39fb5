/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio network device on a board, with a network that does what the test wants.
 */
#include "vmm/machine/net_board_rig.h"

#include <string.h>
#include <time.h>

#define F_STATUS (1u << 16)
#define STATUS   0x106u

static enum stasis_virtio_net_result result;
static unsigned sent, frames;
static uint8_t first;
static uint64_t accepted;
static struct stasis_device_net net;
static struct stasis_error err;

static enum stasis_virtio_net_result do_send(void *ctx, const uint8_t *bytes, size_t len)
{
    assert_ptr_equal(ctx, &net);
    assert_true(len >= 26);
    first = bytes[NET_RIG_HEADER];
    sent += result == STASIS_VIRTIO_NET_SENT;
    return result;
}

static size_t do_receive(void *ctx, uint8_t *bytes, size_t size)
{
    assert_ptr_equal(ctx, &net);
    assert_int_equal(size, STASIS_VIRTIO_NET_BYTES_MAX);
    if (!frames)
        return 0;
    memset(bytes, 0, NET_RIG_HEADER + 60);
    bytes[NET_RIG_HEADER] = (uint8_t)frames--;
    return NET_RIG_HEADER + 60;
}

static void do_accept(void *ctx, uint64_t offloads)
{
    assert_ptr_equal(ctx, &net);
    accepted = offloads;
}

static int set_up(void **state)
{
    (void)state;
    net = (struct stasis_device_net){.id = "net0",
                                     .mac = {2, 1, 2, 3, 4, 5},
                                     .mtu = 1400,
                                     .offloads = STASIS_VIRTIO_NET_OFFLOADS,
                                     .ctx = &net,
                                     .send = do_send,
                                     .receive = do_receive,
                                     .accept = do_accept};
    result = STASIS_VIRTIO_NET_SENT;
    sent = frames = 0;
    accepted = 99;
    net_board_build(&net);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_board_end();
    return 0;
}

static void expect_counters(uint64_t frames_moved, uint64_t in, uint64_t out, uint64_t dropped)
{
    assert_int_equal(net_board_net->counters->requests, frames_moved);
    assert_int_equal(net_board_net->counters->in_bytes, in);
    assert_int_equal(net_board_net->counters->out_bytes, out);
    assert_int_equal(net_board_net->counters->dropped_frames, dropped);
}

static void the_driver_sees_what_the_network_is(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(net_board_read(0x100 + i, 1), net.mac[i]);
    assert_int_equal(net_board_read(0x10a, 2), 1400);
    assert_int_equal(net_board_read(STATUS, 2), 1);
    net_board_write(0x14, 0);
    assert_int_equal(net_board_read(0x10, 4) & STASIS_VIRTIO_NET_OFFLOADS,
                     STASIS_VIRTIO_NET_OFFLOADS);
}

static void frames_pass_and_are_counted(void **state)
{
    uint32_t len;

    (void)state;
    net_board_bring_up(0);
    frames = 2;
    net_board_offer(4);
    assert_int_equal(net_board_used(NET_RIG_RX), 2);
    assert_int_equal(net_board_received(0, &len)[NET_RIG_HEADER], 2);
    assert_int_equal(len, NET_RIG_HEADER + 60);
    net_board_send(7, 100);
    assert_int_equal(first, 7);
    assert_int_equal(net_board_used(NET_RIG_TX), 1);
    expect_counters(3, 120, 100, 0);
    frames = 1;
    stasis_device_net_resume(net_board_net);
    assert_int_equal(net_board_used(NET_RIG_RX), 3);
    result = STASIS_VIRTIO_NET_LOST;
    net_board_send(8, 100);
    expect_counters(4, 180, 100, 1);
}

static void what_the_network_does_not_take_now_is_sent_later(void **state)
{
    (void)state;
    net_board_bring_up(0);
    result = STASIS_VIRTIO_NET_BUSY;
    net_board_send(1, 60);
    net_board_send(2, 60);
    assert_int_equal(net_board_used(NET_RIG_TX), 0);
    result = STASIS_VIRTIO_NET_SENT;
    stasis_device_net_resume(net_board_net);
    assert_int_equal(net_board_used(NET_RIG_TX), 2);
    assert_int_equal(first, 2);
}

/* ---- its thread ---- */

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);

static unsigned naps;

/* Without the lock, which is there for whoever waits. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
    assert_int_equal(time->tv_sec, 0);
    assert_null(rest);
    assert_int_equal(pthread_mutex_trylock(&net_board_machine.lock), 0);
    pthread_mutex_unlock(&net_board_machine.lock);
    naps++;
    return 0;
}

/* As the device's thread does it. */
static void work(void)
{
    pthread_mutex_lock(&net_board_machine.lock);
    net_board_net->type->work(net_board_net->instance);
    pthread_mutex_unlock(&net_board_machine.lock);
}

/* A guest that floods, or a network that does, holds up its caller for a bounded time. */
static void many_frames_take_several_turns(void **state)
{
    (void)state;
    net_board_bring_up(0);
    frames = 1000;
    net_board_offer(64);
    assert_int_equal(net_board_used(NET_RIG_RX), 64);
    assert_int_equal(frames, 936);
    assert_true(net_board_is_rung());
    net_board_offer(64);
    assert_int_equal(net_board_used(NET_RIG_RX), 128);
    assert_true(net_board_is_rung());
    work();
    assert_false(net_board_is_rung()); /* there is no more buffer */
}

static void send_and_work(unsigned count)
{
    result = STASIS_VIRTIO_NET_BUSY;
    for (unsigned i = 0; i < count; i++)
        net_board_send(1, 60);
    result = STASIS_VIRTIO_NET_SENT;
    work();
}

/* A driver that rings again before each turn is over, and never fills one, is no better. */
static void turns_that_follow_one_another_give_way_as_a_whole_one_does(void **state)
{
    (void)state;
    naps = 0;
    net_board_bring_up(0);
    for (unsigned turn = 0; turn < 12; turn++) {
        stasis_io_thread_ring(net_board_net->io);
        send_and_work(20);
        assert_int_equal(naps, (turn + 1) / 4);
    }
    assert_int_equal(sent, 12 * 20);
    for (unsigned turn = 0; turn < 65; turn++)
        work();
    assert_int_equal(naps, 4); /* of a driver that only rings */
    send_and_work(64);
    assert_int_equal(naps, 5);
}

/* A thread that is about to wait for the bell needs no sleep. */
static void a_driver_that_does_not_ring_is_not_kept_waiting(void **state)
{
    (void)state;
    naps = 0;
    net_board_bring_up(0);
    for (unsigned turn = 0; turn < 40; turn++)
        send_and_work(20);
    assert_int_equal(sent, 40 * 20);
    assert_int_equal(naps, 0);
}

/* Behind a frame that had to wait: no access of the guest is being handled when it is found. */
static void a_bad_buffer_is_an_error_of_the_guest_whenever_it_is_found(void **state)
{
    const uint64_t *errors = net_board_net->counters->guest_errors;

    (void)state;
    net_board_bring_up(0);
    net_board_offer(4);
    result = STASIS_VIRTIO_NET_BUSY;
    net_board_send(1, 60);
    net_board_send(2, (uint32_t)-4); /* there is no room for a header */
    assert_int_equal(errors[STASIS_GUEST_ERROR_BAD_QUEUE], 0);
    result = STASIS_VIRTIO_NET_SENT;
    frames = 1;
    work();
    assert_int_equal(first, 1);
    assert_int_equal(errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    assert_int_equal(net_board_machine.guest_errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    assert_int_equal(net_board_machine.access.len, 0);
    assert_ptr_equal(net_board_machine.access.device, net_board_net);
    assert_int_equal(net_board_read(0x70, 4) & 0x40, 0x40); /* it needs a reset */
    assert_int_equal(net_board_used(NET_RIG_RX), 0);        /* and does nothing until then */
    net_board_bring_up(0);
    net_board_offer(1);
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    assert_int_equal(errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
}

static void the_link_goes_down_and_up(void **state)
{
    (void)state;
    net_board_bring_up(F_STATUS);
    net_board_offer(4);
    stasis_device_net_set_link(net_board_net, false);
    assert_int_equal(net_board_read(STATUS, 2), 0);
    assert_int_equal(net_board_read(0x60, 4) & 2, 2); /* the configuration has changed */
    net_board_write(0x64, 2);
    frames = 1;
    net_board_send(1, 60);
    stasis_device_net_resume(net_board_net);
    assert_int_equal(sent, 0);
    assert_int_equal(net_board_used(NET_RIG_RX), 0);
    stasis_device_net_set_link(net_board_net, true);
    assert_int_equal(net_board_read(STATUS, 2), 1);
    assert_int_equal(net_board_read(0x60, 4) & 2, 2);
    work();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
}

/* Into a board that is connected as `net` says by now. */
static int change_over(void)
{
    static struct stasis_virtio_net_state frozen;
    int rc;

    net_board_net->type->save(net_board_net->instance, &frozen);
    net_board_end();
    net_board_build(&net);
    rc = net_board_net->type->restore(net_board_net->instance, &frozen, &err);
    if (!rc)
        net_board_net->type->post_restore(net_board_net->instance);
    return rc;
}

static void refused(const char *words)
{
    assert_int_equal(change_over(), STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
    net_board_end();
    net = (struct stasis_device_net){.id = "net0",
                                     .mac = {2, 1, 2, 3, 4, 5},
                                     .mtu = 1400,
                                     .offloads = STASIS_VIRTIO_NET_OFFLOADS,
                                     .ctx = &net,
                                     .send = do_send,
                                     .receive = do_receive,
                                     .accept = do_accept};
    net_board_build(&net);
}

static void a_thawed_guest_keeps_address_link_and_offloads(void **state)
{
    const uint64_t offloads = STASIS_VIRTIO_NET_F_GUEST_CSUM | STASIS_VIRTIO_NET_F_GUEST_TSO4;

    (void)state;
    net_board_bring_up((uint32_t)offloads | F_STATUS);
    net_board_offer(0);
    assert_int_equal(accepted, offloads);
    stasis_device_net_set_link(net_board_net, false);
    accepted = 0;
    net.mac[5] = 77; /* those of a new guest */
    net.mtu = 9000;
    assert_int_equal(change_over(), 0);
    assert_int_equal(accepted, offloads);
    assert_int_equal(net_board_read(0x105, 1), 5);
    assert_int_equal(net_board_read(0x10a, 2), 1400);
    assert_int_equal(net_board_read(STATUS, 2), 0);
    net.mac[5] = 5;
    net.mtu = 1400;
    net.is_mac_given = net.is_mtu_given = true;
    assert_int_equal(change_over(), 0);
}

static void a_network_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    net.is_mac_given = true;
    net.mac[5] = 6;
    refused("network net0 had MAC address 02:01:02:03:04:05 at the freeze, and keeps it; leave out "
            "net.mac");
    net.is_mtu_given = true;
    net.mtu = 1500;
    refused("network net0 had MTU 1400 at the freeze, and keeps it; leave out net.mtu");
    net.id = "other";
    refused("the guest's network net0 is missing; connect it by net.tap or net.passt, with "
            "net.id=net0");
    net.offloads = 0;
    refused("the guest's network had offloads");
}

/* Nothing leaves it, and nothing comes. */
static void a_board_without_a_network_has_a_device_that_loses_all(void **state)
{
    (void)state;
    net_board_end();
    net_board_build(NULL);
    net_board_bring_up(0);
    net_board_offer(2);
    net_board_send(1, 60);
    assert_int_equal(net_board_used(NET_RIG_TX), 1);
    assert_int_equal(net_board_used(NET_RIG_RX), 0);
    expect_counters(0, 0, 0, 1);
    assert_int_equal(net_board_net->type->check_memory(net_board_net->instance, &err), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_driver_sees_what_the_network_is),
        CASE(frames_pass_and_are_counted),
        CASE(what_the_network_does_not_take_now_is_sent_later),
        CASE(many_frames_take_several_turns),
        CASE(turns_that_follow_one_another_give_way_as_a_whole_one_does),
        CASE(a_driver_that_does_not_ring_is_not_kept_waiting),
        CASE(a_bad_buffer_is_an_error_of_the_guest_whenever_it_is_found),
        CASE(the_link_goes_down_and_up),
        CASE(a_thawed_guest_keeps_address_link_and_offloads),
        CASE(a_network_that_does_not_fit_is_refused),
        CASE(a_board_without_a_network_has_a_device_that_loses_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
