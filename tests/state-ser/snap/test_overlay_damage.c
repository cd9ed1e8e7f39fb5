/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Overlays that somebody made on purpose, with checksums that are right, are refused.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/le.h"
#include "state-ser/snap/overlay.h"

/* Of a new overlay whose first flushes have a page each. */
#define SLOT(n)   ((1 + (n)) * RIG_PAGE)
#define COMMIT(n) ((3 + (n)) * RIG_PAGE)
#define ENTRY(n)  (COMMIT(n) + STASIS_COMMIT_HEAD_LEN)

static struct rig rig;
static struct image image;

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig, 7);
    rig_open(&rig);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(rig_write(&rig, (uint64_t)i * RIG_PAGE, RIG_PAGE));
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    }
    assert_int_equal(stasis_overlay_finish(rig.overlay, NULL), 0);
    rig_close(&rig);
    image = image_read(rig.path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    image_fini(&image);
    rig_fini(&rig);
    return 0;
}

static void write_image(void)
{
    int fd = open(rig.path, O_WRONLY | O_TRUNC, 0);

    assert_int_equal(write(fd, image.bytes, image.len), image.len);
    close(fd);
}

static void assert_refused(enum stasis_err code, const char *words)
{
    struct stasis_error err = {.msg = "nothing"};

    write_image();
    assert_int_equal(rig_try_open(&rig, &err), code);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say: %s", err.msg, words);
}

static uint8_t *at(size_t offset)
{
    return image.bytes + offset;
}

static void fix_slots(void)
{
    for (unsigned i = 0; i < 2; i++)
        stasis_le32_put(at(SLOT(i) + STASIS_SLOT_CRC),
                        stasis_overlay_crc(at(SLOT(i)), STASIS_SLOT_LEN, STASIS_SLOT_CRC));
}

static void fix_commit(unsigned n)
{
    const uint8_t *commit = at(COMMIT(n));
    uint64_t len = stasis_commit_len(stasis_le32_get(commit + STASIS_COMMIT_ENTRIES),
                                     stasis_le32_get(commit + STASIS_COMMIT_STATE_LEN));

    stasis_le32_put(at(COMMIT(n) + STASIS_COMMIT_CRC),
                    stasis_overlay_crc(commit, (size_t)len, STASIS_COMMIT_CRC));
}

/* ---- slots ---- */

#define PAGES(n) (UINT64_C(4096) * (n))

static void refuse_slots(uint64_t offset, uint64_t len, const char *words)
{
    for (unsigned slot = 0; slot < 2; slot++) {
        stasis_le64_put(at(SLOT(slot) + STASIS_SLOT_OFFSET), offset);
        stasis_le64_put(at(SLOT(slot) + STASIS_SLOT_LENGTH), len);
    }
    fix_slots();
    assert_refused(STASIS_ERR_CORRUPT, words);
}

/* Places are numbers of 32 bits; the first three are not those of a log. */
static void slots_that_lead_nowhere_are_refused(void **state)
{
    static const uint64_t values[][2] = {
        {4097, 4096},
        {4096, 4096},
        {8192, 4096},
        {12288, 0},
        {12288, 4095},
        {12288, PAGES(UINT32_MAX - UINT64_C(2))},
        {PAGES(UINT32_MAX), 4096},
        {PAGES(UINT32_MAX + UINT64_C(1)), 4096},
        {UINT64_MAX - 4095, 8192},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        refuse_slots(values[i][0], values[i][1], "a slot leads out of the file at offset 0x1000");
    refuse_slots(12288, PAGES(UINT32_MAX - UINT64_C(3)), "its log is longer than a log is");
    refuse_slots(PAGES(UINT32_MAX - UINT64_C(1)), 4096, "its log does not begin with a whole");
}

static void a_log_without_bounds_is_refused(void **state)
{
    (void)state;
    for (unsigned slot = 0; slot < 2; slot++)
        stasis_le64_put(at(SLOT(slot) + STASIS_SLOT_LENGTH), UINT64_C(1) << 40);
    fix_slots();
    assert_refused(STASIS_ERR_CORRUPT, "its log is longer than a log is at offset 0x3000");
}

static void without_slots_nothing_is_left(void **state)
{
    (void)state;
    memset(at(SLOT(0)), 0, 2 * RIG_PAGE);
    assert_refused(STASIS_ERR_ARG, "the overlay is sealed, or nothing is left of it; name a file");
}

static void one_slot_is_enough(void **state)
{
    (void)state;
    for (unsigned slot = 0; slot < 2; slot++) {
        image.bytes[SLOT(slot) + 20] ^= 4;
        write_image();
        image.bytes[SLOT(slot) + 20] ^= 4;
        rig_open(&rig);
        rig_assert_holds(&rig, rig.content);
        rig_close(&rig);
    }
}

/* ---- commits ---- */

static void a_log_without_a_first_commit_is_refused(void **state)
{
    (void)state;
    image.bytes[COMMIT(0)] ^= 1;
    assert_refused(STASIS_ERR_CORRUPT, "its log does not begin with a whole commit");
}

static void a_commit_that_is_damaged_before_others_is_refused(void **state)
{
    (void)state;
    image.bytes[ENTRY(2)] ^= 1;
    assert_refused(STASIS_ERR_CORRUPT, "a commit is not what was written at offset 0x5000");
}

/* What a power cut leaves; the two before it and that behind it have to be there, too. */
static void the_last_commit_may_be_there_in_part(void **state)
{
    static uint8_t before[RIG_BYTES];

    (void)state;
    memcpy(before, rig.content, RIG_BYTES);
    memcpy(before + 2 * RIG_PAGE, rig.base + 2 * RIG_PAGE, RIG_PAGE);
    memset(at(COMMIT(4)), 0, RIG_PAGE); /* that of the end */
    image.bytes[(stasis_le32_get(at(ENTRY(3) + 4))) * (size_t)RIG_PAGE + 5] ^= 1;
    write_image();
    rig_open(&rig);
    rig_assert_holds(&rig, before);
    rig_close(&rig);
    image_fini(&image);
    image = image_read(rig.path);
    assert_int_equal(*at(COMMIT(3)), 0); /* it can never become whole */
}

static void entries_that_cannot_be_are_refused(void **state)
{
    static const uint32_t entries[][3] = {
        {RIG_PAGES, 300, 0}, {UINT32_MAX, 300, 0}, {1, 0, 0}, {1, 2, 0}, {1, 1, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        for (size_t k = 0; k < 3; k++)
            stasis_le32_put(at(ENTRY(2) + 4 * k), entries[i][k]);
        fix_commit(2);
        assert_refused(STASIS_ERR_CORRUPT, "a commit is none at offset 0x5000");
    }
}

/* Each once, and in ascending order. */
static void pages_of_a_commit_ascend(void **state)
{
    static const uint32_t pages[][2] = {{1, 1}, {2, 1}, {RIG_PAGES - 1, 0}, {1, RIG_PAGES}};
    static const uint32_t sound[2] = {1, RIG_PAGES - 1};

    (void)state;
    memset(at(ENTRY(2)), 0, 24);
    stasis_le32_put(at(COMMIT(2) + STASIS_COMMIT_ENTRIES), 2);
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned k = 0; k < 2; k++) {
            stasis_le32_put(at(ENTRY(2) + 12 * k), i < 4 ? pages[i][k] : sound[k]);
            stasis_le32_put(at(ENTRY(2) + 12 * k + 4), STASIS_PLACE_ZERO);
        }
        fix_commit(2);
        if (i < 4)
            assert_refused(STASIS_ERR_CORRUPT, "a commit is none at offset 0x5000");
    }
    write_image();
    rig_open(&rig);
    rig_close(&rig);
}

static void a_place_has_one_page(void **state)
{
    const uint32_t taken = stasis_le32_get(at(ENTRY(1) + 4));
    const uint32_t places[] = {taken, 3, 100, 100000};

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        stasis_le32_put(at(ENTRY(2) + 4), places[i]);
        fix_commit(2);
        assert_refused(STASIS_ERR_CORRUPT, "a page has no place of its own");
    }
}

/* ---- the state ---- */

static void set_state(const void *bytes, uint32_t len)
{
    stasis_le32_put(at(COMMIT(0) + STASIS_COMMIT_STATE_LEN), len);
    memcpy(at(ENTRY(0)), bytes, len);
    fix_commit(0);
}

static void it_has_one_record_of_a_disk(void **state)
{
    /* ["stasis.pvpanic", "panic", 1, 0, {1: 0}] and its like of another name */
    static const uint8_t other[] = "\x91\x95\xaestasis.pvpanic\xa5panic\x01\x00\x81\x01\x00";

    (void)state;
    set_state("\x90", 1);
    assert_refused(STASIS_ERR_CORRUPT, "an overlay has one record, not 0");
    set_state(other, sizeof(other) - 1);
    assert_refused(STASIS_ERR_CORRUPT, "the overlay has no record of its disk");
    set_state("\xc0", 1);
    assert_refused(STASIS_ERR_CORRUPT, "");
}

/* ---- the header ---- */

static void set_features(uint64_t features)
{
    struct stasis_header header;

    assert_int_equal(stasis_header_decode_disk(image.bytes, &header, NULL), 0);
    header.info.incompatible = features;
    stasis_header_encode(&header, image.bytes);
}

static void other_files_of_the_format_are_refused(void **state)
{
    (void)state;
    image.bytes[50] ^= 1;
    assert_refused(STASIS_ERR_CORRUPT, "the header is damaged (CRC)");
    image.bytes[50] ^= 1;
    set_features(STASIS_FEATURE_DISK);
    assert_refused(STASIS_ERR_ARG, "it is a disk that was written as a whole, and no overlay");
    set_features(STASIS_FEATURE_DISK | STASIS_FEATURE_TRAILER | STASIS_FEATURE_ZLIB);
    assert_refused(STASIS_ERR_VERSION, "features that this release does not know");
    set_features(STASIS_FEATURE_DISK | STASIS_FEATURE_TRAILER | UINT64_C(1) << 9);
    assert_refused(STASIS_ERR_VERSION, "needs incompatible feature bit 9");
}

/* ---- the host ---- */

static void a_disk_that_fails_says_so(void **state)
{
    struct stasis_error err;

    (void)state;
    image.bytes[ENTRY(3)] ^= 1; /* it is cleared */
    memset(at(COMMIT(4)), 0, RIG_PAGE);
    write_image();
    rig.write_fails = 1;
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "clearing an unfinished commit: "));
    assert_non_null(strstr(err.msg, strerror(EIO)));
    unlink(rig.path);
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_WRITE);
    assert_int_equal(access(rig.path, F_OK), -1); /* what was made is removed */
    rig.write_fails = 0;
    rig.sync_fails = 1;
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "bringing the overlay to the disk: "));
    assert_non_null(strstr(err.msg, strerror(EIO)));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static uint64_t bytes_read;

ssize_t __real_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t __wrap_stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    ssize_t got = __real_stasis_io_pread(fd, buf, len, offset);

    bytes_read += got > 0 ? (uint64_t)got : 0;
    return got;
}

/* Each place of the log begins a commit that has all of the rest: read one by one that would be the
 * square of the log's length. */
static void a_log_is_read_a_few_times_at_most(void **state)
{
    const unsigned first = 5, end = 3 + 2 + 256;

    (void)state;
    assert_in_range(image.len, end * RIG_PAGE, 2 * end * RIG_PAGE);
    for (unsigned n = first; 3 + n < end; n++) {
        uint32_t len = (end - 3 - n) * RIG_PAGE - STASIS_COMMIT_HEAD_LEN;

        memcpy(at(COMMIT(n)), at(COMMIT(1)), STASIS_COMMIT_HEAD_LEN);
        stasis_le32_put(at(COMMIT(n) + STASIS_COMMIT_ENTRIES), 0);
        stasis_le32_put(at(COMMIT(n) + STASIS_COMMIT_STATE_LEN), len);
    }
    write_image();
    bytes_read = 0;
    rig_open(&rig);
    assert_in_range(bytes_read, 1, 2 * image.len);
    rig_close(&rig);
    stasis_le64_put(at(COMMIT(first + 9) + STASIS_COMMIT_NUMBER), 1000);
    assert_refused(STASIS_ERR_CORRUPT, "a commit is not what was written");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(slots_that_lead_nowhere_are_refused),
        CASE(a_log_without_bounds_is_refused),
        CASE(without_slots_nothing_is_left),
        CASE(one_slot_is_enough),
        CASE(a_log_without_a_first_commit_is_refused),
        CASE(a_commit_that_is_damaged_before_others_is_refused),
        CASE(the_last_commit_may_be_there_in_part),
        CASE(entries_that_cannot_be_are_refused),
        CASE(pages_of_a_commit_ascend),
        CASE(a_place_has_one_page),
        CASE(it_has_one_record_of_a_disk),
        CASE(other_files_of_the_format_are_refused),
        CASE(a_disk_that_fails_says_so),
        CASE(a_log_is_read_a_few_times_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
