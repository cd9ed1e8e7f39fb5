// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Notes when each line arrives, by a clock that is not the guest's:
//   stamp FILE <&PIPE
// FILE gets every byte of the input; FILE.at gets, for each line of it, CLOCK_MONOTONIC in ns when
// its first byte was read. Ends with the input.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 4096, FILE_MODE = 0644 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        die(path);
    }
    return fd;
}

static void put(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t count = write(fd, bytes, length);
        if (count < 0 && errno != EINTR) {
            die("write");
        }
        bytes += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
}

// One stamp for each line that begins in these bytes; returns whether the next byte begins one.
static bool stamp_lines(int fd, const char *bytes, size_t length, bool begins)
{
    char text[32];
    int digits = snprintf(text, sizeof(text), "%" PRIu64 "\n", now_ns());
    for (size_t i = 0; i < length; i++) {
        if (begins) {
            put(fd, text, (size_t)digits);
        }
        begins = bytes[i] == '\n';
    }
    return begins;
}

int main(int argc, char **argv)
{
    const struct sched_param soon = {.sched_priority = 1};
    char path[4096];
    char bytes[CHUNK_BYTES];
    bool begins = true;
    if (argc != 2 || snprintf(path, sizeof(path), "%s.at", argv[1]) >= (int)sizeof(path)) {
        (void)fputs("usage: stamp FILE\n", stderr);
        return 2;
    }
    // Before whatever else would run when a byte arrives; not everyone may.
    (void)sched_setscheduler(0, SCHED_FIFO, &soon);
    int copy = create(argv[1]);
    int at = create(path);
    for (;;) {
        ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (count == 0) {
            return 0;
        }
        if (count > 0) {
            // First the stamp: who sees a line finds it.
            begins = stamp_lines(at, bytes, (size_t)count, begins);
            put(copy, bytes, (size_t)count);
        } else if (errno != EINTR) {
            die("read");
        }
    }
}
