/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a layer lies on. Indexes are read from the layer down, until one is whole: it says of all
 * RAM where that is. Those above it are put together first, each with its neighbour, since they are
 * short; what they have is then put over the whole one. docs/snapshot-format.md, "Layers".
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index_runs.h"
#include "layer_parts.h"
#include "object.h"
#include "parents.h"

#define FILES_MAX (STASIS_LAYER_NAMES_MAX + 1)

struct walk {
    struct stasis_snap *snap;
    const struct stasis_parse_opts *opts; /* or NULL */
    struct stasis_snap *known;            /* opened before, or NULL */
    struct stasis_parents parents;
    struct stasis_layer_part *parts; /* of files 0.., the last one whole */
    uint32_t part_count;
};

static int no_memory(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for what it lies on");
}

/* ---- files ---- */

/* Takes it over, also when it fails. */
static int add_file(struct stasis_snap *snap, struct stasis_source *source,
                    struct stasis_error *err)
{
    struct stasis_source **files =
        realloc(snap->files, (snap->file_count + 1) * sizeof(struct stasis_source *));

    if (!files) {
        stasis_source_free(source);
        return no_memory(err);
    }
    snap->files = files;
    files[snap->file_count++] = source;
    return 0;
}

/* The number of a file of this name that is open already in `snap`; its count: none. */
static uint32_t number_of(const struct stasis_snap *snap, const uint8_t *name, size_t len)
{
    uint32_t n = 0;

    while (n < snap->file_count &&
           (memcmp(snap->files[n]->header.info.uuid, name, STASIS_UUID_SIZE) != 0 ||
            (len > STASIS_UUID_SIZE && memcmp(snap->files[n]->header.info.root,
                                              name + STASIS_UUID_SIZE, STASIS_DIGEST_SIZE) != 0)))
        n++;
    return n;
}

/* The last file of the snapshot's becomes one of this name. */
static int open_file(struct walk *walk, const uint8_t *name, struct stasis_error *err)
{
    struct stasis_source *source = NULL;
    int rc = 0;

    if (walk->known) {
        uint32_t n = number_of(walk->known, name, STASIS_RUNS_NAME_LEN);

        if (n < walk->known->file_count)
            source = stasis_source_share(walk->known->files[n]);
    }
    if (!source)
        rc = stasis_parents_find(&walk->parents, name, &source, err);
    return rc ? rc : add_file(walk->snap, source, err);
}

static int of_another_guest(const struct stasis_source *source, const char *what,
                            struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "it lies on %s, which has %s", source->name, what);
}

/* What all files of a chain have in common. */
static int check_kin(const struct stasis_snap *snap, const struct stasis_source *source,
                     struct stasis_error *err)
{
    const struct stasis_snap_info *info = &source->header.info;

    if (info->format_version != snap->opened.format_version)
        return of_another_guest(source, "another format version", err);
    if (info->arch != snap->opened.arch)
        return of_another_guest(source, "a guest of another architecture", err);
    if (info->digests != snap->opened.digests)
        return of_another_guest(source,
                                info->digests ? "digests, and itself has none"
                                              : "no digests, and itself has some",
                                err);
    return 0;
}

static bool same_regions(const struct stasis_index *a, const struct stasis_index *b)
{
    bool same = a->region_count == b->region_count;

    for (uint32_t r = 0; same && r < a->region_count; r++)
        same = a->regions[r].gpa == b->regions[r].gpa && a->regions[r].size == b->regions[r].size;
    return same;
}

/* ---- down to a whole index ---- */

/* Makes room for the index of one more file. */
static int add_part(struct walk *walk, struct stasis_error *err)
{
    struct stasis_layer_part *parts = realloc(walk->parts, (walk->part_count + 1) * sizeof(*parts));

    if (!parts)
        return no_memory(err);
    walk->parts = parts;
    parts[walk->part_count++] = (struct stasis_layer_part){.files = NULL};
    return 0;
}

/* A partial index has bytes of its own file only. */
static int number_own(struct stasis_layer_part *part, uint32_t file, struct stasis_error *err)
{
    part->files = malloc(sizeof(*part->files));
    if (!part->files)
        return no_memory(err);
    part->files[0] = (uint16_t)file;
    return 0;
}

/* Nothing lies on itself, or on too much. */
static int check_names(const struct walk *walk, const struct stasis_index *index,
                       struct stasis_error *err)
{
    const struct stasis_snap *snap = walk->snap;

    if (snap->file_count + index->runs.name_count > FILES_MAX)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "it lies on more than %u files", FILES_MAX);
    for (uint32_t n = 1; n <= index->runs.name_count; n++) {
        uint32_t at = number_of(snap, stasis_index_name(index, n), STASIS_UUID_SIZE);

        if (at < snap->file_count)
            return stasis_fail(err, STASIS_ERR_CORRUPT, "%s lies on itself", snap->files[at]->name);
    }
    return 0;
}

static int check_source_root(const struct walk *walk, const struct stasis_source *source,
                             const struct stasis_index *index, struct stasis_error *err)
{
    if (!walk->opts || !walk->opts->root)
        return 0;
    return stasis_source_check_root(source, index, source->header.info.root, err);
}

static const struct stasis_index *own_index(const struct walk *walk)
{
    return &walk->snap->own;
}

static int read_index(struct walk *walk, const struct stasis_source *source,
                      struct stasis_error *err)
{
    struct stasis_layer_part *part;
    int rc = add_part(walk, err);

    if (rc)
        return rc;
    part = &walk->parts[walk->part_count - 1];
    rc = stasis_index_read(&source->input, &source->header, &part->index, err);
    if (rc)
        return stasis_wrap(err, rc, "it lies on %s", source->name);
    if (!same_regions(&part->index, own_index(walk)))
        return of_another_guest(source, "a guest of other RAM", err);
    return check_source_root(walk, source, &part->index, err);
}

/* Its files follow the last one, which is its first. */
static int share_files(struct walk *walk, uint16_t *numbers, struct stasis_error *err)
{
    struct stasis_snap *snap = walk->snap;
    const struct stasis_snap *known = walk->known;
    uint32_t first = snap->file_count - 1;
    int rc = 0;

    for (uint32_t n = 0; n < known->file_count && !rc; n++) {
        numbers[n] = (uint16_t)(first + n);
        if (n && number_of(snap, known->files[n]->header.info.uuid, STASIS_UUID_SIZE) <= first)
            rc = stasis_fail(err, STASIS_ERR_CORRUPT, "%s lies on itself", known->files[n]->name);
        if (!rc && n)
            rc = add_file(snap, stasis_source_share(known->files[n]), err);
        if (!rc && n < known->walked_count)
            rc = check_source_root(walk, known->files[n], NULL, err);
    }
    return rc;
}

/* The parent was open before: its files and its index of all RAM are known. It is the last file
 * already. */
static int take_known(struct walk *walk, struct stasis_error *err)
{
    struct stasis_snap *snap = walk->snap;
    const struct stasis_snap *known = walk->known;
    uint32_t first = snap->file_count - 1;
    struct stasis_layer_part *part;
    int rc = add_part(walk, err);

    if (rc)
        return rc;
    part = &walk->parts[walk->part_count - 1];
    part->borrowed = &known->index;
    part->files = calloc(known->file_count, sizeof(*part->files));
    if (!part->files)
        return no_memory(err);
    if (!same_regions(&known->index, own_index(walk)))
        return of_another_guest(snap->files[first], "a guest of other RAM", err);
    if (first + known->chain_len > FILES_MAX)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "it lies on more than %u files", FILES_MAX);
    snap->walked_count = first + known->walked_count;
    snap->chain_len = first + known->chain_len;
    return share_files(walk, part->files, err);
}

/* One more file down: *ret_end once all is known of where RAM is. */
static int step(struct walk *walk, bool *ret_end, struct stasis_error *err)
{
    struct stasis_snap *snap = walk->snap;
    struct stasis_layer_part *part = &walk->parts[walk->part_count - 1];
    const struct stasis_index *index = stasis_layer_part_index(part);
    const struct stasis_source *source;
    int rc = check_names(walk, index, err);

    *ret_end = !index->runs.partial;
    snap->walked_count = snap->file_count;
    snap->chain_len = snap->file_count + index->runs.name_count;
    if (rc || *ret_end)
        return rc;
    snap->opened.partial_index_bytes += index->len;
    rc = number_own(part, snap->file_count - 1, err);
    if (!rc)
        rc = open_file(walk, stasis_index_name(index, 1), err);
    if (rc)
        return rc;
    source = snap->files[snap->file_count - 1];
    rc = check_kin(snap, source, err);
    *ret_end = walk->known && source == walk->known->files[0];
    if (rc || !*ret_end)
        return rc ? rc : read_index(walk, source, err);
    snap->opened.partial_index_bytes += walk->known->opened.partial_index_bytes;
    return take_known(walk, err);
}

/* ---- the files that a whole index names ---- */

static int check_place(const struct stasis_source *source, const struct stasis_snap_extent *extent,
                       struct stasis_error *err)
{
    const struct stasis_section *data = stasis_header_section(&source->header, STASIS_SECTION_DATA);

    if (extent->offset >= data->offset && extent->offset - data->offset <= data->length &&
        extent->stored_len <= data->length - (extent->offset - data->offset))
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "it takes bytes from %" PRIu64 " on of %s, which are not RAM there",
                       extent->offset, source->name);
}

/* Opens each once, in the order of names. */
static int open_named(struct walk *walk, struct stasis_layer_part *part, struct stasis_error *err)
{
    const struct stasis_index *index = stasis_layer_part_index(part);
    struct stasis_snap *snap = walk->snap;
    int rc = 0;

    for (uint32_t n = 1; n <= index->runs.name_count && !rc; n++) {
        if (part->files[n] == 0)
            continue; /* nothing is taken from the parent */
        part->files[n] = (uint16_t)snap->file_count;
        rc = open_file(walk, stasis_index_name(index, n), err);
        if (!rc)
            rc = check_kin(snap, snap->files[snap->file_count - 1], err);
    }
    return rc;
}

/* Which files its extents name is marked, before each mark becomes a number. */
static int open_whole(struct walk *walk, struct stasis_error *err)
{
    struct stasis_layer_part *part = &walk->parts[walk->part_count - 1];
    const struct stasis_index *index = stasis_layer_part_index(part);
    struct stasis_snap *snap = walk->snap;
    uint32_t self = snap->file_count - 1;
    int rc;

    part->files = calloc(index->runs.name_count + 1, sizeof(*part->files));
    if (!part->files)
        return no_memory(err);
    for (uint32_t x = 0; x < index->runs.extent_count; x++)
        part->files[stasis_runs_extent(index, x).file] = 1;
    rc = open_named(walk, part, err);
    part->files[0] = (uint16_t)self;
    for (uint32_t x = 0; x < index->runs.extent_count && !rc; x++) {
        struct stasis_snap_extent extent = stasis_runs_extent(index, x);

        if (extent.file)
            rc = check_place(snap->files[part->files[extent.file]], &extent, err);
    }
    return rc;
}

/* ---- all of it ---- */

/* The file's own index stays as it is, for those who ask what is in the file. */
static int keep_own(struct walk *walk, struct stasis_error *err)
{
    struct stasis_snap *snap = walk->snap;
    int rc = add_part(walk, err);

    if (rc)
        return rc;
    snap->own = snap->index;
    snap->index = (struct stasis_index){0};
    walk->parts[0].borrowed = &snap->own;
    return 0;
}

static int open_chain(struct walk *walk, struct stasis_error *err)
{
    bool end = false;
    int rc = keep_own(walk, err);

    while (!rc && !end)
        rc = step(walk, &end, err);
    if (!rc && !walk->parts[walk->part_count - 1].files)
        rc = open_whole(walk, err);
    if (!rc)
        rc = stasis_layer_parts_merge(walk->parts, walk->part_count, err);
    if (!rc) {
        walk->snap->index = walk->parts[0].index;
        walk->parts[0].index = (struct stasis_index){0};
    }
    return rc;
}

static void fini(struct walk *walk)
{
    for (uint32_t i = 0; i < walk->part_count; i++)
        stasis_layer_part_fini(&walk->parts[i]);
    free(walk->parts);
    stasis_parents_fini(&walk->parents);
}

/* Only that of a snapshot which has all its RAM is of use. */
static struct stasis_snap *known_of(const struct stasis_parse_opts *opts)
{
    struct stasis_snap *known = opts ? opts->parent : NULL;

    return known && known->file_count && !known->has_no_parents ? known : NULL;
}

int stasis_layers_open(struct stasis_snap *snap, const struct stasis_parse_opts *opts,
                       const char *folder, struct stasis_error *err)
{
    struct walk walk = {.snap = snap, .opts = opts, .known = known_of(opts)};
    int rc = 0;

    snap->opened.whole = !snap->index.runs.partial;
    snap->walked_count = snap->chain_len = 1;
    snap->has_no_parents = snap->opened.layer && opts && opts->alone;
    if (snap->has_no_parents) {
        snap->opened.partial_index_bytes = snap->opened.whole ? 0 : snap->index.len;
    } else if (snap->opened.layer) {
        stasis_parents_init(&walk.parents, folder);
        rc = open_chain(&walk, err);
        fini(&walk);
    }
    snap->header.info = snap->opened;
    return rc;
}
