/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A process that was started without standard input gets 0 for a file that it opens. Each open of
 * each deed here gets it once: all goes as usual, and whatever was opened is closed.
 */
#include "stasis/overlay.h"
#include "tests/state-ser/snap/output_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOT "\x89STASIS\nand more"

static struct {
    unsigned at;   /* the open that gets 0 */
    unsigned seen; /* opens so far */
} zero;

int __real_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode)
{
    if (zero.seen++ == zero.at)
        close(STDIN_FILENO);
    return __real_stasis_io_open(dir, path, flags, mode);
}

/* Does it once for each open in it, and cleans up behind it. */
static void do_with_each(void (*deed)(void), void (*clean_up)(void))
{
    unsigned before = open_files();
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);

    assert_true(saved >= 0);
    for (zero.at = 0, zero.seen = 1; zero.at < zero.seen; zero.at++) {
        zero.seen = 0;
        deed();
        assert_true(zero.at < zero.seen);
        assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1); /* it is closed again */
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        assert_int_equal(open_files(), before + 1);
        clean_up();
    }
    close(saved);
    zero.at = ~0u;
}

static void nothing(void)
{
}

/* ---- outputs ---- */

static void remove_out(void)
{
    unlink("out");
    unlink("link");
}

static void replace(const char *path)
{
    struct stasis_output *output = output_opened(NULL, path, STASIS_OUTPUT_REPLACED);

    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(stasis_output_put(output, "new", 3, 0, NULL), 0);
    assert_int_equal(stasis_output_commit(output, true, NULL), 0);
    stasis_output_close(output);
    output_assert_file("out", "new");
}

static void replace_none(void)
{
    replace("out");
}

static void replace_old(void)
{
    output_put_file("out", "old");
    replace("out");
}

static void replace_through_a_link(void)
{
    output_put_file("out", "old");
    assert_int_equal(symlink("out", "link"), 0);
    replace("link");
}

static void replace_through_a_dangling_link(void)
{
    assert_int_equal(symlink("out", "link"), 0);
    replace("link");
}

static void an_output_is_replaced(void **state)
{
    (void)state;
    do_with_each(replace_none, remove_out);
    do_with_each(replace_old, remove_out);
    do_with_each(replace_through_a_link, remove_out);
    do_with_each(replace_through_a_dangling_link, remove_out);
}

static enum stasis_output_kind kind;

static void write_to(const char *path)
{
    struct stasis_output *output = output_opened(NULL, path, kind);

    if (kind != STASIS_OUTPUT_PIPE)
        assert_int_equal(stasis_output_set(output, "new", 3, NULL), 0);
    stasis_output_keep(output);
    stasis_output_close(output);
    if (kind != STASIS_OUTPUT_PIPE)
        output_assert_file("out", "new");
}

static void write_new(void)
{
    write_to("out");
}

static void write_old(void)
{
    output_put_file("out", "long and old");
    write_to("out");
}

static void write_through_a_dangling_link(void)
{
    assert_int_equal(symlink("out", "link"), 0);
    write_to("link");
}

static void make_and_remove(void)
{
    stasis_output_close(output_opened(NULL, "out", kind));
    assert_int_equal(access("out", F_OK), -1);
}

static void an_output_is_written_to(void **state)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_IN_PLACE, STASIS_OUTPUT_ANY,
                                                    STASIS_OUTPUT_PIPE};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        kind = kinds[i];
        do_with_each(write_new, remove_out);
        do_with_each(make_and_remove, nothing);
        if (kind == STASIS_OUTPUT_PIPE)
            continue;
        do_with_each(write_old, remove_out);
        do_with_each(write_through_a_dangling_link, remove_out);
    }
}

static void refuse_snapshot(void)
{
    output_put_file("out", SNAPSHOT);
    output_refused(NULL, "out", kind, STASIS_ERR_ARG, "it is a snapshot");
    output_assert_file("out", SNAPSHOT);
}

static void a_snapshot_is_refused(void **state)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_REPLACED, STASIS_OUTPUT_IN_PLACE,
                                                    STASIS_OUTPUT_ANY};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        kind = kinds[i];
        do_with_each(refuse_snapshot, remove_out);
    }
}

static void make_temporary(void)
{
    struct stasis_output *output;

    assert_int_equal(stasis_output_open_temporary(&output, NULL), 0);
    assert_int_equal(stasis_output_put(output, "new", 3, 0, NULL), 0);
    stasis_output_close(output);
}

static void a_temporary_file_is_made(void **state)
{
    (void)state;
    do_with_each(make_temporary, nothing);
}

/* ---- inputs ---- */

static void refuse_input(void)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    int fd;

    output_put_file("out", "input");
    output_put_file("link", "input");
    assert_int_equal(stasis_outputs_open_input(outputs, "out", "the input", &fd, NULL), 0);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "link", "X", NULL), 0);
    output_refused(outputs, "out", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG,
                   "the same file as the input");
    output_refused(outputs, "link", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "the same file as X");
    close(fd);
    stasis_outputs_free(outputs);
}

static void save_and_open(void)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    struct built built;

    built_small(&built);
    if (stasis_snap_save(built.snap, "out", NULL, NULL, &err) ||
        stasis_snap_open("out", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    assert_same_ram(snap, &built, 1);
    stasis_snap_free(snap);
    built_fini(&built);
}

static void an_input_is_known(void **state)
{
    (void)state;
    do_with_each(refuse_input, remove_out);
}

static void a_snapshot_is_saved_and_opened(void **state)
{
    (void)state;
    do_with_each(save_and_open, remove_out);
}

/* ---- overlays ---- */

static bool read_disk(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx;
    (void)offset;
    memset(bytes, 1, len);
    return true;
}

static const struct stasis_overlay_base disk = {
    .size = sizeof(disk), .bytes = 65536, .read = read_disk};

static void open_overlay(void)
{
    struct stasis_overlay *overlay = NULL;

    assert_int_equal(stasis_overlay_open("disk", NULL, &disk, &overlay, NULL), 0);
    stasis_overlay_free(overlay);
}

static void look_at_overlay(void)
{
    const struct stasis_overlay_look look = {.size = sizeof(look)};
    struct stasis_overlay *overlay = NULL;

    assert_int_equal(stasis_overlay_open_to_read("disk", NULL, &look, &overlay, NULL), 0);
    assert_int_equal(stasis_overlay_about(overlay).files, 2);
    stasis_overlay_free(overlay);
}

/* One in use, on a sealed one. */
static void an_overlay_is_opened(void **state)
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    struct stasis_overlay *overlay = NULL;
    char sealed[32] = "disk.";
    bool has_root;

    (void)state;
    assert_int_equal(stasis_overlay_open("disk", NULL, &disk, &overlay, NULL), 0);
    assert_int_equal(stasis_overlay_write(overlay, 0, "new", 3, NULL), 0);
    assert_int_equal(stasis_overlay_seal(overlay, STASIS_OVERLAY_DIGESTS, root, &has_root, NULL),
                     0);
    stasis_overlay_free(overlay);
    do_with_each(open_overlay, nothing);
    do_with_each(look_at_overlay, nothing);
    for (size_t i = 0; i < 8; i++)
        snprintf(sealed + 5 + 2 * i, 3, "%02x", root[i]);
    assert_int_equal(unlink(sealed), 0);
    assert_int_equal(unlink("disk"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, output_setup, output_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_output_is_replaced), CASE(an_output_is_written_to),
        CASE(a_snapshot_is_refused), CASE(a_temporary_file_is_made),
        CASE(an_input_is_known),     CASE(a_snapshot_is_saved_and_opened),
        CASE(an_overlay_is_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
