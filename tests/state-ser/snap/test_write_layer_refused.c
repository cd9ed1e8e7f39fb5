/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What cannot be a parent, and what cannot be asked of a layer; and layers that are given up.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct stasis_snap *file_of(struct built *built, const struct stasis_save_opts *opts)
{
    struct image image = image_of_with(built, opts);
    struct stasis_snap *snap = image_reopen(&image);

    image_fini(&image);
    return snap;
}

static void refuse(struct stasis_snap *snap, struct stasis_snap *parent, const char *words)
{
    struct stasis_error err = {0};

    assert_int_equal(stasis_snap_set_parent(snap, parent, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, words));
}

static void another_guest_is_no_parent(void **state)
{
    struct built built, other, third;
    struct stasis_snap *parent, *third_parent;
    struct stasis_snap *arm = stasis_snap_new(STASIS_ARCH_AARCH64);

    (void)state;
    built_small(&built);
    built_large(&other);
    built_init(&third);
    built_add(&third, 0, 8192);
    built_add(&third, 0x100000, 2 * STASIS_CHUNK_SIZE);
    parent = file_of(&other, NULL);
    third_parent = file_of(&third, NULL);
    refuse(built.snap, parent, "another guest");
    refuse(built.snap, third_parent, "another guest");
    refuse(arm, parent, "another guest");
    refuse(built.snap, other.snap, "is no file");
    refuse(parent, parent, "is a file already");
    stasis_snap_free(arm);
    stasis_snap_free(parent);
    stasis_snap_free(third_parent);
    built_fini(&third);
    built_fini(&other);
    built_fini(&built);
}

static void version_1_is_no_parent(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .format_version = 1};
    struct stasis_snap *parent;
    struct built built;

    (void)state;
    built_small(&built);
    parent = file_of(&built, &opts);
    refuse(built.snap, parent, "has format version 1, and no root");
    stasis_snap_free(parent);
    built_fini(&built);
}

static void save_refused(struct built *built, const struct stasis_save_opts *opts,
                         const char *words)
{
    const char *folder = folder_make();
    struct stasis_error err = {0};
    char path[96];

    snprintf(path, sizeof(path), "%s/layer", folder);
    assert_int_equal(stasis_snap_save(built->snap, path, opts, NULL, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, words));
    assert_int_equal(folder_entries(folder), 0);
    folder_remove();
}

static void options_that_a_layer_cannot_have_are_refused(void **state)
{
    const struct stasis_save_opts version_1 = {.size = sizeof(version_1), .format_version = 1};
    const struct stasis_save_opts digests = {.size = sizeof(digests), .digests = true};
    struct stasis_save_opts same_uuid = {.size = sizeof(same_uuid)};
    struct stasis_snap *base;
    struct built built;

    (void)state;
    built_small(&built);
    base = layer_base(&built, NULL);
    save_refused(&built, &version_1, "format version 1 has no layers");
    save_refused(&built, &digests, "has no digests, so a layer on it has none");
    same_uuid.uuid = stasis_snap_info(base)->uuid;
    save_refused(&built, &same_uuid, "has the UUID that the layer is to have");
    built_add(&built, 0x200000, 4096);
    save_refused(&built, NULL, "another guest");
    stasis_snap_free(base);
    built_fini(&built);
}

/* Nor is a stream read back. */
static void a_layer_without_what_it_lies_on_is_no_parent(void **state)
{
    const struct stasis_parse_opts alone = {.size = sizeof(alone), .alone = true};
    struct stasis_snap *base, *layer, *saved = NULL;
    const struct stasis_save_opts opts = {.size = sizeof(opts), .saved = &saved};
    struct stasis_error err = {0};
    struct image image;
    struct built built;
    int fd;

    (void)state;
    built_small(&built);
    base = layer_base(&built, NULL);
    image = image_of(&built);
    fd = image_fd(&image);
    if (stasis_snap_open_fd(fd, "a layer", &alone, &layer, &err))
        fail_msg("%s", err.msg);
    refuse(built.snap, layer, "a layer was opened without what it lies on");
    assert_int_equal(stasis_snap_save_stream(built.snap, fd, &opts, NULL, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "what was written is not read back"));
    assert_null(saved);
    close(fd);
    image_fini(&image);
    stasis_snap_free(layer);
    stasis_snap_free(base);
    built_fini(&built);
}

/* The old file is there until a save is not cancelled any more. */
struct patience {
    unsigned calls;
    unsigned most;
};

static bool keep_on(void *ctx, uint64_t done, uint64_t total)
{
    struct patience *patience = ctx;

    assert_true(done <= total);
    return ++patience->calls < patience->most;
}

static void a_cancelled_layer_leaves_the_old_file(void **state)
{
    struct patience patience = {.most = 1};
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .no_sync = true, .progress = keep_on, .ctx = &patience};
    const char *folder = folder_make();
    struct stasis_snap *base;
    struct stasis_error err = {0};
    struct image old, now;
    struct built built;
    char path[96];

    (void)state;
    built_small(&built);
    base = layer_base(&built, NULL);
    snprintf(path, sizeof(path), "%s/layer", folder);
    assert_int_equal(stasis_snap_save(built.snap, path, NULL, NULL, &err), 0);
    old = image_read(path);
    while (stasis_snap_save(built.snap, path, &opts, NULL, &err)) {
        assert_int_equal(err.code, STASIS_ERR_CANCELLED);
        now = image_read(path);
        assert_int_equal(now.len, old.len);
        assert_memory_equal(now.bytes, old.bytes, old.len);
        assert_int_equal(folder_entries(folder), 1);
        image_fini(&now);
        patience = (struct patience){.most = patience.most + 1};
    }
    printf("cancelled at each of %u calls of the progress\n", patience.most - 1);
    assert_in_range(patience.most, 8, 1000);
    image_fini(&old);
    folder_remove();
    stasis_snap_free(base);
    built_fini(&built);
}

static void a_range_that_is_not_there_has_no_dirty_pages(void **state)
{
    struct stasis_error err = {0};
    struct built built;

    (void)state;
    built_small(&built);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 2, NULL, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "none of number 2"));
    built_fini(&built);
}

/* A snapshot of a small guest that has a name, and room for another file beside it. */
struct named {
    char folder[32], path[64], other[64];
    struct stasis_snap *parent; /* the file, opened */
    struct built built;
};

static void named_init(struct named *named)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .saved = &named->parent};
    struct stasis_error err = {0};

    strcpy(named->folder, "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(named->folder));
    snprintf(named->path, sizeof(named->path), "%s/one", named->folder);
    snprintf(named->other, sizeof(named->other), "%s/two", named->folder);
    built_small(&named->built);
    assert_int_equal(stasis_snap_save(named->built.snap, named->path, &opts, NULL, &err), 0);
}

static void named_fini(struct named *named)
{
    stasis_snap_free(named->parent);
    built_fini(&named->built);
    assert_int_equal(unlink(named->other) || rmdir(named->folder), 0);
}

/* What the layer needs would be gone; under another name both are there. */
static void a_layer_does_not_take_the_name_of_its_parent(void **state)
{
    struct named named;
    struct stasis_error err = {0};

    (void)state;
    named_init(&named);
    assert_int_equal(stasis_snap_set_parent(named.built.snap, named.parent, &err), 0);
    assert_int_equal(stasis_snap_save(named.built.snap, named.path, NULL, NULL, &err),
                     STASIS_ERR_EXISTS);
    assert_non_null(strstr(err.msg, "the layer lies on the file that has this name; give another"));
    assert_int_equal(stasis_snap_save(named.built.snap, named.other, NULL, NULL, &err), 0);
    assert_int_equal(stasis_snap_set_parent(named.built.snap, NULL, &err), 0);
    assert_int_equal(stasis_snap_save(named.built.snap, named.path, NULL, NULL, &err), 0);
    assert_int_equal(unlink(named.path), 0);
    named_fini(&named);
}

/* Its name may be in several folders, or have become that of another file. */
static void a_snapshot_without_a_name_is_removed(void **state)
{
    struct named named;
    struct stasis_error err = {0};

    (void)state;
    named_init(&named);
    assert_false(stasis_snap_is_removed(named.built.snap));
    assert_false(stasis_snap_is_removed(named.parent));
    assert_int_equal(link(named.path, named.other) || unlink(named.path), 0);
    assert_false(stasis_snap_is_removed(named.parent));
    assert_int_equal(stasis_snap_save(named.built.snap, named.other, NULL, NULL, &err), 0);
    assert_true(stasis_snap_is_removed(named.parent));
    named_fini(&named);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_guest_is_no_parent),
        cmocka_unit_test(version_1_is_no_parent),
        cmocka_unit_test(options_that_a_layer_cannot_have_are_refused),
        cmocka_unit_test(a_layer_without_what_it_lies_on_is_no_parent),
        cmocka_unit_test(a_layer_does_not_take_the_name_of_its_parent),
        cmocka_unit_test(a_snapshot_without_a_name_is_removed),
        cmocka_unit_test(a_cancelled_layer_leaves_the_old_file),
        cmocka_unit_test(a_range_that_is_not_there_has_no_dirty_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
