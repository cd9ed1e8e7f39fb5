/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Sockets between a guest under the real KVM and programs of the host, before and after thaws.
 */
#include "tests/vmm/api/vsock_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/host/socket.h"

/* A program of the host and port 52 of the guest; returns its descriptor, and the host's port. */
static int connect_to_guest(uint32_t *ret_port)
{
    int fd = vsock_program("CONNECT 52\nhello");
    char line[32];

    *ret_port = vsock_guest_expect(REQUEST, 52, "");
    vsock_guest_send(RESPONSE, 52, *ret_port, "");
    snprintf(line, sizeof(line), "OK %u\n", *ret_port);
    vsock_program_hears(fd, line);
    vsock_guest_expect(RW, 52, "hello");
    return fd;
}

static void from_the_host(void)
{
    uint32_t port;
    int fd = connect_to_guest(&port);

    vsock_guest_send(RW, 52, port, "and hello");
    vsock_program_hears(fd, "and hello");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    vsock_guest_expect(SHUTDOWN, 52, "");
    vsock_guest_send(RW, 52, port, "bye");
    vsock_program_hears(fd, "bye");
    vsock_guest_send(SHUTDOWN, 52, port, "");
    vsock_guest_expect(RST, 52, "");
    vsock_program_hears(fd, "");
    close(fd);
}

static void from_the_guest(void)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    struct stasis_error err;
    char at[176];
    int fd = -1;

    vsock_guest_send(REQUEST, 1000, 7, "");
    vsock_guest_expect(RST, 1000, "");
    snprintf(at, sizeof(at), "%s_7", vsock_path);
    kvm_ok(stasis_socket_listen(&sock, at, &err), &err);
    vsock_guest_send(REQUEST, 1001, 7, "");
    vsock_guest_expect(RESPONSE, 1001, "");
    told_wait((fd = accept4(sock.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
    vsock_guest_send(RW, 1001, 7, "who is there");
    vsock_program_hears(fd, "who is there");
    assert_int_equal(send(fd, "me", 2, MSG_NOSIGNAL), 2);
    vsock_guest_expect(RW, 1001, "me");
    close(fd);
    vsock_guest_expect(SHUTDOWN, 1001, "");
    vsock_guest_expect(SHUTDOWN, 1001, "");
    vsock_guest_send(RST, 1001, 7, "");
    stasis_socket_close(&sock);
}

static void both_directions(void)
{
    vsock_guest_boot();
    assert_int_equal(vsock_guest_cid(), 42);
    from_the_host();
    from_the_guest();
    vsock_guest_end();
}

static uint64_t exits(void)
{
    return stasis_vcpu_exit_count(&told_rig.vmm->machine.vcpus[0], STASIS_VCPU_EXIT_mmio);
}

/* Packets both ways, and the buffers that are offered for more. */
static void assert_no_exits(int fd, uint32_t port)
{
    const uint64_t before = exits();

    for (unsigned i = 0; i < 20; i++) {
        vsock_guest_send(RW, 52, port, "ping");
        vsock_program_hears(fd, "ping");
        assert_int_equal(send(fd, "pong", 4, MSG_NOSIGNAL), 4);
        vsock_guest_expect(RW, 52, "pong");
    }
    assert_int_equal(exits() - before, 0);
}

static void a_packet_costs_no_exit(void)
{
    uint32_t port;
    int fd;

    vsock_guest_boot();
    fd = connect_to_guest(&port);
    assert_no_exits(fd, port);
    vsock_guest_thaw();
    vsock_program_hears(fd, "");
    close(fd);
    vsock_guest_offer_event();
    told_wait(vsock_guest_events() == 1);
    vsock_guest_offer_event(); /* it has ended its connections */
    fd = connect_to_guest(&port);
    assert_no_exits(fd, port);
    close(fd);
    vsock_guest_end();
}

/* A snapshot does not disturb a guest that runs on; while it is paused all waits. */
static void connections_outlive_a_snapshot(void)
{
    struct stasis_snapshot_request request = {0};
    struct stasis_error err;
    uint32_t port;
    int fd;

    vsock_guest_boot();
    vsock_guest_offer_event();
    fd = connect_to_guest(&port);
    request.path = vmm_rig_path(&told_rig, "snapshot");
    kvm_ok(stasis_vmm_snapshot(told_rig.vmm, &request, &err), &err);
    assert_int_equal(send(fd, "meanwhile", 9, MSG_NOSIGNAL), 9);
    vmm_rig_wait_event(&told_rig, STASIS_VMM_EVENT_SAVED, 1);
    vsock_guest_expect(RW, 52, "meanwhile");
    kvm_ok(stasis_vmm_pause(told_rig.vmm, &err), &err);
    assert_int_equal(send(fd, "paused", 6, MSG_NOSIGNAL), 6);
    for (unsigned i = 0; i < 10; i++)
        told_turn();
    kvm_ok(stasis_vmm_resume(told_rig.vmm, &err), &err);
    vsock_guest_expect(RW, 52, "paused");
    vsock_guest_send(RW, 52, port, "I know");
    vsock_program_hears(fd, "I know");
    assert_int_equal(vsock_guest_events(), 0);
    close(fd);
    vsock_guest_end();
}

/* The driver has no buffer for the event until it has been thawed. */
static void connections_end_with_a_thaw(void)
{
    uint32_t port, old;
    int fd;

    vsock_guest_boot();
    fd = connect_to_guest(&old);
    for (unsigned generation = 1; generation < 4; generation++) {
        vsock_guest_thaw();
        vsock_program_hears(fd, "");
        close(fd);
        assert_int_equal(vsock_guest_cid(), 42);
        vsock_guest_send(RW, 52, old, "anybody there?");
        vsock_guest_expect(RST, 52, "");
        if (generation == 1) {
            assert_int_equal(vsock_guest_events(), 0);
            vsock_guest_offer_event();
        }
        told_wait(vsock_guest_events() == generation);
        vsock_guest_offer_event(); /* it has ended its connections */
        fd = connect_to_guest(&port);
        assert_int_not_equal(port, old);
        old = port;
    }
    close(fd);
    vsock_guest_expect(SHUTDOWN, 52, "");
    vsock_guest_expect(SHUTDOWN, 52, ""); /* in the other direction, too */
    from_the_host();
    from_the_guest();
    vsock_guest_end();
}

/* Each is refused by name, and another CID is not. */
static void what_a_thaw_is_given(void)
{
    const char *path;

    vsock_guest_boot();
    vsock_guest_thaw();
    path = told_rig.config.vsock.path;
    told_rig.config.vsock.path = NULL;
    vsock_guest_refuse("the guest's sockets vsock0 are missing; give a path for them by "
                       "vsock.path, with vsock.id=vsock0");
    told_rig.config.vsock.path = vmm_rig_path(&told_rig, "other.sock");
    told_rig.config.vsock.id = "other";
    vsock_guest_refuse("sockets vsock0 are missing");
    told_rig.config.restore.path = NULL;
    told_rig.config.vsock.id = NULL;
    told_rig.config.vsock.path = path;
    vsock_guest_end();
}

/* The guest or the program ends it. */
static void come_and_go(bool guest_ends)
{
    uint32_t port;
    int fd = connect_to_guest(&port);

    if (guest_ends) {
        vsock_guest_send(RST, 52, port, "");
        vsock_program_hears(fd, "");
        close(fd);
        return;
    }
    close(fd);
    vsock_guest_expect(SHUTDOWN, 52, "");
    vsock_guest_expect(SHUTDOWN, 52, "");
    vsock_guest_send(RST, 52, port, "");
}

/* Every other one goes before it has asked. STASIS_TEST_CONNECTS=N: so many (scripts/soak
 * connects), at most 150000, since all that the guest is to write lies in its RAM. */
static void many_come_and_go(void)
{
    const char *more = getenv("STASIS_TEST_CONNECTS");
    const unsigned count = more ? (unsigned)strtoul(more, NULL, 10) : 200;

    alarm(KVM_CASE_SECONDS + count / 20);
    vsock_guest_boot();
    for (unsigned i = 0; i < count; i++) {
        if (i % 2)
            come_and_go(i % 4 == 1);
        else
            close(vsock_program("CONN"));
    }
    from_the_host();
    print_message("%u connects\n", count);
    vsock_guest_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(both_directions),
        KVM_CASE(many_come_and_go),
        KVM_CASE(a_packet_costs_no_exit),
        KVM_CASE(connections_outlive_a_snapshot),
        KVM_CASE(connections_end_with_a_thaw),
        KVM_CASE(what_a_thaw_is_given),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
