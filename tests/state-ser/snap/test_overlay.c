/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Overlays: what is read is what was written, what is below stays; and which files are refused.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/overlay.h"

#define SEED 42u

static void begin(struct rig *rig)
{
    rig_init(rig, SEED);
    rig_open(rig);
}

static void assert_refused(struct rig *rig, enum stasis_err code, const char *words)
{
    struct stasis_error err = {.msg = "nothing"};

    assert_int_equal(rig_try_open(rig, &err), code);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say: %s", err.msg, words);
}

static void a_new_one_reads_as_its_base(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    rig_assert_holds(&rig, rig.base);
    assert_int_equal(stasis_overlay_stats(rig.overlay).mapped_bytes, 0);
    rig_fini(&rig);
}

static void what_was_flushed_is_there_when_it_is_opened_again(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    for (unsigned i = 0; i < 600; i++) { /* more than one log */
        assert_true(rig_step(&rig));
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
        if (i % 50 == 49) {
            rig_close(&rig);
            rig_open(&rig);
        }
        rig_assert_holds(&rig, rig.content);
    }
    rig_fini(&rig);
}

static void what_was_not_flushed_is_not(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    assert_true(rig_write(&rig, 512, 1024));
    rig_close(&rig);
    rig_open(&rig);
    rig_assert_holds(&rig, rig.base);
    rig_fini(&rig);
}

static void places_are_used_again(void **state)
{
    struct stasis_overlay_stats stats;
    struct rig rig;

    (void)state;
    begin(&rig);
    for (unsigned i = 0; i < 3000; i++) {
        assert_true(rig_write(&rig, i % 5 * 8 * RIG_PAGE, 8 * RIG_PAGE));
        if (i % 4 == 3)
            assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    }
    stats = stasis_overlay_stats(rig.overlay);
    /* Each page twice, two logs of 1 MiB, and slots. */
    assert_in_range(stats.file_bytes, 1, 2 * (RIG_BYTES + RIG_PAGE) + 2 * 260 * RIG_PAGE);
    assert_int_equal(stats.mapped_bytes, 40 * RIG_PAGE);
    rig_fini(&rig);
}

static void a_discard_takes_only_what_the_overlay_has(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    assert_true(rig_write(&rig, 4 * RIG_PAGE, 2 * RIG_PAGE));
    stasis_overlay_discard(rig.overlay, 512, RIG_BYTES - 512);
    memset(rig.content + 4 * RIG_PAGE, 0, 2 * RIG_PAGE);
    rig_assert_holds(&rig, rig.content);
    rig_fini(&rig);
}

static void a_flush_of_nothing_costs_no_sync(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    assert_true(rig_write(&rig, 0, RIG_PAGE));
    rig.syncs = 0;
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    assert_int_equal(rig.syncs, 1);
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    assert_int_equal(rig.syncs, 1);
    assert_int_equal(stasis_overlay_finish(rig.overlay, NULL), 0);
    assert_int_equal(rig.syncs, 2);
    assert_int_equal(stasis_overlay_finish(rig.overlay, NULL), 0);
    assert_int_equal(rig.syncs, 2);
    rig_fini(&rig);
}

/* ---- what is refused ---- */

static void one_that_is_in_use_is_refused(void **state)
{
    struct stasis_overlay *first;
    struct rig rig;

    (void)state;
    begin(&rig);
    first = rig.overlay;
    assert_refused(&rig, STASIS_ERR_ARG, "it is in use by another program, or as another disk");
    rig.overlay = first;
    rig_fini(&rig);
}

static void another_base_is_refused(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    rig_close(&rig);
    rig.opts.bytes -= 512;
    assert_refused(&rig, STASIS_ERR_ARG, "the overlay was made on a disk of");
    rig.opts.bytes = RIG_BYTES - 4096;
    assert_refused(&rig, STASIS_ERR_ARG, "the overlay was made on a disk of");
    rig.opts.bytes = RIG_BYTES;
    rig.opts.inode++;
    assert_refused(&rig, STASIS_ERR_ARG, "its base is another file than the one");
    rig.opts.inode--;
    rig.opts.mtime_ns++;
    assert_refused(&rig, STASIS_ERR_ARG, "its base was written to since it was the one");
    rig.opts.mtime_ns--;
    rig.opts.samples[5] ^= 1;
    assert_refused(&rig, STASIS_ERR_ARG, "its base has another content than the one");
    rig.opts.may_differ = true;
    rig_open(&rig);
    rig_assert_holds(&rig, rig.base);
    rig_fini(&rig);
}

static void set_file(const struct rig *rig, const void *bytes, size_t len)
{
    int fd = open(rig->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

static void a_file_that_is_none_is_refused_and_stays(void **state)
{
    struct built built;
    struct image image, after;
    struct rig rig;

    (void)state;
    rig_init(&rig, SEED);
    set_file(&rig, rig.base, sizeof(rig.base));
    assert_refused(&rig, STASIS_ERR_ARG, "it is no overlay; name a file that is not there yet");
    after = image_read(rig.path);
    assert_int_equal(after.len, sizeof(rig.base));
    assert_memory_equal(after.bytes, rig.base, sizeof(rig.base));
    image_fini(&after);
    built_small(&built);
    image = image_of(&built);
    set_file(&rig, image.bytes, image.len);
    assert_refused(&rig, STASIS_ERR_ARG, "it is a snapshot of a guest, not a disk");
    built_fini(&built);
    image_fini(&image);
    rig_fini(&rig);
}

static void an_empty_file_becomes_one(void **state)
{
    static const uint8_t zeros[16384];
    struct rig rig;

    (void)state;
    rig_init(&rig, SEED);
    set_file(&rig, "", 0);
    rig_open(&rig);
    rig_assert_holds(&rig, rig.base);
    rig_close(&rig);
    set_file(&rig, zeros, sizeof(zeros)); /* as a power cut may leave one that was being made */
    rig_open(&rig);
    rig_assert_holds(&rig, rig.base);
    rig_fini(&rig);
}

static void bases_that_cannot_be_are_refused(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, SEED);
    rig.opts.bytes = 0;
    assert_refused(&rig, STASIS_ERR_ARG, "its base has 0 bytes; give a multiple of 512");
    rig.opts.bytes = STASIS_RAM_MAX + 512;
    assert_refused(&rig, STASIS_ERR_ARG, "its base has");
    rig.opts.size = 1;
    assert_refused(&rig, STASIS_ERR_ARG, "a base of 1 bytes");
    rig_fini(&rig);
}

/* ---- damage ---- */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

/* The file again, which has holes. */
static void put_back(const struct rig *rig, const struct image *image)
{
    int fd = open(rig->path, O_WRONLY, 0);

    assert_true(fd >= 0);
    for (size_t at = 0; at < image->len; at += RIG_PAGE)
        if (!is_zero(image->bytes + at, RIG_PAGE))
            assert_int_equal(pwrite(fd, image->bytes + at, RIG_PAGE, (off_t)at), RIG_PAGE);
    close(fd);
}

/* It is refused, or the page that is damaged cannot be read, or it was of no use any more. */
static void flipped_bits_are_noticed(void **state)
{
    static uint8_t found[RIG_BYTES];
    unsigned refused = 0, unread = 0, useless = 0;
    struct image image;
    struct rig rig;

    (void)state;
    begin(&rig);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(rig_write(&rig, i * 7 * RIG_PAGE, 2 * RIG_PAGE));
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    }
    assert_int_equal(stasis_overlay_finish(rig.overlay, NULL), 0);
    rig_close(&rig);
    image = image_read(rig.path);
    for (size_t at = 0; at < image.len; at += 41) {
        if (is_zero(image.bytes + at / RIG_PAGE * RIG_PAGE, RIG_PAGE))
            continue;
        image.bytes[at] ^= (uint8_t)(1u << at % 8);
        put_back(&rig, &image);
        image.bytes[at] ^= (uint8_t)(1u << at % 8);
        if (rig_try_open(&rig, NULL)) {
            refused++;
        } else if (stasis_overlay_read(rig.overlay, 0, found, RIG_BYTES, NULL)) {
            unread++;
        } else {
            assert_memory_equal(found, rig.content, RIG_BYTES);
            useless++;
        }
        rig_close(&rig);
        put_back(&rig, &image);
    }
    printf("%u refused, %u not read, %u without an effect\n", refused, unread, useless);
    assert_true(refused > 20 && unread > 500 && useless > 100);
    image_fini(&image);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_reads_as_its_base),
        cmocka_unit_test(what_was_flushed_is_there_when_it_is_opened_again),
        cmocka_unit_test(what_was_not_flushed_is_not),
        cmocka_unit_test(places_are_used_again),
        cmocka_unit_test(a_discard_takes_only_what_the_overlay_has),
        cmocka_unit_test(a_flush_of_nothing_costs_no_sync),
        cmocka_unit_test(one_that_is_in_use_is_refused),
        cmocka_unit_test(another_base_is_refused),
        cmocka_unit_test(a_file_that_is_none_is_refused_and_stays),
        cmocka_unit_test(an_empty_file_becomes_one),
        cmocka_unit_test(bases_that_cannot_be_are_refused),
        cmocka_unit_test(flipped_bits_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
