/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Sealed overlays whose index says of the files below, too: now and then one gets it, opening reads
 * no more of indexes than twice what one of all the disk takes, and what they say is checked.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/le.h"
#include "state-ser/snap/overlay.h"

#define LIVES 40u
#define PAGES 20u /* of which each life writes some */

static struct rig rig;
static unsigned how; /* it is sealed */
static uint8_t root[STASIS_OVERLAY_ROOT_SIZE];

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig, 81);
    rig.is_plain = true;
    rig_open(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_unlink_all(&rig);
    rig_fini(&rig);
    return 0;
}

/* A sealed file of that root. */
struct sealed {
    char path[160];
    struct image image;
    struct stasis_header trailer;
};

static void sealed_read(struct sealed *sealed, const uint8_t *of)
{
    rig_sealed_path(&rig, of, sealed->path);
    sealed->image = image_read(sealed->path);
    assert_int_equal(
        stasis_header_decode_disk(sealed->image.bytes + sealed->image.len - STASIS_HEADER_LEN,
                                  &sealed->trailer, NULL),
        0);
}

static bool is_whole(const uint8_t *of)
{
    struct sealed sealed;

    sealed_read(&sealed, of);
    image_fini(&sealed.image);
    return sealed.trailer.info.whole;
}

/* What opening an overlay on the file of that root reads of indexes. */
static uint64_t index_bytes_from(const uint8_t *of)
{
    uint8_t next[STASIS_DIGEST_SIZE];
    struct sealed sealed;
    uint64_t sum = 0;
    bool is_last;

    memcpy(next, of, sizeof(next));
    do {
        const struct stasis_snap_info *info = &sealed.trailer.info;

        sealed_read(&sealed, next);
        sum += stasis_header_section(&sealed.trailer, STASIS_SECTION_INDEX)->length;
        is_last = !info->layer || info->whole;
        memcpy(next, info->parent_root, sizeof(next));
        image_fini(&sealed.image);
    } while (!is_last);
    return sum;
}

/* The length that a whole index of the disk would have. */
static uint64_t whole_len(void)
{
    size_t len;
    uint8_t *index = stasis_overlay_index_make(rig.overlay, NULL, true, &len);
    uint64_t digests = how & STASIS_OVERLAY_DIGESTS
                           ? (uint64_t)stasis_le32_get(index + 12) * STASIS_DIGEST_SIZE
                           : 0;

    free(index);
    return len + digests;
}

static void write_somewhere(void)
{
    for (unsigned i = 0; i < 4; i++)
        assert_true(
            rig_write(&rig, (uint64_t)rig_random(&rig, PAGES) * RIG_PAGE, 2 * (size_t)RIG_PAGE));
    assert_int_equal(stasis_overlay_zero(rig.overlay, 30 * RIG_PAGE, 2 * RIG_PAGE, NULL), 0);
    memset(rig.content + 30 * RIG_PAGE, 0, 2 * RIG_PAGE);
}

static void reopen(void)
{
    rig_close(&rig);
    rig_open(&rig);
    rig_assert_holds(&rig, rig.content);
}

static void opening_reads_no_more_than_twice_of_one(void **state)
{
    static uint8_t contents[LIVES][RIG_BYTES], roots[LIVES][STASIS_OVERLAY_ROOT_SIZE];
    unsigned whole = 0;

    (void)state;
    for (unsigned i = 0; i < LIVES; i++) {
        write_somewhere();
        rig_seal(&rig, how, root);
        whole += is_whole(root);
        assert_true(index_bytes_from(root) <= 2 * whole_len());
        memcpy(contents[i], rig.content, RIG_BYTES);
        memcpy(roots[i], root, sizeof(root));
        if (i % 3)
            reopen();
    }
    assert_in_range(whole, LIVES / 10, LIVES / 2);
    for (unsigned i = 0; i < LIVES; i++) {
        rig_close(&rig);
        snprintf(rig.path, sizeof(rig.path), "%s/new%u", rig.folder, i);
        rig.opts.root = roots[i];
        rig_open(&rig);
        rig_assert_holds(&rig, contents[i]);
    }
}

/* Two lives, and one that is whole with this one more. */
static void make_whole(unsigned with)
{
    for (unsigned life = 0; life < 3; life++) {
        for (uint64_t page = 0; page < PAGES - life; page++)
            assert_true(rig_write(&rig, page * RIG_PAGE, RIG_PAGE));
        rig_seal(&rig, life < 2 ? how : with, root);
    }
}

static void older_releases_get_none(void **state)
{
    (void)state;
    make_whole(how | STASIS_OVERLAY_PARTIAL);
    assert_false(is_whole(root));
    assert_false(stasis_overlay_stats(rig.overlay).needs_newer && !how);
    make_whole(how);
    assert_true(is_whole(root));
    assert_true(stasis_overlay_stats(rig.overlay).needs_newer);
}

/* The sum begins anew: the next one is not whole, also where the file stays open. */
static void the_next_one_is_not_whole(void **state)
{
    (void)state;
    make_whole(how);
    assert_int_equal(rig.overlay->partial_len, 0);
    assert_true(rig_write(&rig, 0, RIG_PAGE));
    rig_seal(&rig, how, root);
    assert_false(is_whole(root));
    assert_in_range(rig.overlay->partial_len, 1, whole_len() - 1);
    reopen();
    assert_in_range(rig.overlay->partial_len, 1, whole_len() - 1);
}

/* Or a page of a file with digests would be taken without. */
static void not_where_some_have_digests(void **state)
{
    (void)state;
    make_whole(how ^ STASIS_OVERLAY_DIGESTS);
    assert_false(is_whole(root));
    make_whole(how);
    assert_false(is_whole(root));
    reopen();
}

static void flip(const char *path, uint64_t offset)
{
    int fd = open(path, O_RDWR, 0);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static void assert_not_opened(const char *words)
{
    struct stasis_error err = {.msg = "nothing"};

    rig_close(&rig);
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_CORRUPT);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say: %s", err.msg, words);
}

/* But what they hold is checked by that of the file that says of it. */
static void indexes_below_are_not_read(void **state)
{
    uint8_t found[RIG_PAGE], parent[STASIS_DIGEST_SIZE];
    struct stasis_section index;
    struct sealed sealed;
    uint64_t place;

    (void)state;
    make_whole(how);
    sealed_read(&sealed, root);
    memcpy(parent, sealed.trailer.info.parent_root, sizeof(parent));
    index = *stasis_header_section(&sealed.trailer, STASIS_SECTION_INDEX);
    image_fini(&sealed.image);
    reopen();
    sealed_read(&sealed, parent);
    flip(sealed.path, stasis_header_section(&sealed.trailer, STASIS_SECTION_INDEX)->offset);
    reopen();
    /* Page 18 is the parent's. */
    place = stasis_overlay_map_get(&rig.overlay->map, PAGES - 2).place;
    flip(sealed.path, place * RIG_PAGE);
    assert_int_equal(
        stasis_overlay_read(rig.overlay, (PAGES - 2) * RIG_PAGE, found, sizeof(found), NULL),
        STASIS_ERR_CORRUPT);
    assert_int_equal(stasis_overlay_read(rig.overlay, 0, found, sizeof(found), NULL), 0);
    flip(sealed.path, place * RIG_PAGE);
    flip(sealed.path, stasis_header_section(&sealed.trailer, STASIS_SECTION_STATE)->offset);
    assert_not_opened("section 1 of a sealed overlay is damaged (CRC)");
    flip(sealed.path, stasis_header_section(&sealed.trailer, STASIS_SECTION_STATE)->offset);
    image_fini(&sealed.image);
    rig_sealed_path(&rig, root, sealed.path);
    flip(sealed.path, index.offset);
    assert_not_opened("section 2 of a sealed overlay is damaged (CRC)");
}

/* It is the index of the file that says of a page that has its digest. */
static void pages_of_the_files_below_have_digests(void **state)
{
    uint8_t found[RIG_PAGE];
    struct stasis_error err;
    struct stasis_overlay_digests *digests;

    (void)state;
    make_whole(how);
    reopen();
    assert_int_equal(rig.overlay->whole, 3);
    assert_int_equal(stasis_overlay_map_get(&rig.overlay->map, PAGES - 1).file, 1);
    digests = rig.overlay->below[2].digests;
    assert_int_equal(digests->count, PAGES);
    assert_ptr_equal(stasis_overlay_digests_of(rig.overlay, 1), digests);
    digests->list[PAGES - 1].sum[5] ^= 1;
    assert_int_equal(
        stasis_overlay_read(rig.overlay, (PAGES - 1) * RIG_PAGE, found, sizeof(found), &err),
        STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "(SHA-256)"));
}

static void alone_it_has_its_own_pages(void **state)
{
    const struct stasis_overlay_look look = {.size = sizeof(look), .alone = true};
    struct stasis_overlay *overlay;
    struct stasis_overlay_file file;
    char path[160];

    (void)state;
    make_whole(how);
    rig_sealed_path(&rig, root, path);
    assert_int_equal(stasis_overlay_open_to_read(path, NULL, &look, &overlay, NULL), 0);
    file = stasis_overlay_file_at(overlay, 0);
    assert_int_equal(file.pages, PAGES - 2);
    assert_int_equal(stasis_overlay_about(overlay).files, 1);
    stasis_overlay_free(overlay);
}

/* What is on an image has no files below to say of, though somebody wrote such an end behind it. */
static void an_end_that_does_not_fit_is_refused(void **state)
{
    struct image image;
    struct stasis_header header;
    struct stasis_error err = {.msg = "nothing"};
    uint8_t bytes[STASIS_HEADER_LEN];
    int fd;

    (void)state;
    write_somewhere();
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    rig_close(&rig);
    image = image_read(rig.path);
    assert_int_equal(stasis_header_decode_disk(image.bytes, &header, NULL), 0);
    header.info.incompatible |= STASIS_FEATURE_DISK_WHOLE;
    stasis_header_encode(&header, bytes);
    fd = open(rig.path, O_WRONLY, 0);
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), (off_t)image.len), sizeof(bytes));
    close(fd);
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "and its end is not that of such an overlay"));
    image_fini(&image);
}

static void other_flags_are_refused(void **state)
{
    struct stasis_error err;
    bool has_root = false;

    (void)state;
    write_somewhere();
    assert_int_equal(stasis_overlay_seal(rig.overlay, 4, root, &has_root, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "no such way to seal an overlay: 0x4"));
    assert_false(has_root);
    rig_seal(&rig, how, root);
}

/* ---- made on purpose, with checksums and roots that are right ---- */

#define ENTRIES (32u + STASIS_RUNS_NAME_LEN)

static struct sealed made;

static uint8_t *made_index(void)
{
    return made.image.bytes + stasis_header_section(&made.trailer, STASIS_SECTION_INDEX)->offset;
}

static int try_made(struct stasis_error *err)
{
    struct stasis_header header = made.trailer;
    const struct stasis_section *state = stasis_header_section(&header, STASIS_SECTION_STATE);
    struct stasis_section *index = header.sections;
    int fd;

    rig_close(&rig);
    while (index->type != STASIS_SECTION_INDEX)
        index++;
    index->crc = stasis_crc32(made_index(), index->length);
    stasis_overlay_index_root(made_index(), &header.info, made.image.bytes + state->offset,
                              state->length, header.info.root);
    memcpy(root, header.info.root, sizeof(root));
    stasis_header_encode(&header, made.image.bytes + made.image.len - STASIS_HEADER_LEN);
    fd = open(made.path, O_WRONLY, 0);
    assert_int_equal(write(fd, made.image.bytes, made.image.len), made.image.len);
    close(fd);
    unlink(rig.path);
    rig.opts.root = root;
    return rig_try_open(&rig, err);
}

static void assert_made_refused(uint8_t *at, uint64_t value, unsigned size)
{
    struct stasis_error err = {.msg = "nothing"};
    uint8_t before[8], bytes[8];

    stasis_le64_put(bytes, value);
    memcpy(before, at, size);
    memcpy(at, bytes, size);
    assert_int_equal(try_made(&err), STASIS_ERR_CORRUPT);
    if (!strstr(err.msg, "the index of the disk is damaged: an extent"))
        fail_msg("%s", err.msg);
    memcpy(at, before, size);
}

/* Of 20 pages that are stored, 18 are its own, one is the parent's, and one that of the lowest. */
static void files_have_to_be_there(void **state)
{
    uint8_t *extents, *last;

    (void)state;
    make_whole(how);
    sealed_read(&made, root);
    extents =
        made_index() + ENTRIES + (size_t)stasis_le32_get(made_index() + 8) * STASIS_RUNS_ENTRY_LEN;
    assert_int_equal(stasis_le32_get(made_index() + 12), PAGES);
    last = extents + (size_t)(PAGES - 1) * STASIS_RUNS_EXTENT_LEN;
    assert_int_equal(stasis_le16_get(extents + 20), 0);
    assert_int_equal(stasis_le16_get(last - STASIS_RUNS_EXTENT_LEN + 20), 1);
    assert_int_equal(stasis_le16_get(last + 20), 2);
    assert_int_equal(try_made(NULL), 0);
    rig_assert_holds(&rig, rig.content);
    assert_made_refused(last + 20, 3, 2);
    assert_made_refused(last + 20, UINT16_MAX, 2);
    assert_made_refused(last, UINT64_C(1) << 30, 8); /* beyond the data of that file */
    assert_made_refused(last, (UINT64_C(1) << 32) * RIG_PAGE, 8);
    made.trailer.info.incompatible &= ~STASIS_FEATURE_DISK_WHOLE;
    made.trailer.info.whole = false;
    assert_made_refused(last + 23, 0, 1);
    image_fini(&made.image);
}

static void pages_have_to_be_on_the_disk(void **state)
{
    uint8_t *extent;

    (void)state;
    make_whole(how);
    assert_true(rig_write(&rig, (RIG_PAGES - 1) * RIG_PAGE, 512));
    rig_seal(&rig, how, root);
    sealed_read(&made, root);
    assert_int_equal(stasis_le32_get(made_index() + 12), 1);
    extent =
        made_index() + ENTRIES + (size_t)stasis_le32_get(made_index() + 8) * STASIS_RUNS_ENTRY_LEN;
    assert_int_equal(stasis_le32_get(extent + 16), 0x10001u << 12);
    assert_int_equal(try_made(NULL), 0);
    assert_made_refused(extent + 16, 0x10001u << 13, 4);
    image_fini(&made.image);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(opening_reads_no_more_than_twice_of_one),
        CASE(older_releases_get_none),
        CASE(the_next_one_is_not_whole),
        CASE(not_where_some_have_digests),
        CASE(indexes_below_are_not_read),
        CASE(alone_it_has_its_own_pages),
        CASE(files_have_to_be_there),
        CASE(other_flags_are_refused),
        CASE(pages_have_to_be_on_the_disk),
        CASE(an_end_that_does_not_fit_is_refused),
    };
    const struct CMUnitTest of_digests[] = {CASE(pages_of_the_files_below_have_digests)};
    int failed = cmocka_run_group_tests_name("without digests", tests, NULL, NULL);

    how = STASIS_OVERLAY_DIGESTS;
    return failed + cmocka_run_group_tests_name("with digests", tests, NULL, NULL) +
           cmocka_run_group_tests_name("of digests", of_digests, NULL, NULL);
}
