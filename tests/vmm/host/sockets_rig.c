/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "sockets_rig.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/un.h>

char folder[] = "/tmp/test_vsock.XXXXXX";
char path[64];
struct stasis_vsock *vsock;

struct sockets_guest guest;
static bool on_open(void *ctx, uint32_t port, struct stasis_vsock_peer *peer, uint32_t *ret_id)
{
    (void)ctx;
    guest.port = port;
    guest.peer = peer;
    *ret_id = ++guest.opens;
    return !guest.refuses;
}

static void on_ready(void *ctx, uint32_t id)
{
    (void)ctx;
    assert_true(id > 0);
    guest.readies++;
}

static void on_consumed(void *ctx, uint32_t id, size_t len)
{
    (void)ctx;
    assert_true(id > 0);
    guest.consumed += len;
}

static void on_close(void *ctx, uint32_t id)
{
    (void)ctx;
    assert_true(id > 0);
    guest.closes++;
}

const struct stasis_vsock_guest guest_ops = {on_open, on_ready, on_consumed, on_close, NULL};

int start(void **state)
{
    struct stasis_error err;

    (void)state;
    memset(&guest, 0, sizeof(guest));
    if (stasis_vsock_open(path, &guest_ops, &vsock, &err))
        fail_msg("%s", err.msg);
    return 0;
}

int end(void **state)
{
    (void)state;
    stasis_vsock_close(vsock);
    assert_int_equal(access(path, F_OK), -1);
    return 0;
}

void dispatch(void)
{
    struct pollfd fd = {.fd = stasis_vsock_fd(vsock), .events = POLLIN};

    while (poll(&fd, 1, 0) > 0)
        stasis_vsock_dispatch(vsock);
}

/* ---- programs ---- */

int program(const char *at)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", at);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    dispatch();
}

void assert_hears(int fd, const char *text)
{
    char bytes[64];
    ssize_t len = recv(fd, bytes, sizeof(bytes), 0);

    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

void assert_nothing(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

void assert_ends(int fd)
{
    char byte;

    dispatch();
    assert_true(recv(fd, &byte, 1, 0) == 0 || errno == ECONNRESET || errno == EPIPE);
    close(fd);
}

int connected(void)
{
    int fd = program(path);

    say(fd, "CONNECT 52\n");
    stasis_vsock_opened(guest.peer, 1073741824);
    assert_hears(fd, "OK 1073741824\n");
    return fd;
}

void assert_received(const char *text)
{
    char bytes[64];
    size_t len = sizeof(bytes);

    assert_int_equal(stasis_vsock_receive(guest.peer, (uint8_t *)bytes, &len), 1);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, len);
}

int receive_nothing(void)
{
    char byte;
    size_t len = 1;

    return stasis_vsock_receive(guest.peer, (uint8_t *)&byte, &len);
}

/* ---- a group of tests ---- */

int make_folder(void **state)
{
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/v.sock", folder);
    return 0;
}

int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}
