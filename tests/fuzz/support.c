/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint8_t *fuzz_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    FUZZ_ASSERT(copy);
    if (len)
        memcpy(copy, bytes, len);
    return copy;
}

int fuzz_file(const uint8_t *bytes, size_t len)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    FUZZ_ASSERT(fd >= 0);
    while (len) {
        ssize_t n = write(fd, bytes, len);

        FUZZ_ASSERT(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
    return fd;
}
