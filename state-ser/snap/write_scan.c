/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The search for RAM that is zero. First, block by block of the index, for pages that may hold
 * something, without touching any: chunks that have such pages are marked ABSENT, their page mask
 * says which. Then these pages are looked at, and the chunks become RAW or ZERO. Pages that were
 * never written to are not touched: that would cost time, page tables and, where reading makes huge
 * pages, memory.
 */
#include "chunk.h"
#include "ram_internal.h"
#include "write.h"

/* Blocks that a thread takes at a time: 1 GiB of RAM, since a call for each block would take
 * longer than the answer where nothing was touched. */
#define MARK_BATCH_BLOCKS 32u

/* ---- which pages may hold something ---- */

struct finding {
    const struct stasis_snap_region *region;
    uintptr_t host; /* of the region */
    stasis_writer_found *found;
    void *ctx;
};

static void find(void *ctx, uintptr_t start, uintptr_t end)
{
    const struct finding *finding = ctx;
    uint64_t at = start - finding->host;
    uint64_t stop = end - finding->host;

    while (at < stop) {
        uint64_t i = at / STASIS_CHUNK_SIZE;
        uint64_t next = (i + 1) * STASIS_CHUNK_SIZE < stop ? (i + 1) * STASIS_CHUNK_SIZE : stop;
        unsigned first_page = (unsigned)(at % STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE);
        unsigned end_page = (unsigned)((next - 1) % STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE) + 1;

        finding->found(finding->ctx, finding->region->first_chunk + i,
                       (uint16_t)((1u << end_page) - (1u << first_page)));
        at = next;
    }
}

void stasis_writer_find_touched(struct stasis_writer *w, uint64_t first, uint64_t end,
                                stasis_writer_found *found, void *ctx)
{
    uint32_t r = stasis_index_region_of(&w->index, first);
    const struct stasis_snap_region *region = &w->index.regions[r];
    struct finding finding = {region, (uintptr_t)w->snap->host[r], found, ctx};
    uint64_t len = (end - region->first_chunk) * STASIS_CHUNK_SIZE;
    uintptr_t start = finding.host + (first - region->first_chunk) * STASIS_CHUNK_SIZE;
    uintptr_t stop = finding.host + (len < region->size ? len : region->size);

    if (finding.host % STASIS_PAGE_SIZE) /* its pages are not those of the guest */
        find(&finding, start, stop);
    else
        stasis_populated_find(&w->populated, start, stop, find, &finding);
}

static void mark(void *ctx, uint64_t i, uint16_t pages)
{
    struct stasis_index *index = ctx;
    struct stasis_snap_chunk chunk;

    stasis_index_own(index, i);
    chunk = stasis_index_get(index, i);
    chunk.kind = STASIS_CHUNK_ABSENT;
    chunk.page_mask |= pages;
    stasis_index_put(index, i, &chunk);
}

static int mark_blocks(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    struct stasis_writer *w = ctx;
    uint64_t stop = end * STASIS_INDEX_BLOCK;
    uint64_t i = first * STASIS_INDEX_BLOCK;

    if (stop > w->index.chunk_count)
        stop = w->index.chunk_count;
    while (i < stop) {
        uint64_t region_end = stasis_index_region_end(&w->index, i);
        uint64_t next = region_end < stop ? region_end : stop;

        if (stasis_writer_check(w, err))
            return STASIS_ERR_CANCELLED;
        stasis_writer_find_touched(w, i, next, mark, &w->index);
        i = next;
    }
    return 0;
}

/* Once its source has loaded all, as it has by now, no userfaultfd of the source's matters. Whoever
 * gives a list says that there is no other. */
static enum stasis_mappings_from mappings_from(const struct stasis_writer *w)
{
    int own = w->snap->ram_source ? stasis_ram_uffd(w->snap->ram_source) : -1;

    return w->opts.maps_fd || (w->opts.no_userfaultfd && !stasis_uffd_may_be_open(own))
               ? STASIS_MAPPINGS_MAPS
               : STASIS_MAPPINGS_SMAPS;
}

/* From the first byte of RAM to the last, wherever its regions lie. */
static void init_populated(struct stasis_writer *w)
{
    const struct stasis_populated_files files = {w->opts.maps_fd, w->opts.pagemap_fd};
    const struct stasis_watch watch = {stasis_writer_keeps_on, w};
    uintptr_t start = UINTPTR_MAX;
    uintptr_t end = 0;

    for (uint32_t r = 0; r < w->index.region_count; r++) {
        uintptr_t host = (uintptr_t)w->snap->host[r];

        start = host < start ? host : start;
        end = host + w->index.regions[r].size > end ? host + w->index.regions[r].size : end;
    }
    stasis_populated_init(&w->populated, w->snap->populated_by, mappings_from(w), &files, start,
                          end, w->opts.progress ? &watch : NULL);
}

int stasis_writer_find_begin(struct stasis_writer *w, struct stasis_error *err)
{
    init_populated(w);
    return stasis_writer_check(w, err);
}

void stasis_writer_find_end(struct stasis_writer *w)
{
    stasis_populated_fini(&w->populated);
}

static int mark_all(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = stasis_writer_find_begin(w, err);

    if (!rc)
        rc = stasis_writer_run_blocks(w, MARK_BATCH_BLOCKS, mark_blocks, err);
    stasis_writer_find_end(w);
    return rc;
}

/* ---- which of them do ---- */

static int look(struct stasis_writer *w, const struct stasis_range *range, struct stasis_error *err)
{
    for (uint64_t i = range->first; i < range->end; i++) {
        struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);

        if (chunk.kind == STASIS_CHUNK_ZERO)
            continue;
        if (stasis_writer_check(w, err))
            return STASIS_ERR_CANCELLED;
        chunk.page_mask = stasis_chunk_page_mask_among(stasis_writer_chunk(w, i), chunk.page_mask);
        chunk.kind = chunk.page_mask ? STASIS_CHUNK_RAW : STASIS_CHUNK_ZERO;
        chunk.stored_len = chunk.page_mask ? chunk.size : 0;
        stasis_index_put(&w->index, i, &chunk);
    }
    return 0;
}

int stasis_writer_scan(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = mark_all(w, err);

    return rc ? rc : stasis_writer_run(w, w->opts.threads, STASIS_SHARE_SCAN, look, err);
}
