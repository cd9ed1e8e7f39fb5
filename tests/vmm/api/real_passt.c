/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/vmm/api/real_passt.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/host/tap_rig.h"
#include "vmm/kvm_guest.h"

#define INTERFACE "ext0"

static pid_t keeper;  /* of passt: ends it when the test has ended, however that was */
static int life = -1; /* what the keeper waits for the end of */
static int listener = -1, datagrams = -1, connection = -1;

/* ---- the namespace ---- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return ok;
}

/* "ID ID" and what comes behind. */
static bool write_id(const char *path, unsigned id, const char *behind)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%u %u%s", id, id, behind);
    return write_file(path, text);
}

/* Of root it is a network only; another user is then one who is known there. */
static void enter_namespace(void)
{
    const unsigned uid = getuid(), gid = getgid();

    if (!unshare(CLONE_NEWNET))
        return;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) || !write_file("/proc/self/setgroups", "deny") ||
        !write_id("/proc/self/uid_map", uid, " 1") || !write_id("/proc/self/gid_map", gid, " 1"))
        kvm_case_skip("this host does not permit user namespaces");
}

/* As desktops have it: for all groups that the namespace knows. */
static void permit_pings(void)
{
    static const char path[] = "/proc/sys/net/ipv4/ping_group_range";

    assert_true(write_file(path, "0 4294967294") || write_id(path, getgid(), ""));
}

static struct sockaddr_in address_of(uint32_t ip, unsigned port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(ip)}};
}

static struct ifreq request_of(const char *name, uint32_t ip)
{
    const struct sockaddr_in address = address_of(ip, 0);
    struct ifreq ifr = {.ifr_flags = 0};

    (void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    memcpy(&ifr.ifr_addr, &address, sizeof(address));
    return ifr;
}

static void set_up_interface(int fd, const char *name)
{
    struct ifreq ifr = request_of(name, 0);

    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
}

static void set_address(int fd, const char *name, uint32_t ip)
{
    struct ifreq ifr = request_of(name, ip);

    assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
}

static void set_netmask(int fd, const char *name, uint32_t mask)
{
    struct ifreq ifr = request_of(name, mask);

    assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &ifr), 0);
}

static void set_route(int fd)
{
    const struct sockaddr_in all = address_of(0, 0), gateway = address_of(REAL_PASST_GATEWAY, 0);
    char name[] = INTERFACE;
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = name};

    memcpy(&route.rt_dst, &all, sizeof(all));
    memcpy(&route.rt_genmask, &all, sizeof(all));
    memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
    assert_int_equal(ioctl(fd, SIOCADDRT, &route), 0);
}

static void make_interfaces(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    set_up_interface(fd, "lo");
    set_address(fd, "lo:1", REAL_PASST_OTHER);
    tap_rig_make(INTERFACE);
    set_address(fd, INTERFACE, REAL_PASST_GUEST);
    set_netmask(fd, INTERFACE, 0xffffff00u);
    set_up_interface(fd, INTERFACE);
    set_route(fd);
    close(fd);
}

bool real_passt_is_installed(void)
{
    const char *path = getenv("PATH");
    char text[4096], *state = NULL;

    (void)snprintf(text, sizeof(text), "%s", path ? path : "/usr/bin");
    for (const char *folder = strtok_r(text, ":", &state); folder;
         folder = strtok_r(NULL, ":", &state)) {
        char name[4200];

        (void)snprintf(name, sizeof(name), "%s/passt", folder);
        if (!access(name, X_OK))
            return true;
    }
    return false;
}

void real_passt_enter(void)
{
    enter_namespace();
    if (access("/dev/net/tun", R_OK | W_OK))
        kvm_case_skip("this host has no tap devices");
    make_interfaces();
    permit_pings();
}

/* ---- the program ---- */

static _Noreturn void exec(const char *path)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)dup2(null, 0);
    (void)dup2(null, 1);
    (void)dup2(null, 2); /* what it says without being asked */
    execlp("passt", "passt", "--foreground", "--socket", path, "--mtu", "1500", "-4", (char *)NULL);
    _exit(127);
}

/* A signal at the death of the parent would be lost: passt becomes another user. */
static _Noreturn void keep(const char *path, int end_of_test)
{
    struct pollfd wait = {.fd = end_of_test};
    pid_t passt = fork();

    if (passt == 0)
        exec(path);
    while (passt > 0 && waitpid(passt, NULL, WNOHANG) == 0)
        if (poll(&wait, 1, 10) == 1)
            (void)kill(passt, SIGKILL);
    _exit(passt < 0);
}

/* It is there before it listens: unix(7), and __SO_ACCEPTCON of Linux' net.h in "Flags". */
static bool listens(const char *path)
{
    FILE *file = fopen("/proc/self/net/unix", "re");
    char line[256];
    bool found = false;

    assert_non_null(file);
    while (!found && fgets(line, sizeof(line), file))
        found = strstr(line, path) && strstr(line, " 00010000 ");
    (void)fclose(file);
    return found;
}

/* It may have become nobody, who then makes the socket. */
void real_passt_start(const char *path)
{
    char folder[160];
    int ends[2];

    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(chmod(folder, 0777), 0);
    (void)unlink(path);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    life = ends[1];
    keeper = fork();
    assert_true(keeper >= 0);
    if (keeper == 0) {
        close(life);
        keep(path, ends[0]);
    }
    close(ends[0]);
    kvm_wait(listens(path) || waitpid(keeper, NULL, WNOHANG) == keeper);
    if (!listens(path))
        fail_msg("passt has ended");
}

void real_passt_end(void)
{
    close(life);
    assert_int_equal(waitpid(keeper, NULL, 0), keeper);
}

/* ---- programs of the host ---- */

static int bound(int type)
{
    const struct sockaddr_in address = address_of(INADDR_LOOPBACK, REAL_PASST_PORT);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void real_passt_serve(void)
{
    listener = bound(SOCK_STREAM);
    assert_int_equal(listen(listener, 8), 0);
    datagrams = bound(SOCK_DGRAM);
}

/* One connection at a time: a newer one takes its place. */
void real_passt_serve_now(void)
{
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    uint8_t bytes[2048];
    ssize_t len = recvfrom(datagrams, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_len);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (len >= 0)
        assert_int_equal(
            sendto(datagrams, bytes, (size_t)len, 0, (struct sockaddr *)&from, from_len), len);
    if (fd >= 0 && connection >= 0)
        close(connection);
    if (fd >= 0)
        connection = fd;
    len = connection < 0 ? 0 : recv(connection, bytes, sizeof(bytes), 0);
    if (len > 0)
        assert_int_equal(send(connection, bytes, (size_t)len, MSG_NOSIGNAL), len);
}

void real_passt_serve_end(void)
{
    close(listener);
    close(datagrams);
    if (connection >= 0)
        close(connection);
    listener = datagrams = connection = -1;
}
