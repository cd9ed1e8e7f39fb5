/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stasis/ser.h"

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

void fuzz_show(const struct stasis_records *set)
{
    struct stasis_json json;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    FUZZ_ASSERT(out);
    stasis_json_init(&json, out);
    FUZZ_ASSERT(!stasis_records_json(set, &json, NULL) && !stasis_json_finish(&json));
    fclose(out);
    free(text);
}
