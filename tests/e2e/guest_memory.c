// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 1 << 20,
    PAGE_BYTES = 4096,
};

#define NAME "MemAvailable:"

static const char *const held = "/held";

const char *memory_fill(unsigned mib)
{
    static uint8_t piece[PIECE_BYTES];
    int fd = open(held, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return held;
    }
    memset(piece, 0x5a, sizeof(piece));
    const char *failed = NULL;
    for (unsigned i = 0; i < mib && failed == NULL; i++) {
        if (write(fd, piece, sizeof(piece)) != (ssize_t)sizeof(piece)) {
            failed = "writing it";
        }
    }
    (void)close(fd);
    return failed;
}

const char *memory_drop(void)
{
    return unlink(held) == 0 ? NULL : held;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static unsigned available_mib(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *in = fopen("/proc/meminfo", "r");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        kib = strncmp(line, NAME, strlen(NAME)) == 0 ? strtoul(line + strlen(NAME), NULL, 10) : kib;
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    return (unsigned)(kib / 1024);
}

const char *memory_take_but(unsigned mib, unsigned long *ret_taken_mib, unsigned long *ret_wrong)
{
    unsigned available = available_mib();
    if (available <= mib) {
        return "no memory is available";
    }
    size_t length = (size_t)(available - mib) * PIECE_BYTES;
    uint8_t *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        return "mmap";
    }
    *ret_taken_mib = available - mib;
    *ret_wrong = 0;
    for (size_t at = 0; at < length; at += PAGE_BYTES) {
        *ret_wrong += is_zero(memory + at) ? 0 : 1;
    }
    (void)munmap(memory, length);
    return NULL;
}
