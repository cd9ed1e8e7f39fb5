/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Each function of an overlay that takes a range, with ranges that begin and end at, before and
 * behind pages; and what a chain of files has of each.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/le.h"
#include "state-ser/snap/overlay.h"

#define LEAF STASIS_LEAF_PAGES

static struct rig rig;

/* The last ones end with the disk, of which the last page is short. */
static const struct {
    uint64_t offset;
    size_t len;
} ranges[] = {
    {0, RIG_PAGE},
    {0, RIG_PAGE - 1},
    {0, RIG_PAGE + 1},
    {1, RIG_PAGE},
    {RIG_PAGE - 1, 1},
    {RIG_PAGE - 1, 2},
    {RIG_PAGE - 1, RIG_PAGE + 1},
    {RIG_PAGE - 1, RIG_PAGE + 2},
    {5 * RIG_PAGE, 3 * RIG_PAGE},
    {5 * RIG_PAGE + 1, 3 * RIG_PAGE},
    {5 * RIG_PAGE - 1, 3 * RIG_PAGE},
    {7, 0},
    {RIG_BYTES - 1, 1},
    {RIG_BYTES - RIG_PAGE, RIG_PAGE},
    {(RIG_PAGES - 1) * RIG_PAGE, RIG_BYTES - (RIG_PAGES - 1) * RIG_PAGE},
    {(RIG_PAGES - 2) * RIG_PAGE, RIG_BYTES - (RIG_PAGES - 2) * RIG_PAGE},
    {0, RIG_BYTES},
};
#define RANGES (sizeof(ranges) / sizeof(ranges[0]))

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig, 11);
    rig.is_plain = true;
    rig_open(&rig);
    return 0;
}

static void write_all(void)
{
    for (uint64_t at = 0; at < RIG_BYTES; at += 8 * RIG_PAGE)
        assert_true(
            rig_write(&rig, at, RIG_BYTES - at < 8 * RIG_PAGE ? RIG_BYTES - at : 8 * RIG_PAGE));
}

static int tear_down(void **state)
{
    (void)state;
    rig_unlink_all(&rig);
    rig_fini(&rig);
    return 0;
}

/* Of a page or more; in between it is as the base again. */
static void each_is_written_and_read(void **state)
{
    static uint8_t bytes[RIG_BYTES], found[RIG_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < RANGES; i++) {
        fill_random(bytes, sizeof(bytes), (uint32_t)i + 1);
        assert_int_equal(
            stasis_overlay_write(rig.overlay, ranges[i].offset, bytes, ranges[i].len, NULL), 0);
        memcpy(rig.content + ranges[i].offset, bytes, ranges[i].len);
        rig_assert_holds(&rig, rig.content);
        for (size_t k = 0; k < RANGES; k++) {
            found[ranges[k].len] = 0x5a;
            assert_int_equal(
                stasis_overlay_read(rig.overlay, ranges[k].offset, found, ranges[k].len, NULL), 0);
            assert_memory_equal(found, rig.content + ranges[k].offset, ranges[k].len);
            assert_int_equal(found[ranges[k].len], 0x5a);
        }
    }
}

static void each_becomes_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < RANGES; i++) {
        if (i % 2) /* on pages of the base, too */
            write_all();
        assert_int_equal(stasis_overlay_zero(rig.overlay, ranges[i].offset, ranges[i].len, NULL),
                         0);
        memset(rig.content + ranges[i].offset, 0, ranges[i].len);
        rig_assert_holds(&rig, rig.content);
    }
}

/* Pages that are all in the range, and that the overlay has: these become zero. */
static void of_each_whole_pages_are_discarded(void **state)
{
    (void)state;
    for (size_t i = 0; i < RANGES; i++) {
        uint64_t first = (ranges[i].offset + RIG_PAGE - 1) / RIG_PAGE;
        uint64_t end = (ranges[i].offset + ranges[i].len) / RIG_PAGE;

        rig_close(&rig); /* what is not flushed is gone */
        rig_open(&rig);
        stasis_overlay_discard(rig.overlay, ranges[i].offset, ranges[i].len);
        rig_assert_holds(&rig, rig.base);
        write_all();
        stasis_overlay_discard(rig.overlay, ranges[i].offset, ranges[i].len);
        for (uint64_t page = first; page < end; page++)
            memset(rig.content + page * RIG_PAGE, 0, RIG_PAGE);
        rig_assert_holds(&rig, rig.content);
        assert_int_equal(stasis_overlay_stats(rig.overlay).mapped_bytes, RIG_PAGES * RIG_PAGE);
    }
}

/* docs/snapshot-format.md: the first has number 1. */
static void commits_are_numbered(void **state)
{
    struct image image;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(stasis_overlay_stats(rig.overlay).commits, 1 + i);
        assert_true(rig_write(&rig, 0, RIG_PAGE));
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    }
    image = image_read(rig.path);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(stasis_le64_get(image.bytes + (STASIS_PLACE_FIRST + i) * RIG_PAGE +
                                         STASIS_COMMIT_NUMBER),
                         1 + i);
    image_fini(&image);
}

/* The kernel lost what it could not write: no later flush says that it is on the disk. */
static void what_is_lost_after_a_sync_that_failed_is_told(void **state)
{
    unsigned lost = 0;

    (void)state;
    for (uint32_t seed = 1; seed <= 12; seed++) {
        struct rig own;

        rig_init(&own, seed);
        rig_open(&own);
        assert_true(rig_write(&own, 0, 8 * RIG_PAGE));
        own.sync_to_fail = 1;
        assert_int_equal(stasis_overlay_flush(own.overlay, NULL), STASIS_ERR_WRITE);
        rig_evict(&own);
        if (stasis_overlay_flush(own.overlay, NULL))
            lost++;
        else
            rig_assert_holds(&own, own.content);
        rig_fini(&own);
    }
    assert_in_range(lost, 1, 12);
}

/* Another overlay's header, as the last bytes of the file. */
static void a_guest_may_write_what_looks_like_an_end(void **state)
{
    const uint64_t at = 2 * RIG_PAGE - STASIS_HEADER_LEN;
    struct stasis_overlay *other = NULL;
    struct image image;
    char path[160];

    (void)state;
    snprintf(path, sizeof(path), "%s/other", rig.folder);
    assert_int_equal(stasis_overlay_open(path, NULL, &rig.opts, &other, NULL), 0);
    stasis_overlay_free(other);
    image = image_read(path);
    assert_int_equal(stasis_overlay_write(rig.overlay, at, image.bytes, STASIS_HEADER_LEN, NULL),
                     0);
    memcpy(rig.content + at, image.bytes, STASIS_HEADER_LEN);
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    image_fini(&image);
    rig_close(&rig);
    image = image_read(rig.path);
    assert_memory_equal(image.bytes + image.len - STASIS_HEADER_LEN, rig.content + at,
                        STASIS_HEADER_LEN);
    image_fini(&image);
    rig_open(&rig);
    rig_assert_holds(&rig, rig.content);
    assert_false(stasis_overlay_stats(rig.overlay).has_root); /* it was not sealed */
}

/* ---- a chain ---- */

static bool read_base(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx;
    (void)offset;
    memset(bytes, 0x11, len);
    return true;
}

static const struct stasis_overlay_base large = {
    .size = sizeof(large), .bytes = 3 * LEAF * RIG_PAGE, .read = read_base};

static void write_pages(struct stasis_overlay *overlay, unsigned first, unsigned count)
{
    static uint8_t bytes[4 * RIG_PAGE];

    memset(bytes, 0x22, sizeof(bytes));
    assert_int_equal(stasis_overlay_write(overlay, (uint64_t)first * RIG_PAGE, bytes,
                                          (size_t)count * RIG_PAGE, NULL),
                     0);
}

static void zero_pages(struct stasis_overlay *overlay, uint64_t first, uint64_t count)
{
    assert_int_equal(stasis_overlay_zero(overlay, first * RIG_PAGE, count * RIG_PAGE, NULL), 0);
}

static void seal(struct stasis_overlay *overlay, char name[160])
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    bool has_root;
    int len = snprintf(name, 160, "%s.", rig.path);

    assert_int_equal(stasis_overlay_seal(overlay, 0, root, &has_root, NULL), 0);
    for (unsigned i = 0; i < 8; i++)
        len += snprintf(name + len, 3, "%02x", root[i]);
}

/* Three files, the third in use: the first one zeroes all of the second leaf, and a page, chunks
 * and pages behind them in the first leaf. */
static void make_chain(char names[3][160])
{
    struct stasis_overlay *overlay = NULL;

    rig_close(&rig);
    rig_unlink_all(&rig);
    snprintf(names[2], 160, "%s", rig.path);
    assert_int_equal(stasis_overlay_open(rig.path, NULL, &large, &overlay, NULL), 0);
    write_pages(overlay, 0, 4);
    zero_pages(overlay, LEAF, LEAF);
    zero_pages(overlay, 7, 1);
    zero_pages(overlay, 32, 40);
    seal(overlay, names[0]);
    write_pages(overlay, 3, 1);
    write_pages(overlay, 2 * LEAF, 2);
    seal(overlay, names[1]);
    write_pages(overlay, 2 * LEAF + 1, 1);
    zero_pages(overlay, 2 * LEAF + 9, 2);
    assert_int_equal(stasis_overlay_finish(overlay, NULL), 0);
    stasis_overlay_free(overlay);
}

static void expect_file(const struct stasis_overlay *overlay, uint32_t index, const char *name,
                        uint64_t pages, uint64_t zeros)
{
    struct stasis_overlay_file file = stasis_overlay_file_at(overlay, index);

    assert_string_equal(file.name, name);
    assert_int_equal(file.pages, pages);
    assert_int_equal(file.zeros, zeros);
    assert_int_equal(file.info->ram_bytes, large.bytes);
}

static void each_file_has_its_name_and_its_pages(void **state)
{
    const struct stasis_overlay_look look = {.size = sizeof(look), .base = &large};
    struct stasis_overlay *overlay = NULL;
    char names[3][160];

    (void)state;
    make_chain(names);
    assert_int_equal(stasis_overlay_open_to_read(names[2], NULL, &look, &overlay, NULL), 0);
    assert_int_equal(stasis_overlay_about(overlay).files, 3);
    expect_file(overlay, 0, names[2], 1, 2);
    expect_file(overlay, 1, names[1], 2, 0);
    expect_file(overlay, 2, names[0], 3, LEAF + 41);
    stasis_overlay_free(overlay);
    assert_int_equal(stasis_overlay_open_to_read(names[1], NULL, &look, &overlay, NULL), 0);
    assert_int_equal(stasis_overlay_about(overlay).files, 2);
    expect_file(overlay, 0, names[1], 3, 0);
    expect_file(overlay, 1, names[0], 3, LEAF + 41);
    stasis_overlay_free(overlay);
}

/* From any byte of the disk on, whose size the first file says. */
static void stored_pages_are_found(void **state)
{
    static const uint64_t stored[] = {0, 1, 2, 3, 2 * LEAF, 2 * LEAF + 1, 3 * LEAF};
    const struct stasis_overlay_look look = {.size = sizeof(look)};
    struct stasis_overlay *overlay = NULL;
    char names[3][160];

    (void)state;
    make_chain(names);
    assert_int_equal(stasis_overlay_open_to_read(names[2], NULL, &look, &overlay, NULL), 0);
    for (size_t i = 0; i < 7; i++) {
        uint64_t at = stored[i] * RIG_PAGE;

        assert_int_equal(stasis_overlay_next(overlay, at), at);
        if (i < 6)
            assert_int_equal(stasis_overlay_next(overlay, at + 1), stored[i + 1] * RIG_PAGE);
    }
    stasis_overlay_free(overlay);
}

static void a_file_that_is_missing_is_named_by_its_root(void **state)
{
    const struct stasis_overlay_look look = {.size = sizeof(look)};
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;
    char names[3][160], words[64];

    (void)state;
    make_chain(names);
    snprintf(words, sizeof(words), "whose root begins with %s, which is not in its folder",
             strrchr(names[1], '.') + 1);
    assert_int_equal(unlink(names[1]), 0);
    assert_int_equal(stasis_overlay_open_to_read(names[2], NULL, &look, &overlay, &err),
                     STASIS_ERR_NOT_FOUND);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say: %s", err.msg, words);
}

/* Other names of the same file are no reason to look into each: the one that sealing gave it comes
 * first, wherever it stands in the folder. */
static void a_file_is_sought_by_its_name_first(void **state)
{
    const struct stasis_overlay_look look = {.size = sizeof(look), .base = &large};
    struct stasis_overlay *overlay = NULL;
    char names[3][160], other[200];

    (void)state;
    make_chain(names);
    for (unsigned i = 0; i < 32; i++) {
        snprintf(other, sizeof(other), "%s.another-name-%u", rig.path, i);
        assert_int_equal(link(names[1], other), 0);
        if (i != 16)
            continue;
        snprintf(other, sizeof(other), "%s.aside", rig.path); /* no longer the oldest */
        assert_int_equal(rename(names[1], other), 0);
        assert_int_equal(link(other, names[1]), 0);
    }
    assert_int_equal(stasis_overlay_open_to_read(names[2], NULL, &look, &overlay, NULL), 0);
    assert_string_equal(stasis_overlay_file_at(overlay, 1).name, names[1]);
    stasis_overlay_free(overlay);
}

static void files_are_sought_in_another_folder_too(void **state)
{
    struct stasis_overlay_look look = {.size = sizeof(look), .base = &large};
    struct stasis_overlay *overlay = NULL;
    char names[3][160], layers[80], moved[200];

    (void)state;
    make_chain(names);
    snprintf(layers, sizeof(layers), "%s/layers", rig.folder);
    snprintf(moved, sizeof(moved), "%s%s", layers, strrchr(names[1], '/'));
    assert_int_equal(mkdir(layers, 0700), 0);
    assert_int_equal(rename(names[1], moved), 0);
    assert_int_equal(stasis_overlay_open_to_read(names[2], NULL, &look, &overlay, NULL),
                     STASIS_ERR_NOT_FOUND);
    look.layers = layers;
    assert_int_equal(stasis_overlay_open_to_read(names[2], NULL, &look, &overlay, NULL), 0);
    expect_file(overlay, 1, moved, 2, 0);
    expect_file(overlay, 2, names[0], 3, LEAF + 41);
    stasis_overlay_free(overlay);
    assert_int_equal(unlink(moved), 0);
    assert_int_equal(rmdir(layers), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_is_written_and_read),
        CASE(each_becomes_zero),
        CASE(of_each_whole_pages_are_discarded),
        CASE(commits_are_numbered),
        cmocka_unit_test(what_is_lost_after_a_sync_that_failed_is_told),
        CASE(a_guest_may_write_what_looks_like_an_end),
        CASE(each_file_has_its_name_and_its_pages),
        CASE(stored_pages_are_found),
        CASE(a_file_that_is_missing_is_named_by_its_root),
        CASE(a_file_is_sought_by_its_name_first),
        CASE(files_are_sought_in_another_folder_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
