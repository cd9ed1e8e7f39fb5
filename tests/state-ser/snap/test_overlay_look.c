/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Overlays that are only read: they have what they were written, wherever sealing was cut off, no
 * flipped bit is missed, and nothing of them changes.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/io.h"
#include "state-ser/snap/overlay.h"

static struct rig rig;
static unsigned how; /* it is sealed */
static uint8_t root[STASIS_OVERLAY_ROOT_SIZE];

static int set_up(void **state)
{
    (void)state;
    rig_begin_plain(&rig, 4711);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig.left = 0;
    rig_unlink_all(&rig);
    rig_fini(&rig);
    return 0;
}

static void seal(char path[RIG_SEALED_PATH])
{
    rig_seal(&rig, how, root);
    rig_sealed_path(&rig, root, path);
}

static int look_at(const char *path, struct stasis_overlay **ret_overlay, struct stasis_error *err)
{
    const struct stasis_overlay_look look = {.size = sizeof(look), .base = &rig.opts};

    return stasis_overlay_open_to_read(path, NULL, &look, ret_overlay, err);
}

static void assert_looks(const char *path, const uint8_t *bytes)
{
    static uint8_t found[RIG_BYTES];
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;

    if (look_at(path, &overlay, &err) ||
        stasis_overlay_read(overlay, 0, found, sizeof(found), &err))
        fail_msg("%s", err.msg);
    assert_memory_equal(found, bytes, sizeof(found));
    stasis_overlay_free(overlay);
}

static void assert_refused(const char *path, int rc, const char *words)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err = {.msg = "nothing"};

    assert_int_equal(look_at(path, &overlay, &err), rc);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say: %s", err.msg, words);
}

/* After each of the calls that sealing makes. */
static void sealing_may_be_cut_off_anywhere(void **state)
{
    unsigned calls = 0;
    bool has_root, was_cut_off = false, done = false;
    struct stasis_overlay *overlay = NULL;
    uint8_t found[STASIS_OVERLAY_ROOT_SIZE];

    for (; !done; calls++) {
        tear_down(state);
        set_up(state);
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
        rig.left = calls + 2;
        done = !stasis_overlay_seal(rig.overlay, how, found, &has_root, NULL);
        rig_close(&rig);
        rig.left = 0;
        assert_looks(rig.path, rig.content);
        assert_int_equal(look_at(rig.path, &overlay, NULL), 0);
        was_cut_off = was_cut_off || stasis_overlay_about(overlay).was_cut_off;
        stasis_overlay_free(overlay);
        rig_open(&rig);
        rig_assert_holds(&rig, rig.content);
        rig_close(&rig);
        assert_looks(rig.path, rig.content);
    }
    assert_true(was_cut_off);
    assert_in_range(calls, 12, 60);
}

static void it_is_what_was_flushed(void **state)
{
    uint8_t flushed[RIG_BYTES];
    struct stasis_overlay *overlay = NULL;
    struct stasis_overlay_file file;
    struct image before, after;

    (void)state;
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    memcpy(flushed, rig.content, sizeof(flushed));
    assert_true(rig_write(&rig, 0, 8 * RIG_PAGE));
    rig_close(&rig);
    before = image_read(rig.path);
    assert_looks(rig.path, flushed);
    after = image_read(rig.path);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.bytes, before.bytes, before.len);
    image_fini(&before);
    image_fini(&after);
    assert_int_equal(look_at(rig.path, &overlay, NULL), 0);
    assert_false(stasis_overlay_about(overlay).has_ended);
    assert_true(stasis_overlay_about(overlay).lies_on_image);
    assert_int_equal(stasis_overlay_about(overlay).inode, 17);
    assert_memory_equal(stasis_overlay_about(overlay).samples, rig.opts.samples, 32);
    file = stasis_overlay_file_at(overlay, 0);
    assert_string_equal(file.name, rig.path);
    assert_in_range(file.pages, 1, RIG_PAGES);
    stasis_overlay_free(overlay);
}

/* ---- a guest that ends while it is opened ---- */

int __real_stasis_io_lock_shared(int fd);
int __wrap_stasis_io_lock_shared(int fd);

static void (*before_lock)(void); /* what the guest does last, or NULL */

int __wrap_stasis_io_lock_shared(int fd)
{
    if (before_lock) {
        before_lock();
        rig_close(&rig);
    }
    return __real_stasis_io_lock_shared(fd);
}

static void write_more(void)
{
    for (unsigned page = 0; page < 40; page += 8)
        assert_true(rig_write(&rig, page * RIG_PAGE, 8 * RIG_PAGE));
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
}

static void seal_it(void)
{
    char path[160];

    seal(path);
}

static void a_guest_that_ends_just_then_may_have_written_or_sealed(void **state)
{
    static void (*const last[])(void) = {write_more, seal_it};

    for (unsigned i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
        before_lock = last[i];
        assert_looks(rig.path, rig.content);
        before_lock = NULL;
        tear_down(state);
        set_up(state);
    }
}

/* Only the lowest file says which image it is, whichever is read last. */
static void one_on_a_sealed_one_tells_of_the_image(void **state)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_overlay_about about;
    char path[160];

    (void)state;
    seal(path);
    assert_true(rig_write(&rig, 0, RIG_PAGE));
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    rig_close(&rig);
    assert_int_equal(look_at(rig.path, &overlay, NULL), 0);
    about = stasis_overlay_about(overlay);
    assert_false(about.is_sealed);
    assert_int_equal(about.files, 2);
    assert_true(about.lies_on_image);
    assert_int_equal(about.inode, 17);
    assert_true(about.has_samples);
    assert_memory_equal(about.samples, rig.opts.samples, 32);
    stasis_overlay_free(overlay);
}

/* ---- damage ---- */

static bool is_missed(const char *path)
{
    struct stasis_overlay *overlay = NULL;
    uint64_t stray;
    int rc = look_at(path, &overlay, NULL);

    if (!rc)
        rc = stasis_overlay_verify(overlay, NULL, NULL, &stray, NULL);
    stasis_overlay_free(overlay);
    return !rc;
}

static void no_flipped_bit_is_missed(void **state)
{
    struct image image;
    char path[160];
    unsigned flips = 0;
    int fd;

    (void)state;
    seal(path);
    rig_close(&rig);
    image = image_read(path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < image.len; i++) {
        bool is_page = i >= STASIS_HEADER_LEN && i + 3 * STASIS_HEADER_LEN < image.len;
        uint8_t flipped = image.bytes[i] ^ (uint8_t)(1u << i % 8);

        if (is_page && (!image.bytes[i] || i % 29))
            continue; /* zero: mostly what is not used */
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
        if (is_missed(path))
            fail_msg("offset %zu", i);
        assert_int_equal(pwrite(fd, &image.bytes[i], 1, (off_t)i), 1);
        flips++;
    }
    assert_false(!is_missed(path));
    assert_in_range(flips, 4000, 20000);
    close(fd);
    image_fini(&image);
}

/* Places that nothing has, as those of the slots are, hold zeros. The first other byte is told. */
static void what_belongs_to_nothing_is_found(void **state)
{
    static const uint64_t at[] = {RIG_PAGE, RIG_PAGE + 1234, 3 * RIG_PAGE - 1};
    struct stasis_overlay *overlay = NULL;
    uint64_t stray = 1;
    char path[160];
    int fd;

    (void)state;
    for (unsigned i = 0; i < 600; i++) { /* until there was another log before */
        assert_true(rig_write(&rig, i % RIG_PAGES * RIG_PAGE, 512));
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    }
    seal(path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(look_at(path, &overlay, NULL), 0);
    assert_int_equal(stasis_overlay_verify(overlay, NULL, NULL, &stray, NULL), 0);
    assert_int_equal(stray, 0);
    for (unsigned i = 3; i-- > 0;) {
        assert_int_equal(pwrite(fd, "x", 1, (off_t)at[i]), 1);
        assert_int_equal(stasis_overlay_verify(overlay, NULL, NULL, &stray, NULL), 0);
        assert_int_equal(stray, at[i]);
    }
    stasis_overlay_free(overlay);
    close(fd);
}

static void put_le64(const char *path, off_t at, uint64_t value)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t header[STASIS_HEADER_LEN];

    assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
    for (unsigned i = 0; i < 8; i++)
        header[at + i] = (uint8_t)(value >> 8 * i);
    memset(header + STASIS_HDR_CRC, 0, 4);
    for (unsigned i = 0, crc = stasis_overlay_crc(header, sizeof(header), STASIS_HDR_CRC); i < 4;
         i++)
        header[STASIS_HDR_CRC + i] = (uint8_t)(crc >> 8 * i);
    assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
    close(fd);
}

/* Whoever waits to write into it would be let in, and what it wrote would be lost. */
static void a_fifo_is_not_opened(void **state)
{
    int events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    char path[160], event[256];

    (void)state;
    snprintf(path, sizeof(path), "%s/fifo", rig.folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(inotify_add_watch(events, path, IN_OPEN) >= 0);
    assert_false(stasis_overlay_is_at(path));
    assert_int_equal(read(events, event, sizeof(event)), -1);
    assert_int_equal(errno, EAGAIN);
    close(events);
    unlink(path);
}

static void what_is_none_is_refused(void **state)
{
    struct stasis_overlay_look look = {.size = 1};
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;
    char path[160];

    (void)state;
    assert_int_equal(stasis_overlay_open_to_read(rig.path, NULL, &look, &overlay, &err),
                     STASIS_ERR_ARG);
    assert_false(stasis_overlay_is_at(rig.folder));
    assert_true(stasis_overlay_is_at(rig.path));
    assert_refused(rig.path, STASIS_ERR_ARG, ": a guest uses it");
    assert_refused(rig.folder, STASIS_ERR_ARG, ": it is no regular file");
    rig_close(&rig);
    put_le64(rig.path, STASIS_HDR_RAM_BYTES, RIG_PAGES * RIG_PAGE + 512);
    assert_refused(rig.path, STASIS_ERR_CORRUPT, ": the overlay's disk has no whole pages");
    put_le64(rig.path, STASIS_HDR_RAM_BYTES, (RIG_PAGES + 1) * RIG_PAGE);
    assert_refused(rig.path, STASIS_ERR_ARG,
                   " made on a disk of 188416 bytes, and its base has 182784;");
    look.size = sizeof(look);
    assert_int_equal(stasis_overlay_open_to_read(rig.path, NULL, &look, &overlay, &err),
                     STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "disagree about the size of the disk"));
    put_le64(rig.path, STASIS_HDR_RAM_BYTES, RIG_PAGES * RIG_PAGE);
    assert_int_equal(truncate(rig.path, RIG_PAGE), 0);
    assert_refused(rig.path, STASIS_ERR_CORRUPT, ": the overlay has neither a log nor an end");
    snprintf(path, sizeof(path), "%s/none", rig.folder);
    assert_refused(path, STASIS_ERR_NOT_FOUND, "/none: ");
}

static bool give_up(void *ctx, uint64_t done, uint64_t total)
{
    unsigned *calls = ctx;

    assert_in_range(done, 1, total);
    return ++*calls < 2;
}

static void verifying_is_given_up(void **state)
{
    struct stasis_overlay *overlay = NULL;
    unsigned calls = 0;
    uint64_t stray;
    char path[160];

    (void)state;
    seal(path);
    assert_int_equal(look_at(path, &overlay, NULL), 0);
    assert_int_equal(stasis_overlay_verify(overlay, give_up, &calls, &stray, NULL),
                     STASIS_ERR_CANCELLED);
    assert_int_equal(calls, 2);
    stasis_overlay_free(overlay);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_is_what_was_flushed),
        CASE(sealing_may_be_cut_off_anywhere),
        CASE(no_flipped_bit_is_missed),
        CASE(what_belongs_to_nothing_is_found),
        CASE(a_fifo_is_not_opened),
        CASE(what_is_none_is_refused),
        CASE(verifying_is_given_up),
        CASE(one_on_a_sealed_one_tells_of_the_image),
        CASE(a_guest_that_ends_just_then_may_have_written_or_sealed),
    };

    int failed = cmocka_run_group_tests_name("without digests", tests, NULL, NULL);

    how = STASIS_OVERLAY_DIGESTS;
    return failed + cmocka_run_group_tests_name("with digests", tests, NULL, NULL);
}
