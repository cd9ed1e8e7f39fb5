/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM page by page, from chunks that are verified before they are compared. Equal checksums prove
 * nothing: only what is zero on both sides, or the same bytes of the same file, is not read. So a
 * layer is compared with its parent by what differs.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/diff.h"
#include "tools/guest_ram.h"

enum { A, B };

#define NO_CHUNK UINT64_MAX
#define NO_FILE  UINT32_MAX

struct side {
    const struct stasis_snap *snap;
    uint64_t number; /* of the chunk in bytes, or NO_CHUNK */
    struct stasis_snap_chunk chunk;
    uint8_t bytes[STASIS_CHUNK_SIZE];
};

struct compare {
    struct side sides[2];
    uint32_t *same_file; /* of each file of A, the one of B that is it, or NO_FILE */
    const struct stasis_diff_out *out;
    struct stasis_diff_counts *counts;
    /* The range that grows; nothing if its size is 0. */
    uint64_t gpa;
    uint64_t size;
    enum stasis_diff_where where;
};

/* ---- ranges ---- */

static void flush(struct compare *compare)
{
    if (!compare->size)
        return;
    compare->out->range(compare->out->ctx, compare->gpa, compare->size, compare->where);
    compare->size = 0;
}

static void add(struct compare *compare, uint64_t gpa, uint64_t size, enum stasis_diff_where where)
{
    if (compare->size && (gpa != compare->gpa + compare->size || where != compare->where))
        flush(compare);
    if (!compare->size) {
        compare->gpa = gpa;
        compare->where = where;
    }
    compare->size += size;
    if (where == STASIS_DIFF_BOTH)
        compare->counts->pages_differ += size / STASIS_PAGE_SIZE;
    else
        compare->counts->pages_only[where == STASIS_DIFF_ONLY_A ? A : B] += size / STASIS_PAGE_SIZE;
}

/* ---- one side ---- */

/* Where RAM begins behind gpa, which has none; UINT64_MAX: nowhere. */
static uint64_t next_start(const struct stasis_snap *snap, uint64_t gpa)
{
    for (uint32_t i = 0; i < stasis_snap_region_count(snap); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);

        if (region.gpa > gpa)
            return region.gpa;
    }
    return UINT64_MAX;
}

/* Whether there is RAM at gpa; and the end of its chunk, or else where RAM begins. */
static bool look(const struct side *side, uint64_t gpa, uint64_t *ret_number, uint64_t *ret_end)
{
    struct stasis_snap_chunk chunk;

    if (!stasis_inspect_ram_find(side->snap, gpa, ret_number)) {
        *ret_end = next_start(side->snap, gpa);
        return false;
    }
    chunk = stasis_snap_chunk_at(side->snap, *ret_number);
    *ret_end = chunk.gpa + chunk.size;
    return true;
}

static int read_chunk(struct side *side, uint64_t number, struct stasis_error *err)
{
    int rc;

    if (side->number == number)
        return 0;
    side->number = NO_CHUNK;
    rc = stasis_snap_read_chunk(side->snap, number, side->bytes, err);
    if (rc)
        return rc;
    side->number = number;
    side->chunk = stasis_snap_chunk_at(side->snap, number);
    return 0;
}

/* ---- both ---- */

static bool same_place(const struct compare *compare, const struct stasis_snap_extent *a,
                       const struct stasis_snap_extent *b)
{
    return compare->same_file[a->file] == b->file && a->offset == b->offset &&
           a->stored_len == b->stored_len && a->stored_pages == b->stored_pages &&
           a->taken_pages == b->taken_pages && a->encoding == b->encoding && a->crc == b->crc;
}

/* Whether both sides take all of the chunk from the same places. */
static bool are_shared(const struct compare *compare, const uint64_t numbers[2])
{
    const struct stasis_snap *a = compare->sides[A].snap, *b = compare->sides[B].snap;
    struct stasis_snap_chunk chunks[2] = {stasis_snap_chunk_at(a, numbers[A]),
                                          stasis_snap_chunk_at(b, numbers[B])};
    uint32_t count = stasis_snap_extent_count(a, numbers[A]);
    bool shared = count == stasis_snap_extent_count(b, numbers[B]) &&
                  chunks[A].gpa == chunks[B].gpa && chunks[A].size == chunks[B].size;

    for (uint32_t k = 0; shared && k < count; k++) {
        struct stasis_snap_extent x = stasis_snap_extent_at(a, numbers[A], k);
        struct stasis_snap_extent y = stasis_snap_extent_at(b, numbers[B], k);

        shared = same_place(compare, &x, &y);
    }
    return shared;
}

static bool are_zero(const struct compare *compare, const uint64_t numbers[2])
{
    return stasis_snap_chunk_at(compare->sides[A].snap, numbers[A]).kind == STASIS_CHUNK_ZERO &&
           stasis_snap_chunk_at(compare->sides[B].snap, numbers[B]).kind == STASIS_CHUNK_ZERO;
}

/* From gpa to end is one chunk on either side, or zero on both. */
static int compare_pages(struct compare *compare, const uint64_t numbers[2], uint64_t gpa,
                         uint64_t end, struct stasis_error *err)
{
    struct side *a = &compare->sides[A], *b = &compare->sides[B];
    int rc;

    compare->counts->pages += (end - gpa) / STASIS_PAGE_SIZE;
    if (are_zero(compare, numbers) || are_shared(compare, numbers))
        return 0;
    rc = read_chunk(a, numbers[A], err);
    if (!rc)
        rc = read_chunk(b, numbers[B], err);
    for (; gpa < end && !rc; gpa += STASIS_PAGE_SIZE) {
        if (memcmp(a->bytes + (gpa - a->chunk.gpa), b->bytes + (gpa - b->chunk.gpa),
                   STASIS_PAGE_SIZE) != 0)
            add(compare, gpa, STASIS_PAGE_SIZE, STASIS_DIFF_BOTH);
    }
    return rc;
}

static bool keep_on(const struct compare *compare)
{
    const struct stasis_diff_counts *counts = compare->counts;

    return !compare->out->progress ||
           compare->out->progress(compare->out->progress_ctx,
                                  (counts->pages + counts->pages_only[A]) * STASIS_PAGE_SIZE,
                                  stasis_snap_info(compare->sides[A].snap)->ram_bytes);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Where RAM of this side, which is there at gpa, ends. */
static uint64_t region_end(const struct side *side, uint64_t gpa)
{
    struct stasis_snap_region region = {.gpa = gpa};

    return stasis_inspect_ram_region(side->snap, gpa, &region) ? region.gpa + region.size : gpa;
}

/* From gpa on both have RAM; ends: of their chunks. */
static int compare_both(struct compare *compare, const uint64_t numbers[2], const uint64_t ends[2],
                        uint64_t *gpa, struct stasis_error *err)
{
    uint64_t from = *gpa;

    *gpa = are_zero(compare, numbers)
               ? earlier(stasis_inspect_ram_zero_end(compare->sides[A].snap, from),
                         stasis_inspect_ram_zero_end(compare->sides[B].snap, from))
               : earlier(ends[A], ends[B]);
    return compare_pages(compare, numbers, from, *gpa, err);
}

/* All of RAM, in steps in which neither side has a boundary. What is zero on both sides, and what
 * one side has alone, is one step however long it is. */
static int compare_all(struct compare *compare, struct stasis_error *err)
{
    uint64_t gpa = 0;
    int rc = 0;

    while (gpa != UINT64_MAX && !rc) {
        uint64_t numbers[2], ends[2], from = gpa;
        bool in_a = look(&compare->sides[A], gpa, &numbers[A], &ends[A]);
        bool in_b = look(&compare->sides[B], gpa, &numbers[B], &ends[B]);

        if (in_a && in_b) {
            rc = compare_both(compare, numbers, ends, &gpa, err);
        } else if (in_a || in_b) {
            gpa = earlier(region_end(&compare->sides[in_a ? A : B], gpa), ends[in_a ? B : A]);
            add(compare, from, gpa - from, in_a ? STASIS_DIFF_ONLY_A : STASIS_DIFF_ONLY_B);
        } else {
            gpa = earlier(ends[A], ends[B]);
        }
        if (!rc && !keep_on(compare))
            rc = stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
    }
    flush(compare);
    return rc;
}

/* One file is what has the UUID and the root, and is as long: it was opened by its root. */
static bool is_same(const struct stasis_snap_file *a, const struct stasis_snap_file *b)
{
    return !memcmp(a->uuid, b->uuid, STASIS_UUID_SIZE) &&
           !memcmp(a->root, b->root, STASIS_DIGEST_SIZE) && a->file_len == b->file_len;
}

static bool match_files(struct compare *compare)
{
    const struct stasis_snap *a = compare->sides[A].snap, *b = compare->sides[B].snap;
    uint32_t count = stasis_snap_file_count(a);
    bool layers = stasis_snap_info(a)->layer || stasis_snap_info(b)->layer;

    compare->same_file = calloc(count + 1, sizeof(*compare->same_file));
    for (uint32_t n = 0; compare->same_file && n < count; n++) {
        struct stasis_snap_file file = stasis_snap_file_at(a, n);

        compare->same_file[n] = NO_FILE;
        if (!layers) /* copies are compared */
            continue;
        for (uint32_t m = 0; m < stasis_snap_file_count(b); m++) {
            struct stasis_snap_file other = stasis_snap_file_at(b, m);

            if (is_same(&file, &other))
                compare->same_file[n] = m;
        }
    }
    return compare->same_file;
}

int stasis_diff_ram(const struct stasis_snap *a, const struct stasis_snap *b,
                    const struct stasis_diff_out *out, struct stasis_diff_counts *counts,
                    struct stasis_error *err)
{
    struct compare *compare = calloc(1, sizeof(*compare));
    int rc;

    if (!compare)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compare RAM");
    compare->sides[A].snap = a;
    compare->sides[B].snap = b;
    compare->sides[A].number = compare->sides[B].number = NO_CHUNK;
    compare->out = out;
    compare->counts = counts;
    rc = match_files(compare) ? compare_all(compare, err)
                              : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compare RAM");
    free(compare->same_file);
    free(compare);
    return rc;
}
