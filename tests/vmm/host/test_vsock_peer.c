/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Bytes between a guest and a program that has connected to it, and how they end.
 */
#include "sockets_rig.h"

/* The guest's bytes are kept as far as its credit goes. */
static void a_program_that_does_not_read(void **state)
{
    static uint8_t bytes[STASIS_VSOCK_BUFFER];
    int fd = connected();
    size_t sent = 0, last, got = 0;
    ssize_t len;

    (void)state;
    do {
        last = stasis_vsock_send(guest.peer, bytes, sizeof(bytes));
        sent += sizeof(bytes);
    } while (last == sizeof(bytes));
    dispatch();
    assert_int_equal(guest.consumed, 0);
    assert_int_equal(stasis_vsock_send(guest.peer, bytes, last), 0); /* up to all there is */
    sent += last;
    stasis_vsock_shutdown(guest.peer, false, true);
    while ((len = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        got += (size_t)len;
        dispatch();
    }
    assert_int_equal(len, 0); /* the guest's end comes behind its bytes */
    assert_int_equal(got, sent);
    assert_int_equal(guest.consumed, sizeof(bytes));
    close(fd);
}

static void a_guest_that_has_gone_is_read_to_its_end(void **state)
{
    static uint8_t bytes[STASIS_VSOCK_BUFFER];
    int fd = connected();
    size_t sent = 0, last, got = 0;
    ssize_t len;

    (void)state;
    do {
        last = stasis_vsock_send(guest.peer, bytes, sizeof(bytes));
        sent += sizeof(bytes);
    } while (last == sizeof(bytes));
    stasis_vsock_closed(guest.peer);
    while ((len = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        got += (size_t)len;
        dispatch();
    }
    assert_int_equal(got, sent);
    assert_int_equal(guest.consumed, 0); /* nobody is there to be told */
    assert_ends(fd);
}

static void a_program_that_sends_nothing_more(void **state)
{
    int fd = connected();

    (void)state;
    say(fd, "last");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_received("last");
    assert_int_equal(receive_nothing(), -1);
    dispatch();
    assert_int_equal(guest.closes, 0);
    assert_int_equal(stasis_vsock_send(guest.peer, (const uint8_t *)"answer", 6), 6);
    assert_hears(fd, "answer");
    close(fd);
    dispatch();
    assert_int_equal(guest.closes, 1);
}

static void a_program_that_goes_is_read_to_its_end(void **state)
{
    int fd = connected();

    (void)state;
    say(fd, "last");
    close(fd);
    dispatch();
    assert_int_equal(guest.closes, 0);
    assert_int_equal(stasis_vsock_send(guest.peer, (const uint8_t *)"x", 1), STASIS_VSOCK_REFUSED);
    assert_received("last");
    assert_int_equal(receive_nothing(), -1);
    dispatch();
    assert_int_equal(guest.closes, 1);
}

/* What it has not read is lost, and the guest's credit with it is not. */
static void a_program_that_goes_without_reading(void **state)
{
    static uint8_t bytes[STASIS_VSOCK_BUFFER];
    int fd = connected();
    size_t last;

    (void)state;
    do
        last = stasis_vsock_send(guest.peer, bytes, sizeof(bytes));
    while (last == sizeof(bytes));
    close(fd);
    dispatch();
    assert_int_equal(guest.consumed, sizeof(bytes) - last);
    assert_int_equal(receive_nothing(), -1);
    dispatch();
    assert_int_equal(guest.closes, 1);
}

static void a_guest_that_receives_nothing_more(void **state)
{
    int fd = connected();

    (void)state;
    stasis_vsock_shutdown(guest.peer, true, false);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(stasis_vsock_send(guest.peer, (const uint8_t *)"x", 1), 1);
    close(fd);
    dispatch();
    assert_int_equal(guest.closes, 1);
}

/* A program that has not said where it wants to go outlives the guest. */
static void a_guest_that_has_gone_and_another(void **state)
{
    int fd = connected(), asking = program(path), waiting = program(path);

    (void)state;
    say(waiting, "CONNECT 1\n");
    say(asking, "CONNECT");
    stasis_vsock_guest_gone(vsock);
    assert_ends(fd);
    assert_ends(waiting);
    assert_int_equal(guest.closes, 0);
    say(asking, " 7\n");
    assert_int_equal(guest.port, 7);
    close(asking);
    dispatch();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_program_that_does_not_read),        TEST(a_guest_that_has_gone_is_read_to_its_end),
        TEST(a_program_that_sends_nothing_more),   TEST(a_program_that_goes_is_read_to_its_end),
        TEST(a_program_that_goes_without_reading), TEST(a_guest_that_receives_nothing_more),
        TEST(a_guest_that_has_gone_and_another),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
