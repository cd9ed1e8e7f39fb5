/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Both indexes are walked side by side, run by run, twice: to count, and to fill in. What is made
 * has at most the entries and extents of both and an entry for each chunk of which pages are put
 * together, so it is bounded by the lengths of the two sections.
 */
#include "index_merge.h"

#include <stdlib.h>
#include <string.h>

#include "le.h"

struct out {
    const struct stasis_index *index; /* where there is room; NULL: entries are counted */
    uint32_t entries;
    uint32_t extents;
    uint8_t kind; /* of the entry that is being made */
    uint8_t each;
    bool partial;
};

/* An extent on its way. */
struct piece {
    const uint8_t *bytes;
    const uint8_t *digest; /* or NULL */
    uint16_t taken;
    uint16_t file;
};

struct pieces {
    unsigned count;
    struct piece list[2 * STASIS_EXTENTS_MAX];
};

/* Chunks from `first` on have `each` extents, which are put next. */
static void put_run(struct out *out, uint64_t first, uint8_t kind, uint8_t each)
{
    const struct stasis_run run = {
        .first = first, .first_extent = out->extents, .kind = kind, .each = each};

    if (out->entries && out->kind == kind && out->each == each)
        return;
    if (out->index)
        stasis_run_encode(&run, (uint8_t *)(uintptr_t)out->index->runs.entries +
                                    (size_t)out->entries * STASIS_RUNS_ENTRY_LEN);
    out->entries++;
    out->kind = kind;
    out->each = each;
    out->partial |= stasis_run_is_partial(kind);
}

static void put_piece(struct out *out, const struct piece *piece)
{
    size_t number = out->extents++;
    uint8_t *p;

    if (!out->index)
        return;
    p = (uint8_t *)(uintptr_t)out->index->runs.extents + number * STASIS_RUNS_EXTENT_LEN;
    memcpy(p, piece->bytes, STASIS_RUNS_EXTENT_LEN);
    if (p[22] == STASIS_CHUNK_ZERO) /* stores what it takes */
        stasis_le16_put(p + 16, piece->taken);
    stasis_le16_put(p + 18, piece->taken);
    stasis_le16_put(p + 20, piece->file);
    if (piece->digest)
        memcpy((uint8_t *)(uintptr_t)out->index->runs.digests + number * STASIS_DIGEST_SIZE,
               piece->digest, STASIS_DIGEST_SIZE);
}

static struct piece piece_at(const struct stasis_index_part *part, uint64_t number)
{
    const struct stasis_index_runs *runs = &part->index->runs;
    const uint8_t *bytes = runs->extents + number * STASIS_RUNS_EXTENT_LEN;
    uint16_t file = stasis_le16_get(bytes + 20);

    return (struct piece){
        .bytes = bytes,
        .digest = runs->digests ? runs->digests + number * STASIS_DIGEST_SIZE : NULL,
        .taken = stasis_le16_get(bytes + 18),
        .file = part->files && bytes[22] != STASIS_CHUNK_ZERO ? part->files[file] : file,
    };
}

/* Chunks first..end-1 of a run are as one of the two has them. */
static void put_as_it_is(struct out *out, const struct stasis_index_part *part,
                         const struct stasis_run *run, uint64_t first, uint64_t end)
{
    uint64_t number = stasis_run_extent(run, first);
    uint64_t stop = stasis_run_extent(run, end);

    put_run(out, first, run->kind, run->each);
    for (; number < stop; number++) {
        struct piece piece = piece_at(part, number);

        put_piece(out, &piece);
    }
}

static bool is_zeros(const struct piece *piece)
{
    return piece->bytes[22] == STASIS_CHUNK_ZERO;
}

/* In the order of the lowest page taken. */
static void insert(struct pieces *pieces, const struct piece *piece)
{
    unsigned at = pieces->count++;

    for (; at && __builtin_ctz(pieces->list[at - 1].taken) > __builtin_ctz(piece->taken); at--)
        pieces->list[at] = pieces->list[at - 1];
    pieces->list[at] = *piece;
}

/* Of a chunk's extents those that take something besides the pages `hidden`; returns all pages that
 * they took before. */
static unsigned collect(struct pieces *pieces, const struct stasis_index_part *part,
                        const struct stasis_run *run, uint64_t i, unsigned hidden, bool keep_zeros)
{
    uint64_t number = stasis_run_extent(run, i);
    unsigned taken = 0;

    for (unsigned k = 0; k < run->each; k++) {
        struct piece piece = piece_at(part, number + k);

        taken |= piece.taken;
        piece.taken = (uint16_t)(piece.taken & ~hidden);
        if (piece.taken && (keep_zeros || !is_zeros(&piece)))
            insert(pieces, &piece);
    }
    return taken;
}

/* A chunk of which the layer has some pages. Taken pages of different extents differ, so that there
 * are 16 extents at most. */
static void put_together(struct out *out, const struct stasis_index_part *below,
                         const struct stasis_run *under, const struct stasis_index_part *above,
                         const struct stasis_run *over, uint64_t i)
{
    bool partly = stasis_run_is_partial(under->kind);
    struct pieces pieces = {.count = 0};
    unsigned hidden = collect(&pieces, above, over, i, 0, partly);

    (void)collect(&pieces, below, under, i, hidden, partly);
    if (partly)
        put_run(out, i, STASIS_RUN_PARTLY, (uint8_t)pieces.count);
    else
        put_run(out, i, pieces.count ? STASIS_RUN_STORED : STASIS_RUN_ZERO, (uint8_t)pieces.count);
    for (unsigned k = 0; k < pieces.count; k++)
        put_piece(out, &pieces.list[k]);
}

/* Chunks first..end-1, of one run of each. */
static void put_span(struct out *out, const struct stasis_index_part *below,
                     const struct stasis_run *under, const struct stasis_index_part *above,
                     const struct stasis_run *over, uint64_t first, uint64_t end)
{
    if (!below || !stasis_run_is_partial(over->kind))
        put_as_it_is(out, above, over, first, end);
    else if (over->kind == STASIS_RUN_BELOW)
        put_as_it_is(out, below, under, first, end);
    else
        for (uint64_t i = first; i < end; i++)
            put_together(out, below, under, above, over, i);
}

static void put_all(struct out *out, const struct stasis_index_part *below,
                    const struct stasis_index_part *above)
{
    uint64_t count = above->index->chunk_count;
    struct stasis_run over = {0};
    struct stasis_run under = {.end = below ? 0 : count};
    uint32_t a = 0;
    uint32_t b = 0;

    for (uint64_t i = 0; i < count;) {
        uint64_t end;

        if (i == over.end)
            over = stasis_run_at(above->index, a++);
        if (i == under.end)
            under = stasis_run_at(below->index, b++);
        end = over.end < under.end ? over.end : under.end;
        put_span(out, below, &under, above, &over, i, end);
        i = end;
    }
}

/* ---- the section ---- */

static bool alloc(struct stasis_index *index, const struct out *need, uint32_t name_count,
                  bool digests)
{
    size_t head = STASIS_RUNS_PREFIX_LEN + index->region_count * STASIS_INDEX_REGION_LEN;
    size_t names = (size_t)name_count * STASIS_RUNS_NAME_LEN;
    size_t entries = (size_t)need->entries * STASIS_RUNS_ENTRY_LEN;
    size_t extents = (size_t)need->extents * STASIS_RUNS_EXTENT_LEN;

    index->len = head + names + entries + extents +
                 (digests ? (size_t)need->extents * STASIS_DIGEST_SIZE : 0);
    index->bytes = malloc(index->len);
    if (!index->bytes)
        return false;
    index->runs = (struct stasis_index_runs){
        .names = name_count ? index->bytes + head : NULL,
        .entries = index->bytes + head + names,
        .extents = index->bytes + head + names + entries,
        .digests = digests ? index->bytes + head + names + entries + extents : NULL,
        .name_count = name_count,
        .entry_count = need->entries,
        .extent_count = need->extents,
        .layered = true,
        .partial = need->partial,
    };
    return true;
}

static void put_head(struct stasis_index *index, const uint8_t *names)
{
    uint8_t *p = index->bytes;

    stasis_le32_put(p, index->region_count);
    stasis_le32_put(p + 4, index->runs.name_count);
    stasis_le32_put(p + 8, index->runs.entry_count);
    stasis_le32_put(p + 12, index->runs.extent_count);
    p += STASIS_RUNS_PREFIX_LEN;
    for (uint32_t r = 0; r < index->region_count; r++, p += STASIS_INDEX_REGION_LEN) {
        stasis_le64_put(p, index->regions[r].gpa);
        stasis_le64_put(p + 8, index->regions[r].size);
    }
    if (names)
        memcpy(p, names, (size_t)index->runs.name_count * STASIS_RUNS_NAME_LEN);
}

int stasis_index_merge(const struct stasis_index_part *below, const struct stasis_index_part *above,
                       const uint8_t *names, uint32_t name_count, struct stasis_index *ret_index,
                       struct stasis_error *err)
{
    struct out count = {0};
    struct out fill = {0};
    struct stasis_index index = {0};
    bool made = stasis_index_copy_regions(&index, above->index);

    if (made) {
        put_all(&count, below, above);
        made = alloc(&index, &count, name_count, above->index->runs.digests);
    }
    if (made) {
        put_head(&index, names);
        fill.index = &index;
        put_all(&fill, below, above);
        made = stasis_runs_make_hints(&index);
    }
    if (!made) {
        stasis_index_fini(&index);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the index of a layer");
    }
    index.may_be_packed = above->index->may_be_packed || (below && below->index->may_be_packed);
    *ret_index = index;
    return 0;
}
