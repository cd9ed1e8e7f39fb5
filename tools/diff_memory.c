/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Guest RAM page by page. Regions are matched by their address; what only one of them has counts as
 * different. Chunks that both hold as zero are not read.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/diff.h"

struct compare {
    const struct stasis_diff_sink *sink;
    const struct stasis_snap *a;
    const struct stasis_snap *b;
    struct stasis_diff_pages pages;
    uint64_t run_gpa; /* pages that are different and not yet told */
    uint64_t run_pages;
    uint8_t *a_bytes;
    uint8_t *b_bytes;
};

static void flush(struct compare *compare)
{
    if (compare->run_pages)
        compare->sink->pages(compare->sink->ctx, compare->run_gpa, compare->run_pages);
    compare->run_pages = 0;
}

static void tell(struct compare *compare, uint64_t gpa, uint64_t pages)
{
    if (compare->run_pages && compare->run_gpa + compare->run_pages * STASIS_PAGE_SIZE != gpa)
        flush(compare);
    if (!compare->run_pages)
        compare->run_gpa = gpa;
    compare->run_pages += pages;
}

static int compare_chunk(struct compare *compare, uint64_t a_index, uint64_t b_index,
                         struct stasis_error *err)
{
    struct stasis_snap_chunk a = stasis_snap_chunk_at(compare->a, a_index);
    struct stasis_snap_chunk b = stasis_snap_chunk_at(compare->b, b_index);
    uint32_t size = a.size < b.size ? a.size : b.size;
    int rc;

    compare->pages.compared += size / STASIS_PAGE_SIZE;
    if (a.kind == STASIS_CHUNK_ZERO && b.kind == STASIS_CHUNK_ZERO)
        return 0;
    rc = stasis_snap_read_chunk(compare->a, a_index, compare->a_bytes, err);
    if (!rc)
        rc = stasis_snap_read_chunk(compare->b, b_index, compare->b_bytes, err);
    for (uint32_t at = 0; !rc && at < size; at += STASIS_PAGE_SIZE) {
        if (!memcmp(compare->a_bytes + at, compare->b_bytes + at, STASIS_PAGE_SIZE))
            continue;
        compare->pages.different++;
        tell(compare, a.gpa + at, 1);
    }
    return rc;
}

static int compare_region(struct compare *compare, const struct stasis_snap_region *a,
                          const struct stasis_snap_region *b, struct stasis_error *err)
{
    uint64_t size = a->size < b->size ? a->size : b->size;
    uint64_t longer = a->size < b->size ? b->size : a->size;
    uint64_t chunks = (size + STASIS_CHUNK_SIZE - 1) / STASIS_CHUNK_SIZE;
    int rc = 0;

    for (uint64_t i = 0; !rc && i < chunks; i++)
        rc = compare_chunk(compare, a->first_chunk + i, b->first_chunk + i, err);
    if (!rc && longer > size) {
        compare->pages.alone += (longer - size) / STASIS_PAGE_SIZE;
        tell(compare, a->gpa + size, (longer - size) / STASIS_PAGE_SIZE);
    }
    return rc;
}

static void alone(struct compare *compare, const struct stasis_snap_region *region)
{
    compare->pages.alone += region->size / STASIS_PAGE_SIZE;
    tell(compare, region->gpa, region->size / STASIS_PAGE_SIZE);
}

static int compare_all(struct compare *compare, struct stasis_error *err)
{
    uint32_t a_count = stasis_snap_region_count(compare->a);
    uint32_t b_count = stasis_snap_region_count(compare->b);
    uint32_t i = 0, j = 0;
    int rc = 0;

    while (!rc && (i < a_count || j < b_count)) {
        struct stasis_snap_region a = {.gpa = UINT64_MAX}, b = {.gpa = UINT64_MAX};

        if (i < a_count)
            a = stasis_snap_region_at(compare->a, i);
        if (j < b_count)
            b = stasis_snap_region_at(compare->b, j);
        if (a.gpa == b.gpa)
            rc = compare_region(compare, &a, &b, err);
        else
            alone(compare, a.gpa < b.gpa ? &a : &b);
        i += a.gpa <= b.gpa;
        j += b.gpa <= a.gpa;
    }
    flush(compare);
    return rc;
}

int stasis_diff_memory(const struct stasis_diff_sink *sink, const struct stasis_snap *a,
                       const struct stasis_snap *b, struct stasis_diff_pages *ret_pages,
                       struct stasis_error *err)
{
    struct compare compare = {.sink = sink, .a = a, .b = b};
    int rc;

    compare.a_bytes = malloc(STASIS_CHUNK_SIZE);
    compare.b_bytes = malloc(STASIS_CHUNK_SIZE);
    rc = compare.a_bytes && compare.b_bytes
             ? compare_all(&compare, err)
             : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compare RAM");
    if (!rc)
        *ret_pages = compare.pages;
    free(compare.a_bytes);
    free(compare.b_bytes);
    return rc;
}
