/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Programs that connect to a guest, and a guest that connects to programs.
 */
#include "sockets_rig.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "vmm/host/socket.h"

/* ---- from the host ---- */

static void a_program_connects(void **state)
{
    struct stat st;
    int fd;

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    fd = program(path);
    say(fd, "CONNECT 4294967294\nand more");
    assert_int_equal(guest.port, 4294967294u);
    assert_nothing(fd);
    stasis_vsock_opened(guest.peer, 7);
    assert_hears(fd, "OK 7\n");
    dispatch();
    assert_int_equal(guest.readies, 1);
    assert_received("and more");
    assert_int_equal(receive_nothing(), 0);
    say(fd, "!");
    assert_int_equal(guest.readies, 2);
    assert_received("!");
    assert_int_equal(stasis_vsock_send(guest.peer, (const uint8_t *)"answer", 6), 6);
    assert_hears(fd, "answer");
    close(fd);
}

static void a_line_may_come_byte_by_byte(void **state)
{
    const char *line = "CONNECT 80\n";
    int fd = program(path);

    (void)state;
    for (; *line; line++) {
        const char text[2] = {*line};

        assert_int_equal(guest.opens, 0);
        say(fd, text);
    }
    assert_int_equal(guest.port, 80);
    close(fd);
}

static void other_lines_end_the_connection(void **state)
{
    static const char *const lines[] = {"\n",
                                        "CONNECT\n",
                                        "CONNECT \n",
                                        "CONNECT 4294967295\n",
                                        "CONNECT -1\n",
                                        "CONNECT 1 \n",
                                        "CONNECT 1:\n",
                                        "CONNECT 1a\n",
                                        "CONNECT 99999999999\n",
                                        "connect 1\n",
                                        "CONNECT 1\r\n",
                                        "GET / HTTP/1.1\n",
                                        "CONNECT 1234567890123456789012345678901234567890"};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int fd = program(path);

        say(fd, lines[i]);
        assert_ends(fd);
    }
    assert_int_equal(guest.opens, 0);
}

static void a_mebibyte_without_a_line(void **state)
{
    static char much[1 << 20];
    int fd = program(path);
    ssize_t sent = 0;

    (void)state;
    memset(much, 'C', sizeof(much));
    for (size_t done = 0; sent >= 0 && done < sizeof(much); done += (size_t)sent) {
        sent = send(fd, much + done, sizeof(much) - done, MSG_NOSIGNAL);
        dispatch();
    }
    assert_ends(fd);
}

static void programs_that_say_nothing_and_go(void **state)
{
    int fd = program(path);

    (void)state;
    dispatch();
    close(fd);
    dispatch();
    fd = program(path);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_ends(fd);
    assert_int_equal(guest.closes, 0);
}

static void a_guest_that_does_not_want_to(void **state)
{
    int fd = program(path);

    (void)state;
    guest.refuses = true; /* at once */
    say(fd, "CONNECT 1\n");
    assert_ends(fd);
    guest.refuses = false;
    fd = program(path);
    say(fd, "CONNECT 1\n");
    stasis_vsock_closed(guest.peer); /* by itself */
    assert_ends(fd);
    assert_int_equal(guest.closes, 0);
}

static void a_program_that_does_not_wait_for_the_guest(void **state)
{
    int fd = program(path);

    (void)state;
    say(fd, "CONNECT 1\n");
    close(fd);
    dispatch();
    assert_int_equal(guest.closes, 1);
}

/* ---- from the guest ---- */

static void the_guest_connects(void **state)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    char at[80];
    int fd;

    (void)state;
    snprintf(at, sizeof(at), "%s_52", path);
    assert_null(stasis_vsock_connect(vsock, 9, 52));
    assert_int_equal(stasis_socket_listen(&sock, at, NULL), 0);
    guest.peer = stasis_vsock_connect(vsock, 9, 52);
    assert_non_null(guest.peer);
    fd = accept4(sock.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(stasis_vsock_send(guest.peer, (const uint8_t *)"hello", 5), 5);
    assert_hears(fd, "hello");
    say(fd, "yes");
    assert_received("yes");
    assert_null(stasis_vsock_connect(vsock, 10, 5)); /* another port */
    close(sock.fd);                                  /* its process is killed */
    sock.fd = -1;
    assert_null(stasis_vsock_connect(vsock, 10, 52));
    stasis_socket_close(&sock);
    close(fd);
}

/* ---- many ---- */

/* Those who say nothing make room for others, the oldest first. */
static void programs_are_bounded(void **state)
{
    static int fds[STASIS_VSOCK_PEERS_MAX];
    int fd;

    (void)state;
    for (unsigned i = 0; i < STASIS_VSOCK_PEERS_MAX; i++) {
        fds[i] = program(path);
        dispatch();
    }
    fd = program(path);
    assert_ends(fds[0]);
    say(fd, "CONNECT 1\n");
    for (unsigned i = 1; i < STASIS_VSOCK_PEERS_MAX; i++)
        say(fds[i], "CONNECT 1\n");
    assert_int_equal(guest.opens, STASIS_VSOCK_PEERS_MAX);
    fds[0] = program(path); /* there is no room: it waits */
    dispatch();
    assert_null(stasis_vsock_connect(vsock, 1, 1));
    close(fd);
    dispatch();
    say(fds[0], "CONNECT 2\n");
    assert_int_equal(guest.port, 2);
    for (unsigned i = 0; i < STASIS_VSOCK_PEERS_MAX; i++)
        close(fds[i]);
    dispatch();
    assert_int_equal(guest.closes, STASIS_VSOCK_PEERS_MAX + 1);
}

/* Those that do not wait to connect (connect(2), EAGAIN) are not refused while nobody accepts. */
static void programs_that_come_at_once_wait(void **state)
{
    int fds[100];

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        fds[i] = program(path);
    for (unsigned i = 0; i < 100; i++)
        say(fds[i], "CONNECT 1\n");
    assert_int_equal(guest.opens, 100);
    for (unsigned i = 0; i < 100; i++)
        close(fds[i]);
    dispatch();
}

/* STASIS_TEST_CONNECTS=N: so many (scripts/soak connects). */
static void ten_thousand_come_and_go(void **state)
{
    const char *more = getenv("STASIS_TEST_CONNECTS");
    const unsigned count = more ? (unsigned)strtoul(more, NULL, 10) : 10000;

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        int fd = program(path);

        if (i % 2)
            say(fd, "CONNECT 1\n");
        close(fd);
        dispatch();
    }
    assert_int_equal(guest.opens, count / 2);
    assert_int_equal(guest.closes, count / 2);
    print_message("%u connects\n", count);
}

/* There are no more descriptors than are open, and a program comes. One is enough for poll(2). */
static void deafen(struct rlimit *ret_limit)
{
    struct rlimit low;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_limit), 0);
    low = (struct rlimit){.rlim_cur = 1, .rlim_max = ret_limit->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    dispatch();
}

/* The one that comes in the end is served. */
static void the_process_may_have_no_descriptor_left(void **state)
{
    int fd = connected(), other = program(path);
    struct rlimit limit;

    (void)state;
    deafen(&limit);
    assert_null(stasis_vsock_connect(vsock, 1, 1));
    dispatch();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(receive_nothing(), 0);
    close(fd);
    dispatch();
    assert_int_equal(receive_nothing(), -1);
    dispatch();
    say(other, "CONNECT 3\n");
    assert_int_equal(guest.port, 3);
    close(other);
    dispatch();
}

static void wait_for_work(void)
{
    struct pollfd fd = {.fd = stasis_vsock_fd(vsock), .events = POLLIN};

    assert_int_equal(poll(&fd, 1, 60000), 1);
}

/* Others of the process have them, and nobody is here who could go. */
static void descriptors_that_come_free_elsewhere(void **state)
{
    struct rlimit limit;
    int fd = program(path);

    (void)state;
    deafen(&limit);
    wait_for_work(); /* none has come free yet */
    stasis_vsock_dispatch(vsock);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    wait_for_work();
    say(fd, "CONNECT 4\n");
    assert_int_equal(guest.port, 4);
    close(fd);
}

/* A guest's notification is work, and one that goes on during dispatch() is work again. */
static void a_bell_is_heard(void **state)
{
    struct pollfd fd = {.fd = stasis_vsock_fd(vsock), .events = POLLIN};
    const uint64_t one = 1;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(poll(&fd, 1, 0), 0);
        assert_int_equal(write(stasis_vsock_bell(vsock), &one, sizeof(one)), sizeof(one));
        assert_int_equal(poll(&fd, 1, 0), 1);
        stasis_vsock_dispatch(vsock);
    }
    assert_int_equal(poll(&fd, 1, 0), 0);
    assert_int_equal(guest.opens + guest.readies + guest.closes, 0);
}

static struct rlimit before_low;

static int start_with_few(void **state)
{
    struct rlimit low;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before_low), 0);
    low = (struct rlimit){.rlim_cur = 64, .rlim_max = before_low.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return start(state);
}

static int end_with_few(void **state)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before_low), 0);
    return end(state);
}

/* The guest leaves descriptors to the process, of which each connection takes one. */
static void half_of_the_descriptors_are_left(void **state)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    unsigned count = 0;
    char at[80];

    (void)state;
    snprintf(at, sizeof(at), "%s_52", path);
    assert_int_equal(stasis_socket_listen(&sock, at, NULL), 0);
    while (count < 40 && stasis_vsock_connect(vsock, count + 1, 52))
        count++;
    assert_int_equal(count, 32); /* of 64 */
    stasis_socket_close(&sock);
}

/* ---- opening ---- */

static void paths_that_cannot_be(void **state)
{
    struct stasis_vsock *other = NULL;
    struct stasis_error err;
    char at[160];

    (void)state;
    assert_int_equal(stasis_vsock_open(path, &guest_ops, &other, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "another process listens on it"));
    snprintf(at, sizeof(at), "%s/%073d", folder, 0);
    assert_int_equal(stasis_vsock_open(at, &guest_ops, &other, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "more than 72 bytes, and a port is put behind it"));
    assert_int_equal(access(at, F_OK), -1);
    snprintf(at, sizeof(at), "%s/none/sock", folder);
    assert_int_equal(stasis_vsock_open(at, &guest_ops, &other, &err), STASIS_ERR_ARG);
    assert_null(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_program_connects),
        TEST(a_line_may_come_byte_by_byte),
        TEST(other_lines_end_the_connection),
        TEST(a_mebibyte_without_a_line),
        TEST(programs_that_say_nothing_and_go),
        TEST(a_guest_that_does_not_want_to),
        TEST(a_program_that_does_not_wait_for_the_guest),
        TEST(the_guest_connects),
        TEST(programs_are_bounded),
        TEST(programs_that_come_at_once_wait),
        TEST(ten_thousand_come_and_go),
        TEST(the_process_may_have_no_descriptor_left),
        TEST(descriptors_that_come_free_elsewhere),
        TEST(a_bell_is_heard),
        cmocka_unit_test_setup_teardown(half_of_the_descriptors_are_left, start_with_few,
                                        end_with_few),
        TEST(paths_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
