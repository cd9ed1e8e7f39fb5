/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The network in the event loop: a passt of the test's at one end, the device on a board at the
 * other.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/api/passt_rig.h"
#include "vmm/api/vmm_internal.h"
#include "vmm/host/tap_rig.h"
#include "vmm/machine/net_board_rig.h"

#define F_STATUS (1u << 16)
#define STATUS   0x106u

static struct stasis_vmm_config config;
static struct stasis_vmm vmm;
static char said[256];

static void on_message(void *ctx, const char *line)
{
    (void)ctx;
    (void)snprintf(said, sizeof(said), "%s", line);
}

static bool is_ready(int timeout_ms)
{
    struct pollfd loop = {.fd = stasis_loop_fd(&vmm.loop), .events = POLLIN};

    return poll(&loop, 1, timeout_ms) == 1;
}

/* Waits until the loop has something to do, and has it done. */
static void dispatch(void)
{
    assert_true(is_ready(-1));
    assert_int_equal(stasis_loop_dispatch(&vmm.loop, NULL), 0);
}

static void dispatch_all(void)
{
    while (is_ready(0))
        dispatch();
}

static void begin(struct stasis_vmm_net net)
{
    config = (struct stasis_vmm_config){.demo = true, .net = net};
    memset(&vmm, 0, sizeof(vmm));
    vmm.config = &config;
    vmm.ops.message = on_message;
    said[0] = '\0';
    assert_int_equal(pthread_mutex_init(&vmm.lock, NULL), 0);
    assert_int_equal(pthread_mutex_init(&vmm.machine.lock, NULL), 0);
    assert_int_equal(stasis_vmm_net_open(&config, &vmm.net, &vmm.host, NULL), 0);
    vmm.net.retry_ms = 20; /* not to wait for long */
    assert_int_equal(stasis_vmm_sources_open(&vmm, NULL), 0);
    assert_int_equal(stasis_vmm_net_watch(&vmm, NULL), 0);
    net_board_build(&vmm.net.device);
    vmm.machine.devices = net_board_machine.devices;
    net_board_bring_up(F_STATUS);
    vmm.started = true;
    stasis_vmm_net_release(&vmm);
    dispatch_all();
}

static void end(void)
{
    net_board_end();
    stasis_vmm_net_unwatch(&vmm);
    stasis_vmm_net_close(&vmm.net);
    stasis_vmm_sources_close(&vmm);
    pthread_mutex_destroy(&vmm.machine.lock);
    pthread_mutex_destroy(&vmm.lock);
}

static int set_up(void **state)
{
    (void)state;
    passt_rig_init();
    begin((struct stasis_vmm_net){.passt = passt_rig_path});
    passt_rig_accept();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end();
    passt_rig_fini();
    return 0;
}

static void frames_come_by_the_loop(void **state)
{
    (void)state;
    net_board_offer(2);
    assert_false(is_ready(0));
    passt_rig_say(1, 60);
    dispatch();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    passt_rig_say(2, 60);
    dispatch();
    assert_int_equal(net_board_used(NET_RIG_RX), 2);
    passt_rig_say(3, 60);
    dispatch_all();
    assert_int_equal(net_board_used(NET_RIG_RX), 2); /* there is no buffer */
    assert_false(is_ready(0));                       /* and the loop does not spin */
    net_board_offer(1);
    assert_int_equal(net_board_used(NET_RIG_RX), 3);
}

/* What would be done to a guest that stands still waits for it. */
static void nothing_comes_meanwhile(void)
{
    net_board_offer(2);
    passt_rig_say(1, 60);
    dispatch_all();
    assert_int_equal(net_board_used(NET_RIG_RX), 0);
    assert_false(is_ready(0));
}

static void frames_wait_while_the_guest_is_paused(void **state)
{
    (void)state;
    vmm.paused = true;
    nothing_comes_meanwhile();
    vmm.paused = false;
    stasis_vmm_sources_release_waits(&vmm);
    dispatch_all();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
}

static void frames_wait_while_the_guest_is_saved(void **state)
{
    (void)state;
    vmm.job = (struct stasis_vmm_job *)&vmm; /* which nobody looks into */
    nothing_comes_meanwhile();
    passt_rig_end(); /* nor is the link of a guest that is saved changed */
    dispatch_all();
    assert_true(vmm.net.link_is_up);
    vmm.job = NULL;
    stasis_vmm_net_release(&vmm);
    dispatch_all();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
}

static void what_passt_did_not_take_is_sent_when_it_does(void **state)
{
    static uint8_t bytes[1 << 16];
    unsigned made = 0;

    (void)state;
    while (net_board_used(NET_RIG_TX) == (uint16_t)made) {
        net_board_send(1, 1500);
        assert_true(++made < 10000);
    }
    assert_false(is_ready(0));
    while (net_board_used(NET_RIG_TX) != (uint16_t)made) {
        (void)!recv(passt_rig_peer, bytes, sizeof(bytes), 0);
        dispatch_all();
    }
}

static void passt_that_comes_back_is_found(void **state)
{
    (void)state;
    net_board_offer(2);
    passt_rig_end();
    while (vmm.net.link_is_up)
        dispatch();
    assert_int_equal(net_board_read(STATUS, 2), 0);
    assert_string_equal(said, "the other side of network net0 has gone: the guest's link is down "
                              "until passt is back");
    passt_rig_listen();
    while (!vmm.net.link_is_up)
        dispatch();
    assert_int_equal(net_board_read(STATUS, 2), 1);
    assert_string_equal(said, "network net0 is connected again: the guest's link is up");
    passt_rig_accept();
    stasis_device_net_resume(net_board_net); /* its thread, which it has rung */
    passt_rig_say(1, 60);
    dispatch();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    net_board_send(5, 60);
    passt_rig_hear(5, 60);
}

/* Nothing is read or sent, and the link goes down all the same, again and again. */
static void passt_that_ends_is_seen_though_the_guest_is_silent(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        passt_rig_say(1, 60);
        passt_rig_end();
        assert_true(is_ready(0));
        while (vmm.net.link_is_up)
            dispatch();
        assert_int_equal(net_board_read(STATUS, 2), 0);
        passt_rig_listen();
        while (!vmm.net.link_is_up)
            dispatch();
        passt_rig_accept();
    }
    assert_int_equal(net_board_used(NET_RIG_RX), 0);
}

/* What it had said last is taken as far as there are buffers, and nothing spins. */
static void passt_that_ends_is_heard_out(void **state)
{
    (void)state;
    net_board_offer(1);
    passt_rig_say(1, 60);
    passt_rig_say(2, 60);
    passt_rig_end();
    while (vmm.net.link_is_up)
        dispatch();
    assert_int_equal(net_board_used(NET_RIG_RX), 1);
    passt_rig_listen(); /* the next thing to come is the turn that finds it */
    dispatch();
    assert_true(vmm.net.link_is_up);
}

/* In this process no namespace is left again. */
static void a_tap_device_that_is_removed_is_noticed_once(void **state)
{
    (void)state;
    if (!tap_rig_enter())
        skip();
    tap_rig_make("tap7");
    begin((struct stasis_vmm_net){.tap = "tap7"});
    assert_false(is_ready(0));
    tap_rig_remove("tap7");
    assert_true(is_ready(0));
    while (vmm.net.link_is_up)
        dispatch();
    assert_int_equal(net_board_read(STATUS, 2), 0);
    assert_string_equal(said, "the other side of network net0 has gone: the guest's link is down; "
                              "freeze the guest, and thaw it with another tap device");
    stasis_vmm_net_release(&vmm); /* as after a pause */
    dispatch_all();
    assert_false(vmm.net.link_is_up);
    end();
}

static void a_vm_without_a_network_watches_nothing(void **state)
{
    static struct stasis_vmm other;

    (void)state;
    assert_int_equal(stasis_vmm_net_watch(&other, NULL), 0);
    stasis_vmm_net_release(&other);
    stasis_vmm_net_unwatch(&other);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(frames_come_by_the_loop),
        CASE(frames_wait_while_the_guest_is_paused),
        CASE(frames_wait_while_the_guest_is_saved),
        CASE(what_passt_did_not_take_is_sent_when_it_does),
        CASE(passt_that_comes_back_is_found),
        CASE(passt_that_ends_is_seen_though_the_guest_is_silent),
        CASE(passt_that_ends_is_heard_out),
        cmocka_unit_test(a_tap_device_that_is_removed_is_noticed_once),
        cmocka_unit_test(a_vm_without_a_network_watches_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
