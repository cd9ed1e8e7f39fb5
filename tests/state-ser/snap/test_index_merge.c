/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Indexes put together, compared with a model that knows of each page where it comes from.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "state-ser/snap/index_merge.h"
#include "state-ser/snap/le.h"

#define CHUNKS 12u
#define PAGES  16u
#define DATA   UINT64_C(4096)

enum { BELOW = 0, ZERO = 1 }; /* else a place: file and offset */

struct model {
    uint64_t page[CHUNKS][PAGES];
};

static uint64_t seed = 1;

static unsigned below(unsigned limit)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(seed >> 33) % limit;
}

static uint64_t place(unsigned file, uint64_t offset)
{
    return offset << 8 | file << 2 | 2;
}

/* ---- an index, and what it says ---- */

struct made {
    struct stasis_index index;
    struct stasis_header header;
    struct stasis_run runs[CHUNKS];
    struct stasis_snap_extent extents[CHUNKS * PAGES];
};

static void put_chunk(struct made *made, unsigned i, uint8_t kind, unsigned each)
{
    struct stasis_index_runs *runs = &made->index.runs;
    struct stasis_run *last = runs->entry_count ? &made->runs[runs->entry_count - 1] : NULL;

    if (last && last->kind == kind && last->each == each)
        return;
    made->runs[runs->entry_count++] = (struct stasis_run){
        .first = i, .first_extent = runs->extent_count, .kind = kind, .each = (uint8_t)each};
    runs->partial |= stasis_run_is_partial(kind);
}

/* Takes some of the pages that are left, the lowest among them. */
static unsigned some_of(unsigned left)
{
    unsigned lowest = left & -left;

    return below(2) ? lowest : lowest | (left & below(65536));
}

static void put_extents(struct made *made, unsigned i, bool partial, unsigned files)
{
    unsigned left = 1 + below(65535);
    unsigned count = 0;
    struct stasis_snap_extent *list = made->extents + made->index.runs.extent_count;

    for (; left && count < PAGES; count++) {
        unsigned taken = some_of(left);
        bool zeros = partial && !below(4);
        unsigned file = zeros ? 0 : below(files);
        unsigned stored = zeros ? taken : taken | below(65536);
        uint32_t len = zeros ? 0 : (uint32_t)__builtin_popcount(stored) * STASIS_PAGE_SIZE;
        uint64_t *end = &made->header.sections[0].length;

        list[count] = (struct stasis_snap_extent){
            .stored_pages = (uint16_t)stored,
            .taken_pages = (uint16_t)taken,
            .encoding = zeros ? STASIS_CHUNK_ZERO : STASIS_CHUNK_RAW,
            .file = file,
            .stored_len = len,
            .offset = zeros  ? 0
                      : file ? below(1000) * STASIS_PAGE_SIZE
                             : DATA + *end,
        };
        if (!file)
            *end += len;
        left &= ~taken;
    }
    put_chunk(made, i, partial ? STASIS_RUN_PARTLY : STASIS_RUN_STORED, count);
    made->index.runs.extent_count += count;
}

static void lay_out(struct made *made)
{
    struct stasis_index *index = &made->index;
    struct stasis_index_runs *runs = &index->runs;
    size_t entries_len = (size_t)runs->entry_count * STASIS_RUNS_ENTRY_LEN;
    size_t extents_len = (size_t)runs->extent_count * STASIS_RUNS_EXTENT_LEN;
    uint8_t *p;

    index->len = entries_len + extents_len + (size_t)runs->extent_count * STASIS_DIGEST_SIZE;
    p = index->bytes = calloc(1, index->len + 1);
    assert_non_null(p);
    runs->entries = p;
    runs->extents = p + entries_len;
    runs->digests = p + entries_len + extents_len;
    for (uint32_t e = 0; e < runs->entry_count; e++, p += STASIS_RUNS_ENTRY_LEN)
        stasis_run_encode(&made->runs[e], p);
    for (uint32_t x = 0; x < runs->extent_count; x++, p += STASIS_RUNS_EXTENT_LEN) {
        const struct stasis_snap_extent *extent = &made->extents[x];

        stasis_le64_put(p, extent->offset);
        stasis_le32_put(p + 8, extent->stored_len);
        stasis_le16_put(p + 16, extent->stored_pages);
        stasis_le16_put(p + 18, extent->taken_pages);
        stasis_le16_put(p + 20, (uint16_t)extent->file);
        p[22] = (uint8_t)extent->encoding;
        memcpy(index->bytes + entries_len + extents_len + (size_t)x * STASIS_DIGEST_SIZE, p, 16);
    }
    assert_true(stasis_runs_make_hints(index));
}

/* `files`: numbers of files that it may name. */
static void make(struct made *made, bool partial, unsigned files)
{
    memset(made, 0, sizeof(*made));
    made->header.sections[0].offset = DATA;
    assert_int_equal(stasis_index_add(&made->index, 0, (CHUNKS - 2) * STASIS_CHUNK_SIZE, NULL), 0);
    assert_int_equal(stasis_index_add(&made->index, UINT64_C(1) << 32, 2 * STASIS_CHUNK_SIZE, NULL),
                     0);
    made->index.runs.layered = true;
    for (unsigned i = 0; i < CHUNKS; i++) {
        unsigned kind = partial ? below(4) : 1 + below(2);

        if (kind == STASIS_RUN_BELOW || kind == STASIS_RUN_ZERO)
            put_chunk(made, i, (uint8_t)kind, 0);
        else
            put_extents(made, i, kind == STASIS_RUN_PARTLY, files);
    }
    lay_out(made);
}

/* What an index says, its files renumbered. Digests go with their extents. */
static struct model model_of(const struct stasis_index *index, const uint16_t *files)
{
    struct model model;

    for (unsigned i = 0; i < CHUNKS; i++) {
        struct stasis_index_extents extents;

        stasis_index_get_extents(index, i, &extents);
        for (unsigned page = 0; page < PAGES; page++)
            model.page[i][page] = stasis_run_is_partial(extents.kind) ? BELOW : ZERO;
        for (unsigned k = 0; k < extents.count; k++) {
            const struct stasis_snap_extent *extent = &extents.list[k];
            bool zeros = extent->encoding == STASIS_CHUNK_ZERO;
            unsigned file = files && !zeros ? files[extent->file] : extent->file;

            assert_int_equal(stasis_le64_get(extents.digests + (size_t)k * STASIS_DIGEST_SIZE),
                             extent->offset);
            for (unsigned page = 0; page < PAGES; page++)
                if (extent->taken_pages >> page & 1)
                    model.page[i][page] = zeros ? ZERO : place(file, extent->offset);
        }
    }
    return model;
}

static struct model over(const struct model *above, const struct model *under)
{
    struct model model = *above;

    for (unsigned i = 0; i < CHUNKS; i++)
        for (unsigned page = 0; page < PAGES; page++)
            if (model.page[i][page] == BELOW)
                model.page[i][page] = under->page[i][page];
    return model;
}

/* ---- tests ---- */

/* Whole ones obey the rules of a layer's section, as the parser has them. */
static void assert_is_a_section(const struct stasis_index *index, const struct made *above,
                                unsigned files)
{
    struct stasis_header header = {.section_count = 1, .sections = {above->header.sections[0]}};
    struct stasis_index copy = {.len = index->len};
    struct stasis_error err = {0};
    bool used[8] = {false};

    header.sections[0].type = STASIS_SECTION_DATA;
    header.info.format_version = 2;
    header.info.layer = true;
    header.info.digests = true;
    header.info.ram_bytes = index->ram_bytes;
    header.info.uuid[0] = 99;
    memcpy(header.info.parent_uuid, stasis_index_name(index, 1), STASIS_UUID_SIZE);
    for (uint32_t x = 0; x < index->runs.extent_count; x++) {
        struct stasis_snap_extent extent =
            stasis_extent_at(index->runs.extents + (size_t)x * STASIS_RUNS_EXTENT_LEN);

        used[extent.file] = true;
        header.info.stored_bytes += extent.file ? 0 : extent.stored_len;
        if (!extent.file)
            header.sections[0].length = extent.offset + extent.stored_len - DATA;
    }
    if (!header.info.stored_bytes)
        header.sections[0].length = 0;
    for (unsigned n = 2; n <= files; n++)
        if (!used[n])
            return; /* a name too many: the test's fault */
    copy.bytes = malloc(copy.len);
    assert_non_null(copy.bytes);
    memcpy(copy.bytes, index->bytes, copy.len);
    if (stasis_index_parse(&copy, &header, &err))
        fail_msg("%s", err.msg);
    stasis_index_fini(&copy);
}

/* Files of what is below follow this one; and all of 4 are named. */
static void merge(bool whole, bool nothing_below)
{
    static const uint16_t files[] = {1, 2, 3, 4};
    uint8_t names[4 * STASIS_RUNS_NAME_LEN] = {0};
    struct made above, under;
    struct stasis_index index = {0};
    struct model expected, got;

    for (unsigned n = 0; n < 4; n++)
        names[n * STASIS_RUNS_NAME_LEN] = (uint8_t)(n + 1);
    make(&above, !nothing_below, nothing_below ? 3 : 1);
    make(&under, !whole, whole ? 4 : 1);
    {
        const struct stasis_index_part parts[] = {{&under.index, files}, {&above.index, NULL}};

        assert_int_equal(
            stasis_index_merge(nothing_below ? NULL : &parts[0], &parts[1], names, 4, &index, NULL),
            0);
    }
    expected = model_of(&above.index, NULL);
    got = model_of(&under.index, files);
    if (!nothing_below)
        expected = over(&expected, &got);
    got = model_of(&index, NULL);
    assert_memory_equal(&got, &expected, sizeof(got));
    assert_false(index.runs.partial && (whole || nothing_below));
    if (!index.runs.partial)
        assert_is_a_section(&index, &above, 4);
    stasis_index_fini(&index);
    stasis_index_fini(&under.index);
    stasis_index_fini(&above.index);
}

static void a_layer_over_a_whole_index_is_whole(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3000; n++)
        merge(true, false);
}

static void a_layer_over_a_layer_is_what_both_change(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3000; n++)
        merge(false, false);
}

static void a_whole_index_is_taken_with_new_numbers(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 300; n++)
        merge(true, true);
}

/* However they are grouped, three layers say the same. */
static void the_order_of_merging_does_not_matter(void **state)
{
    static const uint16_t files[][4] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {2, 0, 0, 0}, {3, 4, 5, 6}};

    (void)state;
    for (unsigned n = 0; n < 1000; n++) {
        struct made layer[4];
        struct stasis_index_part part[4];
        struct stasis_index pair[2], all[2], step;
        struct model got[2];

        for (unsigned k = 0; k < 4; k++) {
            make(&layer[k], k < 3, k < 3 ? 1 : 4);
            part[k] = (struct stasis_index_part){&layer[k].index, files[k]};
        }
        assert_int_equal(stasis_index_merge(&part[1], &part[0], NULL, 0, &pair[0], NULL), 0);
        assert_int_equal(stasis_index_merge(&part[3], &part[2], NULL, 0, &pair[1], NULL), 0);
        assert_int_equal(stasis_index_merge(&(struct stasis_index_part){&pair[1], NULL},
                                            &(struct stasis_index_part){&pair[0], NULL}, NULL, 0,
                                            &all[0], NULL),
                         0);
        assert_int_equal(stasis_index_merge(&(struct stasis_index_part){&pair[1], NULL}, &part[1],
                                            NULL, 0, &step, NULL),
                         0);
        assert_int_equal(stasis_index_merge(&(struct stasis_index_part){&step, NULL}, &part[0],
                                            NULL, 0, &all[1], NULL),
                         0);
        for (unsigned k = 0; k < 2; k++)
            got[k] = model_of(&all[k], NULL);
        assert_memory_equal(&got[0], &got[1], sizeof(got[0]));
        assert_int_equal(all[0].len, all[1].len);
        assert_memory_equal(all[0].bytes, all[1].bytes, all[0].len);
        for (unsigned k = 0; k < 2; k++) {
            stasis_index_fini(&pair[k]);
            stasis_index_fini(&all[k]);
        }
        stasis_index_fini(&step);
        for (unsigned k = 0; k < 4; k++)
            stasis_index_fini(&layer[k].index);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_over_a_whole_index_is_whole),
        cmocka_unit_test(a_layer_over_a_layer_is_what_both_change),
        cmocka_unit_test(a_whole_index_is_taken_with_new_numbers),
        cmocka_unit_test(the_order_of_merging_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
