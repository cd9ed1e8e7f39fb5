/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An index, with what header and section table say of it in front: RAM, stored bytes, features,
 * place and length of the data. Feature bit 63, which no file has, stands for format version 2.
 */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/le.h"

#define FRONT 40u

static int file_of(const uint8_t *bytes, size_t len)
{
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("index", MFD_CLOEXEC);
    FUZZ_ASSERT(fd >= 0 && !ftruncate(fd, 0));
    FUZZ_ASSERT(pwrite(fd, bytes, len, 0) == (ssize_t)len);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct stasis_header header = {.section_count = 2};
    struct stasis_input input = {0};
    struct stasis_index index;
    struct stasis_error err = {0};
    uint64_t offset, length, total = 0;

    if (len < FRONT)
        return 0;
    header.info.ram_bytes = stasis_le64_get(bytes);
    header.info.stored_bytes = stasis_le64_get(bytes + 8);
    header.info.incompatible = stasis_le64_get(bytes + 16);
    header.info.format_version = header.info.incompatible >> 63 ? 2 : 1;
    header.info.digests = header.info.incompatible & STASIS_FEATURE_DIGESTS;
    offset = stasis_le64_get(bytes + 24);
    length = stasis_le64_get(bytes + 32);
    /* As the header and the section table would not let through. */
    if (header.info.ram_bytes > STASIS_RAM_MAX || offset % STASIS_PAGE_SIZE ||
        offset + length < offset)
        return 0;
    header.sections[0] = (struct stasis_section){.type = STASIS_SECTION_INDEX,
                                                 .length = len - FRONT,
                                                 .crc = stasis_crc32(bytes + FRONT, len - FRONT)};
    header.sections[1] =
        (struct stasis_section){.type = STASIS_SECTION_DATA, .offset = offset, .length = length};
    input.fd = file_of(bytes + FRONT, len - FRONT);
    if (stasis_index_read(&input, &header, &index, &err)) {
        FUZZ_ASSERT(err.code && err.msg[0]);
        return 0;
    }
    for (uint64_t i = stasis_index_zero_end(&index, 0, index.chunk_count); i < index.chunk_count;
         i = stasis_index_zero_end(&index, i + 1, index.chunk_count)) {
        total += stasis_index_get(&index, i).stored_len;
        FUZZ_ASSERT(!stasis_runs_digest(&index, i) == !index.runs.digests);
    }
    FUZZ_ASSERT(total == header.info.stored_bytes);
    stasis_index_fini(&index);
    return 0;
}
