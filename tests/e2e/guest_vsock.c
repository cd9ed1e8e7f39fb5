// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_vsock.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GUEST_PORT = 52,
    HOST_PORT = 7,
    LINE_BYTES = 128,
};

static int held = -1;
static unsigned long resets;

static int vsock_socket(void)
{
    return socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

// Reads one line, without its end. False: there is none.
static bool read_line(int fd, char line[LINE_BYTES])
{
    for (size_t length = 0; length < LINE_BYTES; length++) {
        if (read(fd, &line[length], 1) != 1) {
            return false;
        }
        if (line[length] == '\n') {
            line[length] = '\0';
            return true;
        }
    }
    return false;
}

static bool send_text(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

// ---- the guest's port ----

static void answer(int fd)
{
    char line[LINE_BYTES], reply[LINE_BYTES + 16];
    while (read_line(fd, line)) {
        (void)snprintf(reply, sizeof(reply), "guest %s\n", line);
        if (!send_text(fd, reply)) {
            break;
        }
    }
}

static void serve(int listener)
{
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            _exit(1);
        }
        if (fork() == 0) {
            answer(fd);
            _exit(0);
        }
        (void)close(fd);
    }
}

static bool listen_and_serve(void)
{
    const struct sockaddr_vm own = {
        .svm_family = AF_VSOCK, .svm_port = GUEST_PORT, .svm_cid = VMADDR_CID_ANY};
    int fd = vsock_socket();
    if (fd < 0 || bind(fd, (const struct sockaddr *)&own, sizeof(own)) != 0 || listen(fd, 8) != 0) {
        return false;
    }
    pid_t server = fork();
    if (server == 0) {
        serve(fd);
    }
    (void)close(fd);
    return server > 0;
}

// ---- the host's port ----

// A connection on which the host has answered; or -1.
static int talk_to_host(const char *text)
{
    const struct sockaddr_vm host = {
        .svm_family = AF_VSOCK, .svm_port = HOST_PORT, .svm_cid = VMADDR_CID_HOST};
    char line[LINE_BYTES] = "", sent[LINE_BYTES], expected[LINE_BYTES + 8];
    int fd = vsock_socket();
    (void)snprintf(sent, sizeof(sent), "%s\n", text);
    (void)snprintf(expected, sizeof(expected), "host %s", text);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&host, sizeof(host)) == 0 &&
        send_text(fd, sent) && read_line(fd, line) && strcmp(line, expected) == 0) {
        return fd;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

const char *vsock_start(void)
{
    if (!listen_and_serve()) {
        return "no socket of the guest";
    }
    held = talk_to_host("stay");
    return held < 0 ? "the host does not answer" : NULL;
}

static bool is_open(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

const char *vsock_check(void)
{
    int fd = talk_to_host("go");
    if (fd < 0) {
        return "the host does not answer";
    }
    (void)close(fd);
    if (is_open(held)) {
        return NULL;
    }
    (void)close(held);
    resets++;
    held = talk_to_host("stay");
    return held < 0 ? "the host does not answer any more" : NULL;
}

unsigned long vsock_resets(void)
{
    return resets;
}
