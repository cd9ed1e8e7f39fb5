/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * When a layer gets a whole index, and which files that names: on a parent made by hand, of which
 * each page is in another file.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/le.h"
#include "state-ser/snap/object.h"

#define CHUNKS 256u
#define FILES  (CHUNKS * 16) /* as many as a chain may have */

struct scattered {
    struct built built;
    struct dirty dirty[2]; /* 64 MiB; one behind the other */
    struct stasis_snap *parent;
};

/* The larger the number, the smaller the UUID. */
static struct stasis_source *make_source(uint32_t n)
{
    struct stasis_source *source = stasis_source_new("below");

    assert_non_null(source);
    source->input.fd = -1;
    stasis_le32_put(source->header.info.uuid, __builtin_bswap32(FILES - n));
    stasis_le32_put(source->header.info.root, n);
    return source;
}

/* One entry: all chunks have 16 extents of a page each, page n in file n. */
static void make_index(struct stasis_index *index, const struct built *built)
{
    const struct stasis_run run = {.kind = STASIS_RUN_STORED, .each = 16};
    size_t head = STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN;
    uint8_t *extent;

    assert_true(stasis_index_copy_regions(index, &built->snap->index));
    index->len = head + STASIS_RUNS_ENTRY_LEN + FILES * STASIS_RUNS_EXTENT_LEN;
    index->bytes = calloc(1, index->len);
    assert_non_null(index->bytes);
    index->runs = (struct stasis_index_runs){
        .entries = index->bytes + head,
        .extents = index->bytes + head + STASIS_RUNS_ENTRY_LEN,
        .entry_count = 1,
        .extent_count = FILES,
        .layered = true,
    };
    stasis_run_encode(&run, index->bytes + head);
    extent = index->bytes + head + STASIS_RUNS_ENTRY_LEN;
    for (uint32_t n = 0; n < FILES; n++, extent += STASIS_RUNS_EXTENT_LEN) {
        stasis_le64_put(extent, 4096);
        stasis_le32_put(extent + 8, 4096);
        stasis_le16_put(extent + 16, (uint16_t)(1u << n % 16));
        stasis_le16_put(extent + 18, (uint16_t)(1u << n % 16));
        stasis_le16_put(extent + 20, (uint16_t)n);
        extent[22] = STASIS_CHUNK_RAW;
    }
    assert_true(stasis_runs_make_hints(index));
}

static void scattered_init(struct scattered *scattered)
{
    struct stasis_error err = {0};
    struct stasis_snap *parent = stasis_snap_new(STASIS_ARCH_X86_64);

    *scattered = (struct scattered){.parent = parent};
    built_init(&scattered->built);
    built_add(&scattered->built, 0, CHUNKS * STASIS_CHUNK_SIZE);
    assert_non_null(parent);
    parent->input.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    parent->name = strdup("scattered");
    parent->opened = (struct stasis_snap_info){.format_version = 2, .arch = STASIS_ARCH_X86_64};
    parent->files = calloc(FILES, sizeof(struct stasis_source *));
    assert_non_null(parent->files);
    for (parent->file_count = 0; parent->file_count < FILES; parent->file_count++)
        parent->files[parent->file_count] = make_source(parent->file_count);
    parent->chain_len = FILES;
    make_index(&parent->index, &scattered->built);
    if (stasis_snap_set_parent(scattered->built.snap, parent, &err) ||
        stasis_snap_set_dirty(scattered->built.snap, 0, scattered->dirty[0].words, &err))
        fail_msg("%s", err.msg);
}

static void scattered_fini(struct scattered *scattered)
{
    close(scattered->parent->input.fd);
    stasis_snap_free(scattered->parent);
    built_fini(&scattered->built);
}

static void a_chain_of_too_many_files_is_refused(void **state)
{
    struct scattered scattered;
    struct stasis_error err = {0};
    char path[96];

    (void)state;
    scattered_init(&scattered);
    assert_true(stasis_snap_is_full(scattered.parent));
    scattered.parent->file_count--;
    assert_false(stasis_snap_is_full(scattered.parent));
    scattered.parent->file_count++;
    snprintf(path, sizeof(path), "%s/layer", folder_make());
    assert_int_equal(stasis_snap_save(scattered.built.snap, path, NULL, NULL, &err),
                     STASIS_ERR_FULL);
    assert_non_null(strstr(err.msg, "a layer on scattered would need more than 4096 files"));
    assert_int_not_equal(access(path, F_OK), 0);
    folder_remove();
    scattered_fini(&scattered);
}

/* One page less of the others, and there is room: the parent, whose page that is, has its name. */
static void a_whole_index_names_whose_pages_it_takes(void **state)
{
    struct scattered scattered;
    struct layer_view view;
    struct image image;

    (void)state;
    scattered_init(&scattered);
    dirty_add(&scattered.dirty[0], 0);
    dirty_add(&scattered.dirty[0], 7);
    fill_random(scattered.built.ram[0], 4096, 1);
    image = image_of(&scattered.built);
    view = layer_look(&image);
    assert_int_equal(view.file_count, FILES - 1);
    for (uint32_t n = 0; n < view.file_count; n++) {
        const uint8_t *name = view.names + (size_t)n * STASIS_RUNS_NAME_LEN;
        /* By UUID from the second on, without 7. */
        uint32_t file = n == 0 ? 0 : n <= FILES - 8 ? FILES - n : FILES - 1 - n;

        assert_int_equal(stasis_le32_get(name + STASIS_UUID_SIZE), file);
    }
    assert_int_equal(view.entry_count, 2);
    assert_entry(&view, 0, 0, STASIS_RUN_STORED, 15);
    assert_entry(&view, 1, 1, STASIS_RUN_STORED, 16);
    assert_extent(&view, 0, STASIS_CHUNK_RAW, 1);
    assert_int_equal(layer_extent(&view, 1).file, FILES - 1); /* page 1, file 1, the last UUID */
    assert_int_equal(layer_extent(&view, 6).file, FILES - 6);
    assert_int_equal(layer_extent(&view, 7).file, FILES - 7); /* page 8 */
    image_fini(&image);
    scattered_fini(&scattered);
}

/* Without compression of its own. */
static void compression_below_is_a_feature_of_a_whole_index(void **state)
{
    struct scattered scattered;
    struct image image;

    (void)state;
    scattered_init(&scattered);
    dirty_add(&scattered.dirty[0], 7);
    scattered.parent->index.bytes[STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN +
                                  STASIS_RUNS_ENTRY_LEN + 100 * STASIS_RUNS_EXTENT_LEN + 22] =
        STASIS_CHUNK_ZLIB;
    image = image_of(&scattered.built);
    assert_int_equal(stasis_le64_get(image.bytes + STASIS_HDR_INCOMPATIBLE), 16 | 2);
    image_fini(&image);

    scattered.parent->chain_len = FILES - 1; /* a partial one has nothing of it */
    image = image_of(&scattered.built);
    assert_int_equal(layer_look(&image).file_count, 1);
    assert_int_equal(stasis_le64_get(image.bytes + STASIS_HDR_INCOMPATIBLE), 16);
    image_fini(&image);
    scattered_fini(&scattered);
}

/* The partial ones may be as long as a whole one, and no longer. */
static void a_whole_index_comes_when_the_partial_ones_exceed_it(void **state)
{
    struct scattered scattered;
    struct layer_view view;
    struct image image;
    uint64_t whole_len, partial_len;

    (void)state;
    scattered_init(&scattered);
    dirty_add(&scattered.dirty[0], 7);
    image = image_of(&scattered.built);
    whole_len = section_length(image_section(&image, STASIS_SECTION_INDEX));
    image_fini(&image);
    scattered.parent->chain_len = FILES - 1;
    image = image_of(&scattered.built);
    partial_len = section_length(image_section(&image, STASIS_SECTION_INDEX));
    image_fini(&image);
    for (unsigned more = 0; more < 2; more++) {
        scattered.parent->opened.partial_index_bytes = whole_len - partial_len + more;
        image = image_of(&scattered.built);
        view = layer_look(&image);
        assert_int_equal(view.file_count, more ? FILES - 1 : 1);
        assert_entry(&view, 0, 0, more ? STASIS_RUN_STORED : STASIS_RUN_PARTLY, more ? 15 : 1);
        image_fini(&image);
    }
    scattered_fini(&scattered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_of_too_many_files_is_refused),
        cmocka_unit_test(a_whole_index_names_whose_pages_it_takes),
        cmocka_unit_test(compression_below_is_a_feature_of_a_whole_index),
        cmocka_unit_test(a_whole_index_comes_when_the_partial_ones_exceed_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
