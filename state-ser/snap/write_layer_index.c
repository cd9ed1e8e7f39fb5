/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index section of a layer. Its bytes are made before RAM is written, since what lies behind it
 * in a file has to know its length; what is known only then is put in afterwards.
 */
#include <stdlib.h>
#include <string.h>

#include "le.h"
#include "write_layer.h"

/* ---- runs ---- */

struct walk {
    const struct stasis_writer *w;
    uint64_t at; /* chunk */
    size_t next; /* of the list: the first one not before `at` */
    uint32_t extents;
};

static uint8_t extents_of(const struct stasis_layer_chunk *chunk)
{
    return (uint8_t)((chunk->stored != 0) + (chunk->zero != 0));
}

/* Of a chunk that is not listed either no page is dirty, or all are. */
static bool is_dirty(const uint64_t *bits, uint64_t chunk)
{
    const uint64_t per_word = 64 * STASIS_PAGE_SIZE / STASIS_CHUNK_SIZE;

    return bits[chunk / per_word] >> chunk % per_word * (64 / per_word) & 1;
}

/* Where chunks end that are alike, from that number of the region on. */
static uint64_t alike(const uint64_t *bits, uint64_t from, uint64_t end)
{
    const uint64_t per_word = 64 * STASIS_PAGE_SIZE / STASIS_CHUNK_SIZE;
    bool dirty = is_dirty(bits, from);
    uint64_t word = dirty ? UINT64_MAX : 0, i = from + 1;

    while (i < end && is_dirty(bits, i) == dirty)
        i += i % per_word == 0 && end - i >= per_word && bits[i / per_word] == word ? per_word : 1;
    return i;
}

/* Chunks that are not listed are zero, or have nothing that differs, if a bitmap says so. */
static struct stasis_run gap(const struct walk *walk)
{
    const struct stasis_writer *w = walk->w;
    uint32_t r = stasis_index_region_of(&w->index, walk->at);
    const struct stasis_snap_region *region = &w->index.regions[r];
    const uint64_t *bits = stasis_layer_bits(w, r);
    uint64_t first = region->first_chunk, end = first + stasis_region_chunks(region);
    struct stasis_run run = {.first = walk->at, .kind = STASIS_RUN_ZERO};

    if (walk->next < w->layer.count && w->layer.chunks[walk->next].number < end)
        end = w->layer.chunks[walk->next].number;
    run.end = end;
    if (!bits)
        return run;
    run.end = first + alike(bits, walk->at - first, end - first);
    run.kind = is_dirty(bits, walk->at - first) ? STASIS_RUN_ZERO : STASIS_RUN_BELOW;
    return run;
}

/* Goes over one chunk of the list, or over all up to the next one. */
static struct stasis_run step(struct walk *walk)
{
    const struct stasis_layer_chunk *chunk = &walk->w->layer.chunks[walk->next];
    struct stasis_run run;

    if (walk->next == walk->w->layer.count || chunk->number != walk->at) {
        run = gap(walk);
    } else {
        run = (struct stasis_run){
            .first = walk->at, .end = walk->at + 1, .kind = chunk->kind, .each = extents_of(chunk)};
        walk->next++;
    }
    walk->at = run.end;
    return run;
}

/* False: there is none left. */
static bool next_run(struct walk *walk, struct stasis_run *ret_run)
{
    uint64_t count = walk->w->index.chunk_count;

    if (walk->at == count)
        return false;
    *ret_run = step(walk);
    ret_run->first_extent = walk->extents;
    while (walk->at < count) {
        struct walk ahead = *walk;
        struct stasis_run more = step(&ahead);

        if (more.kind != ret_run->kind || more.each != ret_run->each)
            break;
        ret_run->end = more.end;
        *walk = ahead;
    }
    walk->extents += ret_run->each * (uint32_t)(ret_run->end - ret_run->first);
    return true;
}

/* ---- the bytes of a partial index ---- */

struct section {
    size_t names, entries, extents, digests, len; /* where they begin */
    uint32_t name_count, entry_count, extent_count;
    bool partial;
};

static struct section measure(const struct stasis_writer *w)
{
    struct section section = {.name_count = 1};
    struct walk walk = {.w = w};
    struct stasis_run run;

    while (next_run(&walk, &run)) {
        section.entry_count++;
        section.partial |= stasis_run_is_partial(run.kind);
    }
    section.extent_count = walk.extents;
    section.names =
        STASIS_RUNS_PREFIX_LEN + (size_t)w->index.region_count * STASIS_INDEX_REGION_LEN;
    section.entries = section.names + STASIS_RUNS_NAME_LEN;
    section.extents = section.entries + (size_t)section.entry_count * STASIS_RUNS_ENTRY_LEN;
    section.digests = section.extents + (size_t)section.extent_count * STASIS_RUNS_EXTENT_LEN;
    section.len = section.digests +
                  (w->layer.digests ? (size_t)section.extent_count : 0) * STASIS_DIGEST_SIZE;
    return section;
}

static void put_head(const struct stasis_writer *w, const struct section *section, uint8_t *bytes)
{
    const struct stasis_snap_info *info = &w->header.info;

    stasis_le32_put(bytes, w->index.region_count);
    stasis_le32_put(bytes + 4, section->name_count);
    stasis_le32_put(bytes + 8, section->entry_count);
    stasis_le32_put(bytes + 12, section->extent_count);
    for (uint32_t r = 0; r < w->index.region_count; r++) {
        uint8_t *p = bytes + STASIS_RUNS_PREFIX_LEN + (size_t)r * STASIS_INDEX_REGION_LEN;

        stasis_le64_put(p, w->index.regions[r].gpa);
        stasis_le64_put(p + 8, w->index.regions[r].size);
    }
    memcpy(bytes + section->names, info->parent_uuid, STASIS_UUID_SIZE);
    memcpy(bytes + section->names + STASIS_UUID_SIZE, info->parent_root, STASIS_DIGEST_SIZE);
}

static void put_entries(const struct stasis_writer *w, uint8_t *bytes)
{
    struct walk walk = {.w = w};
    struct stasis_run run;

    while (next_run(&walk, &run)) {
        stasis_run_encode(&run, bytes);
        bytes += STASIS_RUNS_ENTRY_LEN;
    }
}

static void put_stored(const struct stasis_layer_chunk *chunk, uint8_t *bytes)
{
    stasis_le64_put(bytes, chunk->offset);
    stasis_le32_put(bytes + 8, chunk->stored_len);
    stasis_le32_put(bytes + 12, chunk->crc);
    stasis_le16_put(bytes + 16, chunk->stored);
    stasis_le16_put(bytes + 18, chunk->stored);
    stasis_le16_put(bytes + 20, 0);
    bytes[22] = chunk->encoding;
    bytes[23] = 0;
}

static void put_zero(const struct stasis_layer_chunk *chunk, uint8_t *bytes)
{
    stasis_le16_put(bytes + 16, chunk->zero);
    stasis_le16_put(bytes + 18, chunk->zero);
    bytes[22] = STASIS_CHUNK_ZERO;
}

/* In the order of their lowest pages. */
static void put_extents(const struct stasis_layer *layer, uint8_t *bytes)
{
    for (size_t n = 0; n < layer->count; n++) {
        const struct stasis_layer_chunk *chunk = &layer->chunks[n];
        unsigned each = extents_of(chunk);
        bool stored_first = chunk->stored && (!chunk->zero || (chunk->stored & -chunk->stored) <
                                                                  (chunk->zero & -chunk->zero));

        if (chunk->stored)
            put_stored(chunk, bytes + (stored_first ? 0 : (each - 1) * STASIS_RUNS_EXTENT_LEN));
        if (chunk->zero)
            put_zero(chunk, bytes + (stored_first ? STASIS_RUNS_EXTENT_LEN : 0));
        bytes += each * STASIS_RUNS_EXTENT_LEN;
    }
}

/* The section as an index, of which nothing has to be checked. */
static void take(struct stasis_writer *w, const struct section *section, uint8_t *bytes)
{
    struct stasis_index *index = &w->layer.index;

    index->bytes = bytes;
    index->len = section->len;
    index->runs = (struct stasis_index_runs){
        .names = bytes + section->names,
        .entries = bytes + section->entries,
        .extents = bytes + section->extents,
        .digests = w->layer.digests ? bytes + section->digests : NULL,
        .name_count = section->name_count,
        .entry_count = section->entry_count,
        .extent_count = section->extent_count,
        .layered = true,
        .partial = section->partial,
    };
}

static int make_partial(struct stasis_writer *w, struct stasis_error *err)
{
    struct section section = measure(w);
    uint8_t *bytes = calloc(1, section.len);

    if (!bytes || !stasis_index_copy_regions(&w->layer.index, &w->index)) {
        free(bytes);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the index of a layer");
    }
    take(w, &section, bytes);
    put_head(w, &section, bytes);
    put_entries(w, bytes + section.entries);
    put_extents(&w->layer, bytes + section.extents);
    return 0;
}

int stasis_layer_make_index(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = make_partial(w, err);

    if (!rc && w->layer.index.runs.partial && stasis_layer_may_be_whole(w))
        rc = stasis_layer_make_whole(w, err);
    w->layer.whole = !rc && !w->layer.index.runs.partial;
    return rc;
}

/* What is stored in this file has its extents in the order of the list. */
void stasis_layer_finish_index(struct stasis_writer *w)
{
    const struct stasis_layer *layer = &w->layer;
    const struct stasis_index_runs *runs = &layer->index.runs;
    uint8_t *extent = layer->index.bytes + (runs->extents - layer->index.bytes);
    uint8_t *digest =
        runs->digests ? layer->index.bytes + (runs->digests - layer->index.bytes) : NULL;
    size_t n = 0;

    for (uint32_t x = 0; x < runs->extent_count; x++, extent += STASIS_RUNS_EXTENT_LEN) {
        bool zero = extent[22] == STASIS_CHUNK_ZERO;

        if (stasis_le16_get(extent + 20))
            continue;
        while (!zero && !layer->chunks[n].stored)
            n++;
        if (!zero)
            put_stored(&layer->chunks[n], extent);
        if (digest && zero)
            stasis_sha256(NULL, 0, digest + (size_t)x * STASIS_DIGEST_SIZE);
        else if (digest)
            memcpy(digest + (size_t)x * STASIS_DIGEST_SIZE, layer->digests + n * STASIS_DIGEST_SIZE,
                   STASIS_DIGEST_SIZE);
        n += !zero;
    }
}
