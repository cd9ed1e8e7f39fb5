/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/core.h"

struct copy {
    struct stasis_inspect_ram *ram;
    struct stasis_output *file;
    bool found;
    struct stasis_vmcoreinfo info;
    uint8_t bytes[STASIS_CHUNK_SIZE];
};

/* Linux has the text in a page of its own. */
static void look_for_info(struct copy *copy, const struct stasis_snap_chunk *chunk)
{
    for (uint32_t at = 0; at < chunk->size && !copy->found; at += STASIS_PAGE_SIZE)
        copy->found = stasis_vmcoreinfo_parse(copy->bytes + at, copy->ram, &copy->info);
}

static int copy_chunk(struct copy *copy, uint64_t number, uint64_t offset, struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_snap_chunk_at(copy->ram->snap, number);
    int rc;

    if (chunk.kind == STASIS_CHUNK_ZERO)
        return 0;
    rc = stasis_snap_read_chunk(copy->ram->snap, number, copy->bytes, err);
    if (rc)
        return rc;
    look_for_info(copy, &chunk);
    return stasis_output_put(copy->file, copy->bytes, chunk.size, offset, err);
}

int stasis_core_put_ram(struct stasis_inspect_ram *ram, struct stasis_output *file,
                        bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                        bool *ret_found, struct stasis_vmcoreinfo *ret_info,
                        struct stasis_error *err)
{
    struct copy copy = {.ram = ram, .file = file};
    uint64_t chunks = stasis_snap_chunk_count(ram->snap);
    uint64_t offset = STASIS_CORE_RAM;

    for (uint64_t i = 0; i < chunks; i++) {
        int rc = copy_chunk(&copy, i, offset, err);

        if (rc)
            return rc;
        offset += stasis_snap_chunk_at(ram->snap, i).size;
        if (!progress(ctx, (i + 1) * STASIS_CHUNK_SIZE, chunks * STASIS_CHUNK_SIZE))
            return stasis_fail(err, STASIS_ERR_CANCELLED, "copying the memory was cancelled");
    }
    *ret_found = copy.found;
    *ret_info = copy.info;
    return 0;
}

uint64_t stasis_core_len(const struct stasis_snap *snap)
{
    return STASIS_CORE_RAM + stasis_snap_info(snap)->ram_bytes;
}
