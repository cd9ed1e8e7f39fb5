/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the commands make of overlays of disks: disk on disk.<root 1> on disk.<root 0>, which lies
 * on an image whose second half is a hole.
 */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/overlay.h"

#define PAGE  4096u
#define PAGES 600u
#define BYTES (PAGES * PAGE + 512)

static struct run run;
static uint8_t content[BYTES]; /* of the disk, as it was flushed last */
static struct stasis_overlay *overlay;
static int raw_fd;
static char roots[2][17]; /* 16 digits, as in the names of sealed files */

/* in_folder() remembers two. */
static const char *path_of(const char *name)
{
    static char paths[64][200];
    static unsigned next;
    char *path = paths[next++ % 64];

    snprintf(path, sizeof(paths[0]), "%s", in_folder(name));
    return path;
}

static const char *sealed(unsigned i)
{
    char name[32];

    snprintf(name, sizeof(name), "disk.%s", roots[i]);
    return path_of(name);
}

static bool read_image(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx;
    return pread(raw_fd, bytes, len, (off_t)offset) == (ssize_t)len;
}

static void open_overlay(void)
{
    struct stasis_overlay_base base = {.size = sizeof(base), .bytes = BYTES, .read = read_image};
    struct stasis_error err;
    struct stat st;

    assert_int_equal(fstat(raw_fd, &st), 0);
    base.inode = (uint64_t)st.st_ino;
    base.mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    if (stasis_overlay_open(path_of("disk"), NULL, &base, &overlay, &err))
        fail_msg("%s", err.msg);
}

static void write_pages(uint32_t first, uint32_t count, uint32_t seed)
{
    uint8_t *at = content + (size_t)first * PAGE;

    fill_random(at, (size_t)count * PAGE, seed);
    assert_int_equal(
        stasis_overlay_write(overlay, (uint64_t)first * PAGE, at, (size_t)count * PAGE, NULL), 0);
}

static void zero_pages(uint32_t first, uint32_t count)
{
    memset(content + (size_t)first * PAGE, 0, (size_t)count * PAGE);
    assert_int_equal(
        stasis_overlay_zero(overlay, (uint64_t)first * PAGE, (uint64_t)count * PAGE, NULL), 0);
}

static void seal(unsigned i)
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    bool has_root;
    struct stasis_error err;

    if (stasis_overlay_seal(overlay, STASIS_OVERLAY_DIGESTS, root, &has_root, &err))
        fail_msg("%s", err.msg);
    for (unsigned k = 0; k < 8; k++)
        snprintf(roots[i] + (size_t)2 * k, 3, "%02x", root[k]);
}

static void close_overlay(void)
{
    stasis_overlay_free(overlay);
    overlay = NULL;
}

/* The first one has pages 0 to 9 and 400 to 404, the second 5, and 8 is zero, the last 402, and
 * what it has of page 500 is not flushed. */
static int set_up(void **state)
{
    setup_folder(state);
    fill_random(content, BYTES / 2, 5);
    memset(content + BYTES / 2, 0, BYTES - BYTES / 2);
    write_file(path_of("image"), content, BYTES / 2);
    assert_int_equal(truncate(path_of("image"), BYTES), 0);
    raw_fd = open(path_of("image"), O_RDONLY | O_CLOEXEC);
    assert_true(raw_fd >= 0);
    open_overlay();
    write_pages(0, 10, 6);
    write_pages(400, 5, 7);
    seal(0);
    write_pages(5, 1, 8);
    zero_pages(8, 1);
    seal(1);
    write_pages(402, 1, 9);
    assert_int_equal(stasis_overlay_flush(overlay, NULL), 0);
    close_overlay();
    return 0;
}

static int tear_down(void **state)
{
    close_overlay();
    close(raw_fd);
    return teardown_folder(state);
}

static void flatten(const char *in, const char *out)
{
    run_inspect(&run, NULL, "flatten", "--base", path_of("image"), in, out, NULL);
}

static void flip(const char *path, off_t offset)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

/* ---- flatten ---- */

static void assert_content(const char *path)
{
    struct image found = image_read(path);

    assert_int_equal(found.len, BYTES);
    assert_memory_equal(found.bytes, content, BYTES);
    image_fini(&found);
}

static void a_chain_becomes_one_image_with_holes(void **state)
{
    struct stat st;

    (void)state;
    flatten(path_of("disk"), path_of("raw"));
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "/raw: 2458112 bytes\n");
    assert_int_equal(stat(path_of("raw"), &st), 0);
    assert_in_range(st.st_blocks, 1, (PAGES / 2 + 10) * (PAGE / 512));
    assert_int_equal(st.st_mode & 0777, 0600);
    /* And again, in its place. */
    flatten(path_of("disk"), path_of("raw"));
    assert_ended(&run, 0, NULL);
    assert_content(path_of("raw"));
}

static void a_sealed_one_becomes_what_it_was(void **state)
{
    (void)state;
    fill_random(content + (size_t)400 * PAGE, (size_t)5 * PAGE, 7);
    flatten(sealed(1), path_of("raw"));
    assert_ended(&run, 0, NULL);
    assert_content(path_of("raw"));
    fill_random(content, (size_t)10 * PAGE, 6);
    flatten(sealed(0), path_of("raw"));
    assert_ended(&run, 0, NULL);
    assert_content(path_of("raw"));
}

static void no_input_is_replaced(void **state)
{
    const char *const inputs[] = {path_of("disk"), sealed(0), sealed(1), path_of("image")};

    (void)state;
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct image before = image_read(inputs[i]), after;

        assert_int_equal(link(inputs[i], path_of("link")), 0);
        flatten(path_of("disk"), path_of("link"));
        assert_ended(&run, 2, "it is the same file as ");
        after = image_read(inputs[i]);
        assert_int_equal(after.len, before.len);
        assert_memory_equal(after.bytes, before.bytes, before.len);
        image_fini(&before);
        image_fini(&after);
        assert_int_equal(unlink(path_of("link")), 0);
    }
    flatten(path_of("disk"), "-");
    assert_ended(&run, 2, "this output cannot be standard output");
}

static void the_image_is_compared(void **state)
{
    const struct timespec times[2] = {{0}, {.tv_sec = 77}};

    (void)state;
    run_inspect(&run, NULL, "flatten", path_of("disk"), path_of("raw"), NULL);
    assert_ended(&run, 2, "name the raw image that it lies on by --base");
    run_inspect(&run, NULL, "flatten", "--base", sealed(0), path_of("disk"), path_of("raw"), NULL);
    assert_ended(&run, 2, "/disk: its base has ");
    write_file(path_of("short"), content, PAGE);
    run_inspect(&run, NULL, "flatten", "--base", path_of("short"), path_of("disk"), path_of("raw"),
                NULL);
    assert_ended(&run, 2, "; give the base that it was made on");
    run_inspect(&run, NULL, "flatten", "--base", path_of("none"), path_of("disk"), path_of("raw"),
                NULL);
    assert_ended(&run, 2, "/none: ");
    assert_int_equal(utimensat(AT_FDCWD, path_of("image"), times, 0), 0);
    flatten(path_of("disk"), path_of("raw"));
    assert_ended(&run, 2, "its base was written to since it was the one");
    assert_int_equal(access(path_of("raw"), F_OK), -1);
    run_inspect(&run, NULL, "flatten", "--base", path_of("image"), "--allow-changed",
                path_of("disk"), path_of("raw"), NULL);
    assert_ended(&run, 0, NULL);
    assert_content(path_of("raw"));
}

static void what_fails_leaves_nothing(void **state)
{
    char command[1200];
    const char *const argv[] = {"/bin/bash", "-c", command, NULL};

    (void)state;
    snprintf(command, sizeof(command), "ulimit -f 1000; exec '%s' flatten --base '%s' '%s' '%s'",
             inspect_path(), path_of("image"), path_of("disk"), path_of("raw"));
    run_program(&run, NULL, argv);
    assert_ended(&run, 7, "/raw: ");
    assert_int_equal(access(path_of("raw"), F_OK), -1);
    flip(sealed(0), 1024 * 1024 + 4096 * 6); /* behind its log */
    flatten(path_of("disk"), path_of("raw"));
    assert_ended(&run, 3, "the overlay is damaged at offset 0x");
    assert_has(run.err, roots[0]);
    assert_int_equal(access(path_of("raw"), F_OK), -1);
    assert_int_equal(unlink(sealed(1)), 0);
    flatten(path_of("disk"), path_of("raw"));
    assert_ended(&run, 2, "which is not in its folder; put it there");
    assert_int_equal(access(path_of("raw"), F_OK), -1);
}

static void one_in_use_is_refused(void **state)
{
    (void)state;
    open_overlay();
    flatten(path_of("disk"), path_of("raw"));
    assert_ended(&run, 2,
                 "/disk: a guest uses it; end the guest, or name an overlay that is sealed");
    flatten(sealed(1), path_of("raw"));
    assert_ended(&run, 0, NULL);
}

static void a_snapshot_has_no_base(void **state)
{
    struct built built;

    (void)state;
    built_machine(&built);
    save_to(&built, path_of("base.snap"));
    built_fini(&built);
    flatten(path_of("base.snap"), path_of("raw"));
    assert_ended(&run, 2, "--base and --allow-changed are for overlays of disks");
}

/* ---- the other commands ---- */

static void info_says_what_it_lies_on(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "info", path_of("disk"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "/disk: an overlay of a disk, not sealed\n  producer    stasis ");
    assert_has(run.out, "\n              root ");
    assert_has(run.out, roots[1]);
    assert_has(run.out, ": 4 KiB in this file, 0 bytes zero, the rest as in the parent\n");
    assert_has(run.out, "\n  use         cut off; the disk is as it was flushed last\n");
    assert_has(run.out, "\n  lies on     ");
    run_inspect(&run, NULL, "info", sealed(0), NULL);
    assert_has(run.out, ": an overlay of a disk, sealed\n");
    assert_has(run.out, "\n  image       inode ");
    assert_has(run.out, ": 60 KiB in this file, 0 bytes zero, the rest as in the image\n");
    assert_has(run.out, roots[0]);
    open_overlay();
    assert_int_equal(stasis_overlay_finish(overlay, NULL), 0);
    close_overlay();
    assert_int_equal(unlink(sealed(0)), 0);
    run_inspect(&run, NULL, "info", path_of("disk"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\n  use         ended\n");
    assert_has(run.out, "\n  incomplete  ");
    run_inspect(&run, NULL, "info", path_of("disk"), sealed(1), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, ": overlay of a disk of 2.3 MiB, sealed, made ");
    assert_has(run.out, "2 files: 2 readable\n");
}

static void json_has_the_same(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "json", path_of("disk"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "\"disk\": {\n    \"bytes\": 2458112,\n    \"sealed\": false,\n");
    assert_has(run.out, "\"parent_root\": \"");
    run_inspect(&run, NULL, "json", sealed(0), NULL);
    assert_has(run.out, "\"pages_stored\": 15,\n");
    assert_has(run.out, "\"image_inode\": ");
}

static void verify_reads_all_files(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "verify", path_of("disk"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "(stored 14, zero 1), files 3\n");
    flip(sealed(1), 1024 * 1024 * 3 / 4); /* in what was its log */
    run_inspect(&run, NULL, "verify", sealed(1), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "bytes that it does not use, from offset 0xc");
    flip(sealed(0), 1024 * 1024 + 4096 * 6);
    run_inspect(&run, NULL, "verify", path_of("disk"), sealed(0), sealed(1), NULL);
    assert_int_equal(run.status, 3);
    assert_has(run.err, "the overlay is damaged at offset 0x");
    assert_has(run.out, "3 files: 0 whole, 3 failed\n");
}

static void the_tree_says_who_owes_what(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "layers", "--svg", path_of("tree.svg"), path_of("disk"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, " on an image; disk: 60 KiB in itself\n  - ");
    assert_has(run.out, "; disk: 4 KiB in itself, 52 KiB in disk.");
    assert_has(run.out, "; disk: 4 KiB in itself, 4 KiB in disk.");
    assert_has(run.out, "\n3 files, ");
    run_inspect(&run, NULL, "layers", "--json", path_of("disk"), NULL);
    assert_has(run.out, "\"disk\": [\n");
    write_file(path_of("text"), "text", 4);
    assert_int_equal(symlink("disk", path_of("link")), 0);
    run_inspect(&run, NULL, "layers", path_of(""), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "; disk: 4 KiB in itself, 4 KiB in disk.");
    assert_has(run.out, "\n3 files, ");
    open_overlay();
    run_inspect(&run, NULL, "layers", path_of("."), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "; incomplete: ");
    assert_has(run.out, "/disk: a guest uses it");
    close_overlay();
    assert_int_equal(mkdir(path_of("old"), 0700), 0);
    assert_int_equal(rename(sealed(0), path_of("old/one")), 0);
    run_inspect(&run, NULL, "layers", path_of("disk"), NULL);
    assert_has(run.out, "; incomplete: ");
    run_inspect(&run, NULL, "layers", "--layers", path_of("old"), path_of("disk"), NULL);
    assert_has(run.out, "\n3 files, ");
    assert_int_equal(unlink(path_of("old/one")), 0);
    run_inspect(&run, NULL, "verify", "--layers", path_of("old"), path_of("disk"), NULL);
    assert_ended(&run, 2, "which is not in its folder, nor in that of layers; put it there");
    assert_int_equal(rmdir(path_of("old")), 0);
    run_inspect(&run, NULL, "verify", "--layers", path_of("old"), path_of("disk"), NULL);
    assert_int_equal(run.status, 9);
    assert_has(run.err, "/old: opening the folder: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chain_becomes_one_image_with_holes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sealed_one_becomes_what_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_input_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_image_is_compared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_fails_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_in_use_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_has_no_base, set_up, tear_down),
        cmocka_unit_test_setup_teardown(info_says_what_it_lies_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_has_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_reads_all_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_tree_says_who_owes_what, set_up, tear_down),
    };

    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    run_fini(&run);
    return rc;
}
