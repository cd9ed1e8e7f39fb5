/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A stopwatch: starts a command, as often as asked for at once, and prints for each the time from
 * before the first exec to the first byte on its standard output, in nanoseconds. All are then
 * killed and waited for, so that nothing of them is left when the next measurement begins.
 *
 *   bench-run [-n COUNT] [-t] [-u] [-c FILE]... COMMAND [ARGUMENT]...
 *   bench-run -s TIMES COMMAND [ARGUMENT]...
 *     -t  types a byte into each, and again every 10 ms until it answers
 *     -u  prints behind it the time that processors have spent on the process until then
 *     -c  drops FILE from the page cache first
 *     -s  starts it so often, each when the one before has answered and, by SIGTERM, ended; prints
 *         the time that all this took
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/clock.h"

#define COUNT_MAX   64
#define TYPE_MS     10
#define CHILL_MS    10
#define CHILL_TRIES 500u
#define PATIENCE_NS UINT64_C(120000000000)

extern char **environ;

struct child {
    pid_t pid;
    int in; /* -1: nothing is typed */
    int out;
    uint64_t answered_ns;
    uint64_t used_ns; /* of processors, by all its threads */
};

static int fail(const char *what)
{
    fprintf(stderr, "bench-run: %s: %s\n", what, strerror(errno));
    return -1;
}

/* Whether no page of it is in memory. */
static bool is_cold(int fd, size_t size)
{
    size_t pages = (size + 4095) / 4096;
    unsigned char *resident = malloc(pages);
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    bool cold = resident && map != MAP_FAILED && !mincore(map, size, resident);

    for (size_t i = 0; cold && i < pages; i++)
        cold = !(resident[i] & 1);
    if (map != MAP_FAILED)
        munmap(map, size);
    free(resident);
    return cold;
}

/* Pages that a process which was killed had asked for are locked until the disk has read them, and
 * stay that long. */
static bool drop(int fd, size_t size)
{
    const struct timespec pause = {.tv_nsec = CHILL_MS * 1000000L};
    bool cold = false;

    for (unsigned tries = 0; !cold && tries < CHILL_TRIES; tries++) {
        if (tries)
            nanosleep(&pause, NULL);
        (void)fsync(fd); /* dirty pages are not dropped */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        cold = is_cold(fd, size);
    }
    return cold;
}

static int chill(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool cold;

    if (fd < 0 || fstat(fd, &st))
        return fail(path);
    cold = drop(fd, (size_t)st.st_size);
    close(fd);
    if (cold)
        return 0;
    fprintf(stderr, "bench-run: %s stays in the page cache: is it mapped somewhere?\n", path);
    return -1;
}

static int start(struct child *child, bool type, char **command)
{
    int in[2] = {-1, -1}, out[2], rc;
    posix_spawn_file_actions_t actions;

    if (pipe2(out, O_CLOEXEC) || (type && pipe2(in, O_CLOEXEC)))
        return fail("pipe");
    posix_spawn_file_actions_init(&actions);
    if (type)
        posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    else
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    if (type)
        (void)!write(in[1], "x", 1);
    rc = posix_spawnp(&child->pid, command[0], &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    if (type)
        close(in[0]);
    child->in = in[1];
    child->out = out[0];
    errno = rc;
    return rc ? fail(command[0]) : 0;
}

static uint64_t used_ns(pid_t pid)
{
    struct timespec time = {0};
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
        return 0;
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* 1: there is an answer; -1: there will be none. */
static int look(struct child *child, short events, uint64_t started)
{
    char byte;

    if (!events) {
        if (child->in >= 0)
            (void)!write(child->in, "x", 1);
        return 0;
    }
    child->answered_ns = stasis_monotonic_ns() - started;
    child->used_ns = used_ns(child->pid);
    if (read(child->out, &byte, 1) == 1)
        return 1;
    fprintf(stderr, "bench-run: a process ended without a byte\n");
    return -1;
}

static int wait_for_all(struct child *children, unsigned count, uint64_t started)
{
    struct pollfd fds[COUNT_MAX];
    unsigned left = count;

    for (unsigned i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = children[i].out, .events = POLLIN};
    while (left) {
        int ready = poll(fds, count, TYPE_MS);

        if (stasis_monotonic_ns() - started > PATIENCE_NS) {
            fprintf(stderr, "bench-run: no answer\n");
            return -1;
        }
        for (unsigned i = 0; i < count; i++) {
            int answer = fds[i].fd < 0 || (ready && !fds[i].revents)
                             ? 0
                             : look(&children[i], fds[i].revents, started);

            if (answer < 0)
                return -1;
            if (answer) {
                fds[i].fd = -1;
                left--;
            }
        }
    }
    return 0;
}

static void print(const struct child *child, bool used)
{
    printf("%llu", (unsigned long long)child->answered_ns);
    if (used)
        printf(" %llu", (unsigned long long)child->used_ns);
    puts("");
}

/* After an error, too. */
static void end(struct child *children, unsigned count, int signal)
{
    for (unsigned i = 0; i < count; i++) {
        if (children[i].pid > 0)
            kill(children[i].pid, signal);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    for (unsigned i = 0; i < count; i++) {
        if (children[i].pid > 0)
            close(children[i].out);
        if (children[i].pid > 0 && children[i].in >= 0)
            close(children[i].in);
    }
}

static int measure_sequence(unsigned long times, char **command)
{
    uint64_t start_ns = stasis_monotonic_ns();
    int rc = 0;

    for (unsigned long i = 0; !rc && i < times; i++) {
        struct child child = {0};

        rc = start(&child, false, command);
        if (!rc) {
            rc = wait_for_all(&child, 1, stasis_monotonic_ns());
            end(&child, 1, rc ? SIGKILL : SIGTERM);
        }
    }
    if (!rc)
        printf("%llu\n", (unsigned long long)(stasis_monotonic_ns() - start_ns));
    return rc;
}

static int measure(unsigned count, bool type, bool used, char **command)
{
    struct child children[COUNT_MAX] = {0};
    unsigned started = 0;
    uint64_t start_ns = stasis_monotonic_ns();
    int rc = 0;

    for (; !rc && started < count; started++)
        rc = start(&children[started], type, command);
    if (!rc)
        rc = wait_for_all(children, count, start_ns);
    end(children, started, SIGKILL);
    for (unsigned i = 0; !rc && i < count; i++)
        print(&children[i], used);
    return rc;
}

int main(int argc, char **argv)
{
    unsigned count = 1;
    unsigned long times = 0;
    bool type = false, used = false;
    int option;

    (void)signal(SIGPIPE, SIG_IGN);
    while ((option = getopt(argc, argv, "+n:tuc:s:")) != -1) {
        if (option == 'n')
            count = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 's')
            times = strtoul(optarg, NULL, 10);
        else if (option == 't')
            type = true;
        else if (option == 'u')
            used = true;
        else if (option != 'c' || chill(optarg))
            return 2;
    }
    if (optind == argc || count < 1 || count > COUNT_MAX) {
        fprintf(stderr,
                "usage: bench-run [-n COUNT] [-t] [-u] [-s TIMES] [-c FILE]... COMMAND [ARG]...\n");
        return 2;
    }
    if (times)
        return measure_sequence(times, argv + optind) ? 1 : 0;
    return measure(count, type, used, argv + optind) ? 1 : 0;
}
