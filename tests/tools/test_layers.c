/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What every command makes of a layer: base.snap <- one.snap <- two.snap, and other.snap beside
 * one.snap.
 */
#include "tests/tools/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct run run;

/* in_folder() remembers two. */
static const char *path_of(const char *name)
{
    static char paths[8][200];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s", in_folder(name));
    return path;
}

static void save_with(struct built *built, const char *name, const struct stasis_save_opts *opts)
{
    struct stasis_error err;

    if (stasis_snap_save(built->snap, path_of(name), opts, NULL, &err))
        fail_msg("%s", err.msg);
}

/* The RAM of `built`, as it is now, on a file. */
static void save_on(struct built *built, const char *below, const char *name,
                    const struct stasis_save_opts *opts)
{
    struct stasis_snap *parent = NULL;
    struct stasis_error err;

    if (stasis_snap_open(path_of(below), NULL, &parent, &err) ||
        stasis_snap_set_parent(built->snap, parent, &err))
        fail_msg("%s", err.msg);
    save_with(built, name, opts);
    stasis_snap_free(parent);
    assert_int_equal(stasis_snap_set_parent(built->snap, NULL, &err), 0);
}

/* Two regions: 8 KiB, of which one.snap and other.snap change the first page, and 3 chunks, of
 * which two.snap changes page 32. */
static void make_chain(const struct stasis_save_opts *opts)
{
    const uint64_t low = 1, high = UINT64_C(1) << 32, none = 0;
    struct built built;
    struct stasis_error err;

    built_machine(&built);
    save_with(&built, "base.snap", opts);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 0, &low, &err), 0);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 1, &none, &err), 0);
    fill_random(built.ram[0], STASIS_PAGE_SIZE, 77);
    save_on(&built, "base.snap", "one.snap", opts);
    memset(built.ram[0], 0, STASIS_PAGE_SIZE);
    save_on(&built, "base.snap", "other.snap", opts);
    fill_random(built.ram[0], STASIS_PAGE_SIZE, 77);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 0, &none, &err), 0);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 1, &high, &err), 0);
    fill_random(built.ram[1] + 2 * STASIS_CHUNK_SIZE, STASIS_PAGE_SIZE, 78);
    save_on(&built, "one.snap", "two.snap", opts);
    built_fini(&built);
}

static void the_tree_says_who_owes_what(void **state)
{
    (void)state;
    make_chain(NULL);
    run_inspect(&run, NULL, "layers", path_of("two.snap"), path_of("other.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "/base.snap: ");
    assert_has(run.out, "; memory: 76 KiB in itself\n  - ");
    assert_has(run.out, "/one.snap: ");
    assert_has(run.out, "; memory: 4 KiB in itself, 4 KiB in ");
    assert_has(run.out, "\n4 files, ");
    run_inspect(&run, NULL, "layers", path_of("two.snap"), path_of("other.snap"),
                path_of("base.snap"), path_of("one.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\n4 files, ");
    run_inspect(&run, NULL, "layers", "-", NULL);
    assert_ended(&run, 2, "layers: -: files are read twice; name one that is no pipe");
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    run_inspect(&run, NULL, "layers", path_of("pipe"), NULL);
    assert_ended(&run, 2, "/pipe: files are read twice");
    run_inspect(&run, NULL, "report", "-o", path_of("page.html"), path_of("pipe"), NULL);
    assert_ended(&run, 2, "/pipe: files are read twice");
    assert_int_equal(unlink(path_of("pipe")), 0);
}

static void the_tree_is_json_and_a_picture(void **state)
{
    struct image picture;

    (void)state;
    make_chain(NULL);
    run_inspect(&run, NULL, "layers", "--json", "--svg", path_of("tree.svg"), path_of("two.snap"),
                NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\"parent_uuid\": \"");
    assert_has(run.out, "/one.snap\",\n");
    assert_has(run.out, "\"whole_index\": false");
    picture = image_read(path_of("tree.svg"));
    picture.bytes[picture.len - 1] = '\0';
    assert_has((char *)picture.bytes, "<svg ");
    assert_has((char *)picture.bytes, "two.snap");
    assert_has((char *)picture.bytes, "class=\"f\"");
    image_fini(&picture);
}

/* As `info` counts, though a stored chunk has them. */
static void zero_pages_do_not_count(void **state)
{
    struct built built;

    (void)state;
    built_machine(&built);
    memset(built.ram[1], 0, 3 * STASIS_CHUNK_SIZE);
    built.ram[1][STASIS_CHUNK_SIZE] = 1;
    save_with(&built, "base.snap", NULL);
    built_fini(&built);
    run_inspect(&run, NULL, "layers", "--svg", path_of("tree.svg"), path_of("base.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "; memory: 12 KiB in itself\n");
}

static void info_says_what_a_layer_lacks(void **state)
{
    (void)state;
    make_chain(NULL);
    run_inspect(&run, NULL, "info", path_of("one.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "one.snap: a Stasis snapshot, a layer\n");
    assert_has(run.out, "\n  parent      ");
    assert_has(run.out, "\n              root ");
    assert_has(run.out, ": 4 KiB in this file, 0 bytes became zero, the rest as in the parent\n");
    assert_has(run.out, "\n  lies on     ");
    run_inspect(&run, NULL, "info", path_of("other.snap"), NULL);
    assert_has(run.out, ": 0 bytes in this file, 4 KiB became zero, the rest as in the parent\n");
    assert_int_equal(unlink(path_of("base.snap")), 0);
    run_inspect(&run, NULL, "info", path_of("one.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\n  incomplete  ");
    run_inspect(&run, NULL, "layers", path_of("one.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "; incomplete: ");
    run_inspect(&run, NULL, "json", path_of("one.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\"chunks_layered\": 1,");
    run_inspect(&run, NULL, "verify", path_of("one.snap"), NULL);
    assert_ended(&run, 2, "layers");
}

static void parents_may_be_in_another_folder(void **state)
{
    static const char *const commands[] = {"info", "verify", "memory", "layers"};

    (void)state;
    make_chain(NULL);
    assert_int_equal(mkdir(path_of("below"), 0700), 0);
    assert_int_equal(rename(path_of("base.snap"), path_of("below/base.snap")), 0);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        run_inspect(&run, NULL, commands[i], "--layers", path_of("below"), path_of("one.snap"),
                    NULL);
        assert_ended(&run, 0, NULL);
        assert_null(strstr(run.out, "incomplete"));
    }
    assert_int_equal(unlink(path_of("below/base.snap")), 0);
    assert_int_equal(rmdir(path_of("below")), 0);
}

static void check_flat(const char *root)
{
    run_inspect(&run, NULL, "flatten", path_of("two.snap"), path_of("flat.snap"), NULL);
    assert_ended(&run, 0, NULL);
    run_inspect(&run, NULL, "diff", path_of("two.snap"), path_of("flat.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_int_equal(unlink(path_of("base.snap")), 0);
    run_inspect(&run, NULL, "verify", path_of("flat.snap"), NULL);
    assert_ended(&run, 0, NULL);
    run_inspect(&run, NULL, "info", path_of("flat.snap"), NULL);
    assert_null(strstr(run.out, "parent"));
    assert_has(run.out, root);
}

static void a_flattened_chain_is_one_file(void **state)
{
    const struct stasis_save_opts digests = {.size = sizeof(digests), .digests = true};
    const struct stasis_save_opts packed = {.size = sizeof(packed), .zlib_level = 1};

    (void)state;
    make_chain(NULL);
    check_flat(", of checksums\n");
    make_chain(&digests);
    check_flat(", SHA-256\n");
    make_chain(&packed);
    check_flat(", of checksums\n");
}

static void what_is_read_is_not_replaced(void **state)
{
    static const char *const outputs[] = {"two.snap", "one.snap", "base.snap"};

    (void)state;
    make_chain(NULL);
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        run_inspect(&run, NULL, "flatten", path_of("two.snap"), path_of(outputs[i]), NULL);
        assert_ended(&run, 2, "the same file as");
        run_inspect(&run, NULL, "migrate", "--to", "0.1.0", path_of("two.snap"),
                    path_of(outputs[i]), NULL);
        assert_ended(&run, 2, "the same file as");
    }
    run_inspect(&run, NULL, "flatten", path_of("two.snap"), "-", NULL);
    assert_ended(&run, 2, "inspect: -: this output cannot be standard output");
    run_inspect(&run, NULL, "verify", path_of("two.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "; and all memory, files 3\n");
}

/* The first byte of the last chunk that base.snap stores. */
static void damage_base(void)
{
    struct image image = image_read(path_of("base.snap"));

    image.bytes[image.len - STASIS_CHUNK_SIZE / 2] ^= 1;
    write_file(path_of("base.snap"), image.bytes, image.len);
    image_fini(&image);
}

static void damage_below_is_found_where_it_is_read(void **state)
{
    (void)state;
    make_chain(NULL);
    damage_base();
    run_inspect(&run, NULL, "diff", path_of("base.snap"), path_of("one.snap"), NULL);
    assert_ended(&run, 1, NULL);
    run_inspect(&run, NULL, "verify", path_of("one.snap"), NULL);
    assert_ended(&run, 3, "chunk");
    run_inspect(&run, NULL, "flatten", path_of("one.snap"), path_of("flat.snap"), NULL);
    assert_ended(&run, 3, "chunk");
    assert_int_not_equal(access(path_of("flat.snap"), F_OK), 0);
}

static int clean(void **state)
{
    static const char *const names[] = {"base.snap", "one.snap", "two.snap", "other.snap",
                                        "flat.snap"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(path_of(names[i]));
    return 0;
}

static int end(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_tree_says_who_owes_what, clean),
        cmocka_unit_test_teardown(the_tree_is_json_and_a_picture, clean),
        cmocka_unit_test_teardown(zero_pages_do_not_count, clean),
        cmocka_unit_test_teardown(info_says_what_a_layer_lacks, clean),
        cmocka_unit_test_teardown(parents_may_be_in_another_folder, clean),
        cmocka_unit_test_teardown(a_flattened_chain_is_one_file, clean),
        cmocka_unit_test_teardown(what_is_read_is_not_replaced, clean),
        cmocka_unit_test_teardown(damage_below_is_found_where_it_is_read, clean),
    };

    return cmocka_run_group_tests(tests, setup_folder, end);
}
