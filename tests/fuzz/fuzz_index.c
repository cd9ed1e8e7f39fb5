/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An index, with what header and section table say of it in front: RAM, stored bytes, features,
 * place and length of the data. Feature bit 63, which no file has, stands for format version 2.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/index_merge.h"
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

/* A layer's header names what the index does. */
static void name_parent(struct stasis_snap_info *info, const uint8_t *section, size_t len)
{
    uint64_t at = len < 4 ? len : 16 + UINT64_C(16) * stasis_le32_get(section);

    info->layer = info->format_version == 2 && info->incompatible & STASIS_FEATURE_LAYER;
    if (!info->layer || at > len || len - at < STASIS_RUNS_NAME_LEN)
        return;
    memcpy(info->parent_uuid, section + at, STASIS_UUID_SIZE);
    memcpy(info->parent_root, section + at + STASIS_UUID_SIZE, STASIS_DIGEST_SIZE);
}

/* Over itself, if something is below. */
static void merge(const struct stasis_index *index)
{
    const struct stasis_index_part part = {index, NULL};
    struct stasis_index merged;
    struct stasis_index_extents extents, same;

    FUZZ_ASSERT(
        !stasis_index_merge(index->runs.partial ? &part : NULL, &part, NULL, 0, &merged, NULL));
    FUZZ_ASSERT(merged.runs.partial == index->runs.partial);
    for (uint64_t i = 0; i < index->chunk_count; i++) {
        stasis_index_get_extents(index, i, &extents);
        stasis_index_get_extents(&merged, i, &same);
        FUZZ_ASSERT(extents.count <= STASIS_EXTENTS_MAX && same.count == extents.count &&
                    same.kind == extents.kind);
        FUZZ_ASSERT(!memcmp(same.list, extents.list, same.count * sizeof(same.list[0])));
    }
    stasis_index_fini(&merged);
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
    name_parent(&header.info, bytes + FRONT, len - FRONT);
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
        struct stasis_index_extents extents;

        stasis_index_get_extents(&index, i, &extents);
        for (unsigned k = 0; k < extents.count; k++)
            total += extents.list[k].file ? 0 : extents.list[k].stored_len;
        FUZZ_ASSERT(index.runs.layered || !stasis_runs_digest(&index, i) == !index.runs.digests);
    }
    if (index.runs.layered && index.chunk_count < 100000)
        merge(&index);
    FUZZ_ASSERT(total == header.info.stored_bytes);
    stasis_index_fini(&index);
    return 0;
}
