// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_net.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORDS = 8192, // of a piece
    ECHO_PORT = 7,
    PINGS = 60,      // a second each: the first may be lost while the link comes up
    PATIENCE_S = 60, // for one more byte: TCP tries again far sooner, so the connection is no more
    CONNECTS = 30,
    IP_HEADER = 20,
};

#define HOST  0xc0000201u
#define GUEST 0xc0000202u

// Shared with the process that sends.
struct progress {
    _Atomic unsigned long pieces;
    _Atomic unsigned long lost; // connections
    atomic_bool stop;
    atomic_bool failed;
};

static struct progress *progress;
static pid_t sender;
static uint64_t words[WORDS];

static struct sockaddr_in address(uint32_t ip, unsigned port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(ip)}};
}

static bool bring_up(void)
{
    const struct sockaddr_in own = address(GUEST, 0);
    const struct sockaddr_in mask = address(0xffffff00u, 0);
    struct ifreq ifr = {.ifr_name = "eth0"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(&ifr.ifr_addr, &own, sizeof(own));
    bool ok = fd >= 0 && ioctl(fd, SIOCSIFADDR, &ifr) == 0;
    memcpy(&ifr.ifr_netmask, &mask, sizeof(mask));
    ok = ok && ioctl(fd, SIOCSIFNETMASK, &ifr) == 0;
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    ok = ok && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

static uint16_t checksum(const void *bytes, size_t len)
{
    const uint16_t *at = bytes;
    uint32_t sum = 0;
    for (size_t i = 0; i < len / 2; i++) {
        sum += at[i];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

// An echo request whose answer comes, of several.
static bool ping(void)
{
    const struct sockaddr_in host = address(HOST, 0);
    const struct timeval second = {.tv_sec = 1};
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    bool ok = false;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
    for (unsigned i = 1; fd >= 0 && !ok && i <= PINGS; i++) {
        struct icmphdr request = {.type = ICMP_ECHO, .un.echo = {htons(42), htons((uint16_t)i)}};
        uint8_t answer[128] = {0};
        request.checksum = checksum(&request, sizeof(request));
        (void)sendto(fd, &request, sizeof(request), 0, (const struct sockaddr *)&host,
                     sizeof(host));
        ssize_t len = recv(fd, answer, sizeof(answer), 0);
        ok = len >= IP_HEADER + (ssize_t)sizeof(request) && answer[IP_HEADER] == ICMP_ECHOREPLY;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

// Of a piece. A connection that is LOST may be gone without a word: its other end is patient with a
// guest for a while only, and a guest that is frozen is not there to be told.
enum outcome { CAME, LOST, WRONG };

static bool send_all(int fd, const void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t count = send(fd, (const uint8_t *)bytes + done, len - done, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

static bool receive_all(int fd, void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t count = recv(fd, (uint8_t *)bytes + done, len - done, 0);
        if (count <= 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

// Each word of a piece is different, and says which piece it is of.
static enum outcome exchange_piece(int fd, unsigned long number)
{
    static uint64_t back[WORDS];
    for (unsigned i = 0; i < WORDS; i++) {
        words[i] = (uint64_t)number << 32 | i;
    }
    if (!send_all(fd, words, sizeof(words)) || !receive_all(fd, back, sizeof(back))) {
        return LOST;
    }
    return memcmp(words, back, sizeof(words)) == 0 ? CAME : WRONG;
}

// The descriptor, or -1.
static int connect_to_host(void)
{
    const struct sockaddr_in host = address(HOST, ECHO_PORT);
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    for (unsigned i = 0; i < CONNECTS && !atomic_load(&progress->stop); i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            return -1;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(fd, (const struct sockaddr *)&host, sizeof(host)) == 0) {
            return fd;
        }
        (void)close(fd);
        (void)sleep(1);
    }
    return -1;
}

static void send_pieces(void)
{
    (void)setpriority(PRIO_PROCESS, 0, 10); // who asks how far this is does not wait for it
    int fd = connect_to_host();
    enum outcome outcome = CAME;
    for (unsigned long number = 0; fd >= 0 && outcome != WRONG && !atomic_load(&progress->stop);) {
        outcome = exchange_piece(fd, number);
        if (outcome == LOST) {
            atomic_fetch_add(&progress->lost, 1);
            (void)close(fd);
            fd = connect_to_host();
        } else if (outcome == CAME) {
            atomic_store(&progress->pieces, ++number);
        }
    }
    atomic_store(&progress->failed, outcome == WRONG || (fd < 0 && !atomic_load(&progress->stop)));
}

const char *net_start(void)
{
    progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        return "mmap";
    }
    if (!bring_up()) {
        return "eth0";
    }
    if (!ping()) {
        return "the host does not answer";
    }
    sender = fork();
    if (sender == 0) {
        send_pieces();
        _exit(0);
    }
    return sender < 0 ? "fork" : NULL;
}

const char *net_failed(void)
{
    return progress != NULL && atomic_load(&progress->failed)
               ? "what came back is not what was sent, or nobody takes a connection"
               : NULL;
}

unsigned long net_lost(void)
{
    return progress == NULL ? 0 : atomic_load(&progress->lost);
}

unsigned long net_pieces(void)
{
    return progress == NULL ? 0 : atomic_load(&progress->pieces);
}

const char *net_stop(void)
{
    if (progress == NULL) {
        return "not started";
    }
    if (!ping()) {
        return "the host does not answer";
    }
    atomic_store(&progress->stop, true);
    return waitpid(sender, NULL, 0) == sender ? net_failed() : "no process that sent";
}
