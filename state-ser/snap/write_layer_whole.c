/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Now and then a layer gets a whole index: one that says of all RAM where it is, in this file or in
 * which other, so that nobody who opens it has to read the indexes below. It is due once the
 * partial ones since the last whole one, with that of this layer, are longer than it. So opening
 * reads twice its bytes at most, however long the chain is.
 */
#include <stdlib.h>
#include <string.h>

#include "index_merge.h"
#include "le.h"
#include "write_layer.h"

#define FILES_MAX (STASIS_LAYER_NAMES_MAX + 1) /* of a chain */

struct named {
    const struct stasis_snap_info *info;
    size_t number; /* of the file, of those of the parent */
};

/* The files below, as the new index names them. */
struct naming {
    const struct stasis_snap *parent;
    struct named *used; /* the parent, then files that bytes are taken from, by UUID */
    uint16_t *numbers;  /* of each file of the parent; 0: none */
    uint8_t *names;
    uint32_t count; /* of names */
};

static bool naming_init(struct naming *naming, const struct stasis_snap *parent)
{
    size_t count = parent->file_count;

    *naming = (struct naming){.parent = parent,
                              .used = calloc(count, sizeof(*naming->used)),
                              .numbers = calloc(count, sizeof(*naming->numbers)),
                              .names = calloc(count, STASIS_RUNS_NAME_LEN)};
    for (size_t n = 0; naming->numbers && n < count; n++)
        naming->numbers[n] = (uint16_t)(n + 1);
    return naming->used && naming->numbers && naming->names;
}

static void naming_fini(struct naming *naming)
{
    free(naming->used);
    free(naming->numbers);
    free(naming->names);
}

static int merge(const struct stasis_writer *w, const struct naming *naming,
                 struct stasis_index *ret_index, struct stasis_error *err)
{
    const struct stasis_index_part below = {&naming->parent->index, naming->numbers};
    const struct stasis_index_part above = {&w->layer.index, NULL};

    return stasis_index_merge(&below, &above, naming->count ? naming->names : NULL, naming->count,
                              ret_index, err);
}

static int by_uuid(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;

    return memcmp(x->info->uuid, y->info->uuid, STASIS_UUID_SIZE);
}

/* Of a merged index whose files have their first numbers: which of them are in it? */
static void find_used(struct naming *naming, const struct stasis_index *index)
{
    const uint8_t *extent = index->runs.extents;
    size_t count = naming->parent->file_count;

    memset(naming->numbers, 0, count * sizeof(*naming->numbers));
    for (uint32_t x = 0; x < index->runs.extent_count; x++, extent += STASIS_RUNS_EXTENT_LEN) {
        uint16_t file = stasis_le16_get(extent + 20);

        if (file)
            naming->numbers[file - 1] = 1;
    }
    for (size_t n = 0; n < count; n++)
        if (!n || naming->numbers[n])
            naming->used[naming->count++] =
                (struct named){&naming->parent->files[n]->header.info, n};
    qsort(naming->used + 1, naming->count - 1, sizeof(*naming->used), by_uuid);
}

static void give_names(struct naming *naming)
{
    for (uint32_t n = 0; n < naming->count; n++) {
        const struct named *used = &naming->used[n];
        uint8_t *name = naming->names + (size_t)n * STASIS_RUNS_NAME_LEN;

        naming->numbers[used->number] = (uint16_t)(n + 1);
        memcpy(name, used->info->uuid, STASIS_UUID_SIZE);
        memcpy(name + STASIS_UUID_SIZE, used->info->root, STASIS_DIGEST_SIZE);
    }
}

/* ---- whether it is due ---- */

static bool has_too_many_files(const struct stasis_snap *parent)
{
    return parent->chain_len + 1 > FILES_MAX;
}

static uint64_t partial_len(const struct stasis_writer *w)
{
    return w->snap->lies_on->opened.partial_index_bytes + w->layer.index.len;
}

/* A whole index is no shorter. A chunk that differs hides all extents of its own below, at most. */
static uint64_t shortest_whole(const struct stasis_writer *w)
{
    uint64_t extents = w->snap->lies_on->index.runs.extent_count;
    uint64_t hidden = (w->layer.count + w->layer.zeros) * STASIS_EXTENTS_MAX;
    uint64_t each = STASIS_RUNS_EXTENT_LEN + (w->layer.digests ? STASIS_DIGEST_SIZE : 0);

    return STASIS_RUNS_PREFIX_LEN + w->index.region_count * STASIS_INDEX_REGION_LEN +
           STASIS_RUNS_NAME_LEN + STASIS_RUNS_ENTRY_LEN +
           (extents > hidden ? extents - hidden : 0) * each;
}

bool stasis_layer_may_be_whole(const struct stasis_writer *w)
{
    return has_too_many_files(w->snap->lies_on) || partial_len(w) > shortest_whole(w);
}

static bool is_due(const struct stasis_writer *w, const struct naming *naming,
                   const struct stasis_index *merged)
{
    uint64_t len = merged->len + (uint64_t)naming->count * STASIS_RUNS_NAME_LEN;

    return has_too_many_files(naming->parent) || partial_len(w) > len;
}

/* Chunks of the files below may be compressed, whatever this save does. */
static void note_compression(struct stasis_writer *w)
{
    const struct stasis_index_runs *runs = &w->layer.index.runs;
    bool packed = false;

    for (uint32_t x = 0; x < runs->extent_count && !packed; x++)
        packed = runs->extents[(size_t)x * STASIS_RUNS_EXTENT_LEN + 22] == STASIS_CHUNK_ZLIB;
    w->header.info.incompatible |= packed ? STASIS_FEATURE_ZLIB : 0;
}

static int take_whole(struct stasis_writer *w, struct naming *naming, struct stasis_error *err)
{
    struct stasis_index index;
    int rc;

    if (naming->count > STASIS_LAYER_NAMES_MAX)
        return stasis_fail(err, STASIS_ERR_FULL,
                           "a layer on %s would need more than %u files; save without a parent",
                           naming->parent->name, FILES_MAX);
    give_names(naming);
    rc = merge(w, naming, &index, err);
    if (rc)
        return rc;
    stasis_index_fini(&w->layer.index);
    w->layer.index = index;
    note_compression(w);
    return 0;
}

int stasis_layer_make_whole(struct stasis_writer *w, struct stasis_error *err)
{
    struct naming naming;
    struct stasis_index merged = {0};
    int rc = naming_init(&naming, w->snap->lies_on)
                 ? merge(w, &naming, &merged, err)
                 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the names of files");

    if (!rc) {
        find_used(&naming, &merged);
        if (is_due(w, &naming, &merged))
            rc = take_whole(w, &naming, err);
    }
    stasis_index_fini(&merged);
    naming_fini(&naming);
    return rc;
}
