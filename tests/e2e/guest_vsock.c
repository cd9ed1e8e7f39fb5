// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_vsock.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GUEST_PORT = 52,
    HOST_PORT = 7,
    LINE_BYTES = 128,
    LINES = 16,       // on their way at once
    CONNECTS = 60,    // a second each: the host may not listen yet
    PATIENCE_S = 300, // of a connect, for a host that is busy: Linux's own is 2 s
};

// Shared with the process that talks without a pause.
struct progress {
    _Atomic unsigned long lines;
    atomic_bool failed;
};

static int held = -1;
static unsigned long resets;
static struct progress *progress;

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

// The descriptor, or -1.
static int connect_to_host(void)
{
    const struct sockaddr_vm host = {
        .svm_family = AF_VSOCK, .svm_port = HOST_PORT, .svm_cid = VMADDR_CID_HOST};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = vsock_socket();
    if (fd >= 0 && (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience,
                               sizeof(patience)) != 0 ||
                    connect(fd, (const struct sockaddr *)&host, sizeof(host)) != 0)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

// A connection on which the host has answered; or -1.
static int talk_to_host(const char *text)
{
    char line[LINE_BYTES] = "", sent[LINE_BYTES], expected[LINE_BYTES + 8];
    int fd = connect_to_host();
    (void)snprintf(sent, sizeof(sent), "%s\n", text);
    (void)snprintf(expected, sizeof(expected), "host %s", text);
    if (fd >= 0 && send_text(fd, sent) && read_line(fd, line) && strcmp(line, expected) == 0) {
        return fd;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

// ---- without a pause ----

// Of some lines. A thaw resets the connection, which is then LOST.
enum outcome { CAME, LOST, WRONG };

// Each line has another number.
static enum outcome exchange_lines(int fd, unsigned long first)
{
    char line[LINE_BYTES], expected[LINE_BYTES];
    for (unsigned long i = first; i < first + LINES; i++) {
        (void)snprintf(line, sizeof(line), "talk %lu\n", i);
        if (!send_text(fd, line)) {
            return LOST;
        }
    }
    for (unsigned long i = first; i < first + LINES; i++) {
        (void)snprintf(expected, sizeof(expected), "host talk %lu", i);
        if (!read_line(fd, line)) {
            return LOST;
        }
        if (strcmp(line, expected) != 0) {
            return WRONG;
        }
    }
    return CAME;
}

static int connect_patiently(void)
{
    int fd = connect_to_host();
    for (unsigned i = 1; fd < 0 && i < CONNECTS; i++) {
        (void)sleep(1);
        fd = connect_to_host();
    }
    return fd;
}

static void talk_on(void)
{
    (void)setpriority(PRIO_PROCESS, 0, 19); // by what the other loads leave, lines are many
    enum outcome outcome = CAME;
    int fd = connect_patiently();
    while (fd >= 0 && outcome != WRONG) {
        outcome = exchange_lines(fd, atomic_load(&progress->lines));
        if (outcome == LOST) {
            (void)close(fd);
            fd = connect_patiently();
        } else if (outcome == CAME) {
            atomic_fetch_add(&progress->lines, LINES);
        }
    }
    atomic_store(&progress->failed, true);
}

static bool start_talking(void)
{
    progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        return false;
    }
    pid_t talker = fork();
    if (talker == 0) {
        talk_on();
        _exit(1);
    }
    return talker > 0;
}

const char *vsock_talk_failed(void)
{
    return progress != NULL && atomic_load(&progress->failed)
               ? "what came back is not what was sent, or nobody takes a connection"
               : NULL;
}

unsigned long vsock_lines(void)
{
    return progress == NULL ? 0 : atomic_load(&progress->lines);
}

// ---- one that stays, and others ----

const char *vsock_start(void)
{
    if (!listen_and_serve()) {
        return "no socket of the guest";
    }
    if (!start_talking()) {
        return "no process that talks";
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
