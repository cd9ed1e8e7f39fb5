/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/passt.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define BIG STASIS_PASST_FRAME_MAX

static char folder[] = "/tmp/test_passt.XXXXXX";
static char path[64];
static int listener, peer;
static struct stasis_passt passt;
static struct stasis_error err;
static uint8_t frame[BIG + 1], got[BIG];

static size_t read_max; /* of a call, if not 0 */
static unsigned reads;

ssize_t __real_read(int fd, void *bytes, size_t len);
ssize_t __wrap_read(int fd, void *bytes, size_t len);

ssize_t __wrap_read(int fd, void *bytes, size_t len)
{
    reads++;
    return __real_read(fd, bytes, read_max && len > read_max ? read_max : len);
}

/* ---- passt's side ---- */

static void listen_as(int kind)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strcpy(address.sun_path, path);
    listener = socket(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
}

static void take_connection(void)
{
    peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(peer >= 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/passt.socket", folder);
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 7 + i / 256);
    listener = peer = passt.fd = passt.folder_fd = -1;
    read_max = 0;
    return 0;
}

static int start(void **state)
{
    (void)set_up(state);
    listen_as(SOCK_STREAM);
    assert_int_equal(stasis_passt_open(path, &passt, &err), 0);
    take_connection();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_passt_close(&passt);
    if (listener >= 0)
        close(listener);
    if (peer >= 0)
        close(peer);
    (void)unlink(path);
    return rmdir(folder);
}

static void say(const void *bytes, size_t len)
{
    assert_int_equal(send(peer, bytes, len, MSG_NOSIGNAL), len);
}

static void say_length(uint32_t length)
{
    length = htobe32(length);
    say(&length, sizeof(length));
}

/* Reads so many bytes of the stream, which must be there once what is left of a frame is sent. */
static void hear(uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = recv(peer, bytes + done, len - done, 0);

        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_not_equal(stasis_passt_flush(&passt), STASIS_NET_GONE);
        }
        done += n > 0 ? (size_t)n : 0;
        assert_int_not_equal(n, 0);
    }
}

static void hear_frame(size_t len)
{
    static uint8_t bytes[BIG];
    uint32_t length;

    hear((uint8_t *)&length, sizeof(length));
    assert_int_equal(be32toh(length), len);
    hear(bytes, len);
    assert_memory_equal(bytes, frame, len);
}

static void expect(enum stasis_net_result result, size_t len)
{
    size_t got_len = 0;

    assert_int_equal(stasis_passt_receive(&passt, got, &got_len), result);
    if (result == STASIS_NET_DONE) {
        assert_int_equal(got_len, len);
        assert_memory_equal(got, frame, len);
    }
}

static void refused(const char *words)
{
    assert_int_equal(stasis_passt_open(path, &passt, &err), STASIS_ERR_ARG);
    assert_int_equal(err.code, STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
}

/* ---- cases ---- */

static void frames_pass_both_ways(void **state)
{
    (void)state;
    assert_int_equal(stasis_passt_send(&passt, frame, 60), STASIS_NET_DONE);
    assert_int_equal(stasis_passt_send(&passt, frame, 1514), STASIS_NET_DONE);
    hear_frame(60);
    hear_frame(1514);
    expect(STASIS_NET_BUSY, 0);
    say_length(14);
    say(frame, 14);
    say_length(1514);
    say(frame, 1514);
    expect(STASIS_NET_DONE, 14);
    expect(STASIS_NET_DONE, 1514);
    expect(STASIS_NET_BUSY, 0);
}

static void frames_come_byte_by_byte(void **state)
{
    const uint32_t length = htobe32(20);
    uint8_t bytes[24];

    (void)state;
    memcpy(bytes, &length, sizeof(length));
    memcpy(bytes + 4, frame, 20);
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        expect(STASIS_NET_BUSY, 0);
        say(bytes + i, 1);
    }
    expect(STASIS_NET_DONE, 20);
}

/* As by a peer that adds a byte whenever one has been taken. */
static void a_frame_that_does_not_end_holds_nobody_up(void **state)
{
    (void)state;
    say_length(20);
    say(frame, 20);
    read_max = 1;
    for (unsigned i = 0; i < 23; i++) {
        reads = 0;
        expect(STASIS_NET_BUSY, 0);
        assert_int_equal(reads, 1);
    }
    expect(STASIS_NET_DONE, 20);
}

static void the_longest_frames_fit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        say_length(14 + i);
        say(frame, 14 + i);
        say_length(BIG);
        say(frame, BIG);
        expect(STASIS_NET_DONE, 14 + i);
        expect(STASIS_NET_DONE, BIG);
    }
    expect(STASIS_NET_BUSY, 0);
    assert_int_equal(stasis_passt_send(&passt, frame, BIG), STASIS_NET_DONE);
    hear_frame(BIG);
    assert_int_equal(stasis_passt_send(&passt, frame, BIG + 1), STASIS_NET_LOST);
}

static void lengths_that_are_none_end_the_connection(void **state)
{
    static const uint32_t lengths[] = {0, 13, BIG + 1, 0x7fffffff, 0x80000000, 0xffffffff};

    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        say_length(14);
        say(frame, 14);
        say_length(lengths[i]);
        say(frame, 100);
        expect(STASIS_NET_DONE, 14);
        expect(STASIS_NET_GONE, 0);
        (void)tear_down(state);
        (void)start(state);
    }
}

/* A frame of which nothing was taken is not kept, of one that was taken in part nothing is lost. */
static void a_peer_that_does_not_read_holds_frames_up(void **state)
{
    enum stasis_net_result result = STASIS_NET_DONE;
    unsigned sent = 0;

    (void)state;
    while (result == STASIS_NET_DONE) {
        result = stasis_passt_send(&passt, frame, BIG);
        sent += result == STASIS_NET_DONE;
        assert_true(sent < 10000);
    }
    assert_int_equal(result, STASIS_NET_BUSY);
    assert_true(sent > 0);
    assert_int_equal(stasis_passt_send(&passt, frame, BIG), STASIS_NET_BUSY);
    for (unsigned i = 0; i < sent; i++)
        hear_frame(BIG);
    assert_int_equal(stasis_passt_flush(&passt), STASIS_NET_DONE);
    assert_int_equal(stasis_passt_send(&passt, frame, 60), STASIS_NET_DONE);
    hear_frame(60);
}

static void a_peer_that_ends_is_seen_and_found_again(void **state)
{
    (void)state;
    say_length(100);
    say(frame, 50); /* the rest never comes */
    close(peer);
    expect(STASIS_NET_BUSY, 0);
    expect(STASIS_NET_GONE, 0);
    assert_int_equal(stasis_passt_send(&passt, frame, 60), STASIS_NET_GONE);
    stasis_passt_disconnect(&passt);
    close(listener);
    assert_int_equal(stasis_passt_connect(&passt, &err), STASIS_ERR_ARG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stasis_passt_connect(&passt, &err), STASIS_ERR_ARG);
    listen_as(SOCK_STREAM);
    assert_int_equal(stasis_passt_connect(&passt, &err), 0);
    take_connection();
    frames_pass_both_ways(state);
}

static void a_peer_that_ends_takes_what_was_sent_in_part_along(void **state)
{
    (void)state;
    while (stasis_passt_send(&passt, frame, BIG) == STASIS_NET_DONE)
        ;
    assert_true(passt.out_at < passt.out_end);
    close(peer);
    assert_int_equal(stasis_passt_flush(&passt), STASIS_NET_GONE);
    stasis_passt_disconnect(&passt);
    assert_int_equal(stasis_passt_connect(&passt, &err), 0);
    take_connection();
    assert_int_equal(stasis_passt_send(&passt, frame, 60), STASIS_NET_DONE);
    hear_frame(60);
}

static void sockets_that_are_not_passts_are_refused(void **state)
{
    (void)state;
    refused("cannot connect to it; have passt listen there: No such file");
    listen_as(SOCK_SEQPACKET);
    refused("it is no stream socket");
    strcpy(path + strlen(path), "/");
    refused("it ends in no name of 1 to 64 bytes");
    strcpy(path, "/nonexistent/passt.socket");
    refused("cannot open its folder");
    (void)snprintf(path, sizeof(path), "%s/passt.socket", folder);
}

static void a_socket_of_others_is_refused(void **state)
{
    (void)state;
    if (!geteuid())
        skip(); /* root may connect to all */
    listen_as(SOCK_STREAM);
    assert_int_equal(chmod(path, 0), 0);
    refused("let this user write to the socket");
}

static void a_name_without_a_folder_is_of_the_working_one(void **state)
{
    char before[256];

    (void)state;
    assert_non_null(getcwd(before, sizeof(before)));
    listen_as(SOCK_STREAM);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(stasis_passt_open("passt.socket", &passt, &err), 0);
    assert_int_equal(chdir(before), 0);
    stasis_passt_disconnect(&passt);
    assert_int_equal(stasis_passt_connect(&passt, &err), 0);
}

#define CASE(name, begin) cmocka_unit_test_setup_teardown(name, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(frames_pass_both_ways, start),
        CASE(frames_come_byte_by_byte, start),
        CASE(a_frame_that_does_not_end_holds_nobody_up, start),
        CASE(the_longest_frames_fit, start),
        CASE(lengths_that_are_none_end_the_connection, start),
        CASE(a_peer_that_does_not_read_holds_frames_up, start),
        CASE(a_peer_that_ends_is_seen_and_found_again, start),
        CASE(a_peer_that_ends_takes_what_was_sent_in_part_along, start),
        CASE(sockets_that_are_not_passts_are_refused, set_up),
        CASE(a_socket_of_others_is_refused, set_up),
        CASE(a_name_without_a_folder_is_of_the_working_one, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
