/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "bench/full_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/header.h"
#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/le.h"

#define PAGE STASIS_PAGE_SIZE

static void put_section(struct stasis_header *header, uint32_t type, uint64_t length,
                        const uint8_t *bytes)
{
    uint32_t n = header->section_count++;
    const struct stasis_section *before = n ? &header->sections[n - 1] : NULL;
    uint64_t at = before ? before->offset + before->length : STASIS_HEADER_LEN;

    header->sections[n] = (struct stasis_section){
        .type = type,
        .offset = type == STASIS_SECTION_DATA ? (at + PAGE - 1) / PAGE * PAGE : at,
        .length = length,
        .crc = bytes ? stasis_crc32(bytes, length) : 0};
}

/* One region, one run, and an extent for each chunk, at the right distance of each other. */
static uint8_t *full_index(uint64_t size, size_t *ret_len)
{
    uint32_t chunks = (uint32_t)(size / STASIS_CHUNK_SIZE);
    size_t len = 16 + STASIS_INDEX_REGION_LEN + STASIS_RUNS_ENTRY_LEN +
                 (size_t)chunks * STASIS_RUNS_EXTENT_LEN;
    const struct stasis_run run = {.kind = STASIS_RUN_STORED, .each = 1};
    uint8_t *bytes = calloc(1, len);
    uint8_t *extent = bytes + 16 + STASIS_INDEX_REGION_LEN + STASIS_RUNS_ENTRY_LEN;
    uint64_t data = (STASIS_HEADER_LEN + 1 + len + PAGE - 1) / PAGE * PAGE;

    if (!bytes)
        abort();
    stasis_le32_put(bytes, 1);
    stasis_le32_put(bytes + 8, 1);
    stasis_le32_put(bytes + 12, chunks);
    stasis_le64_put(bytes + 24, size);
    stasis_run_encode(&run, bytes + 16 + STASIS_INDEX_REGION_LEN);
    for (uint64_t i = 0; i < chunks; i++, extent += STASIS_RUNS_EXTENT_LEN) {
        const struct stasis_snap_chunk chunk = {.kind = STASIS_CHUNK_RAW,
                                                .page_mask = 0xffff,
                                                .offset = data + i * STASIS_CHUNK_SIZE,
                                                .stored_len = STASIS_CHUNK_SIZE,
                                                .size = STASIS_CHUNK_SIZE};

        stasis_extent_encode(&chunk, extent);
    }
    *ret_len = len;
    return bytes;
}

int bench_make_full_file(const char *path, uint64_t size)
{
    static const uint8_t no_records[1] = {0x90};
    struct stasis_header header = {.info = {.format_version = 2,
                                            .arch = STASIS_ARCH_X86_64,
                                            .producer = "bench-layers",
                                            .ram_bytes = size,
                                            .stored_bytes = size}};
    uint8_t bytes[STASIS_HEADER_LEN];
    size_t len;
    uint8_t *index = full_index(size, &len);
    int fd, rc;

    put_section(&header, STASIS_SECTION_STATE, sizeof(no_records), no_records);
    put_section(&header, STASIS_SECTION_INDEX, len, index);
    put_section(&header, STASIS_SECTION_DATA, size, NULL);
    header.info.file_len = header.sections[2].offset + size;
    stasis_header_encode(&header, bytes);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    rc = fd < 0 || ftruncate(fd, (off_t)header.info.file_len) ||
         pwrite(fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes) ||
         pwrite(fd, no_records, 1, (off_t)header.sections[0].offset) != 1 ||
         pwrite(fd, index, len, (off_t)header.sections[1].offset) != (ssize_t)len;
    if (fd >= 0)
        close(fd);
    free(index);
    return rc ? -1 : 0;
}
