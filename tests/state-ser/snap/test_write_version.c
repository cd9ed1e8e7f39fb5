/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Files of either format version, with digests and without: what may be written, and what an opened
 * file keeps when it is saved as another.
 */
#include "tests/state-ser/snap/fixture.h"

#include <stdio.h>
#include <string.h>

#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/object.h"

static const struct stasis_save_opts version_1 = {.size = sizeof(version_1), .format_version = 1};
static const struct stasis_save_opts version_2 = {.size = sizeof(version_2), .format_version = 2};
static const struct stasis_save_opts with_digests = {.size = sizeof(with_digests), .digests = true};

/* Saves what an image holds, and takes its place. */
static void save_again(struct image *image, const struct stasis_save_opts *opts)
{
    struct built opened = {.snap = image_reopen(image)};
    struct image again = image_of_with(&opened, opts);

    stasis_snap_free(opened.snap);
    image_fini(image);
    *image = again;
}

static void assert_is(const struct image *image, const struct built *built, uint32_t version,
                      bool digests)
{
    struct stasis_snap *snap = image_reopen(image);
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    uint64_t stored = stasis_index_zero_end(&snap->index, 0, snap->index.chunk_count);
    struct stasis_error err = {0};

    assert_int_equal(info->format_version, version);
    assert_int_equal(info->digests, digests);
    assert_int_equal(stasis_runs_digest(&snap->index, stored) != NULL, digests);
    assert_same_ram(snap, built, 1);
    if (stasis_snap_verify(snap, 1, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

/* The newest is the default. There and back the bytes are the same, but for UUID and time. */
static void each_version_becomes_the_other(void **state)
{
    for (unsigned level = 0; level < 2; level++) {
        struct stasis_save_opts opts = version_1;
        struct image first, image;
        struct built built;

        (void)state;
        built_large(&built);
        opts.zlib_level = level;
        first = image_of_with(&built, &opts);
        assert_is(&first, &built, 1, false);
        image = image_copy(&first);
        save_again(&image, NULL);
        assert_is(&image, &built, 2, false);
        save_again(&image, &version_1);
        assert_is(&image, &built, 1, false);
        image_wipe_identity(&first);
        image_wipe_identity(&image);
        assert_int_equal(image.len, first.len);
        assert_memory_equal(image.bytes, first.bytes, first.len);
        image_fini(&image);
        image_fini(&first);
        built_fini(&built);
    }
}

static void digests_are_added_kept_and_left_out(void **state)
{
    struct built built;
    struct image image, root;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    assert_is(&image, &built, 2, false);
    save_again(&image, &with_digests);
    assert_is(&image, &built, 2, true);
    root = image_copy(&image);
    save_again(&image, &version_2);
    assert_is(&image, &built, 2, true);
    assert_memory_equal(image.bytes + STASIS_HDR_ROOT, root.bytes + STASIS_HDR_ROOT,
                        STASIS_DIGEST_SIZE);
    save_again(&image, &version_1);
    assert_is(&image, &built, 1, false);
    image_fini(&root);
    image_fini(&image);
    built_fini(&built);
}

/* What the object says of the file saved last is not taken for what is in the one it reads. */
static void an_opened_file_stays_what_it_is(void **state)
{
    static const struct stasis_save_opts *const all[] = {&version_1, &with_digests, &version_2};
    struct built built;
    struct image image;
    struct built opened;

    (void)state;
    built_small(&built);
    image = image_of_with(&built, &version_1);
    opened = (struct built){.snap = image_reopen(&image)};
    for (unsigned i = 0; i < 3; i++) {
        struct image again = image_of_with(&opened, all[i]);

        assert_int_equal(stasis_snap_info(opened.snap)->format_version, i ? 2 : 1);
        assert_int_equal(stasis_snap_verify(opened.snap, 1, NULL, NULL, NULL), 0);
        assert_is(&again, &built, i ? 2 : 1, i == 1);
        image_fini(&again);
    }
    stasis_snap_free(opened.snap);
    image_fini(&image);
    built_fini(&built);
}

static void refuse(struct stasis_snap *snap, const struct stasis_save_opts *opts, int code,
                   const char *words)
{
    struct stasis_error err = {0};
    const char *folder = folder_make();
    char path[128];

    snprintf(path, sizeof(path), "%s/refused", folder);
    assert_int_equal(stasis_snap_save(snap, path, opts, NULL, &err), code);
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
    assert_int_equal(folder_entries(folder), 0);
    folder_remove();
}

static void what_a_version_lacks_is_refused(void **state)
{
    const struct stasis_save_opts version_3 = {.size = sizeof(version_3), .format_version = 3};
    const struct stasis_save_opts both = {
        .size = sizeof(both), .format_version = 1, .digests = true};
    static const uint8_t page[STASIS_PAGE_SIZE];
    struct built built;
    struct image image;

    (void)state;
    built_init(&built);
    for (uint32_t i = 0; i <= STASIS_INDEX1_REGION_MAX; i++)
        assert_int_equal(stasis_snap_add_ram(built.snap, UINT64_C(8192) * i, page, 4096, NULL), 0);
    refuse(built.snap, &version_3, STASIS_ERR_ARG, "format version 3: give 0 to 2");
    refuse(built.snap, &both, STASIS_ERR_ARG, "format version 1 has no digests");
    refuse(built.snap, &version_1, STASIS_ERR_FULL,
           "more than 64 ranges of RAM in format version 1");
    image = image_of_with(&built, &version_2);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_becomes_the_other),
        cmocka_unit_test(digests_are_added_kept_and_left_out),
        cmocka_unit_test(an_opened_file_stays_what_it_is),
        cmocka_unit_test(what_a_version_lacks_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
