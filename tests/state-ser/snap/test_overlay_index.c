/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Sealed overlays that somebody made on purpose, with checksums and roots that are right.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/index.h"
#include "state-ser/snap/le.h"
#include "state-ser/snap/overlay.h"

#define SEED   123u
#define ROUNDS 750u

/* Of a sealed overlay on an image: one region, and no name. */
#define ENTRIES 32u

static struct rig rig;
static struct image image;
static char sealed[RIG_SEALED_PATH];
static uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
static unsigned how; /* it is sealed */

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig, SEED);
    rig.is_plain = true;
    rig_open(&rig);
    assert_true(rig_write(&rig, 0, 3 * RIG_PAGE));
    assert_int_equal(stasis_overlay_zero(rig.overlay, 5 * RIG_PAGE, 2 * RIG_PAGE, NULL), 0);
    assert_int_equal(stasis_overlay_zero(rig.overlay, 16 * RIG_PAGE, 16 * RIG_PAGE, NULL), 0);
    rig_seal(&rig, how, root);
    rig_close(&rig);
    rig_sealed_path(&rig, root, sealed);
    image = image_read(sealed);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&rig);
    unlink(sealed);
    image_fini(&image);
    rig_fini(&rig);
    return 0;
}

static struct stasis_header trailer(void)
{
    struct stasis_header header;

    assert_int_equal(
        stasis_header_decode_disk(image.bytes + image.len - STASIS_HEADER_LEN, &header, NULL), 0);
    return header;
}

static struct stasis_section *section(struct stasis_header *header, enum stasis_section_type type)
{
    for (uint32_t i = 0; i < header->section_count; i++)
        if (header->sections[i].type == type)
            return &header->sections[i];
    fail();
    return NULL;
}

static uint8_t *index_bytes(void)
{
    struct stasis_header header = trailer();

    return image.bytes + section(&header, STASIS_SECTION_INDEX)->offset;
}

/* Puts CRCs and root right, as far as there is a root. */
static void fix(const struct image *bytes)
{
    struct stasis_header header = trailer();
    struct stasis_section *index = section(&header, STASIS_SECTION_INDEX);
    const struct stasis_section *state = section(&header, STASIS_SECTION_STATE);

    index->crc = stasis_crc32(bytes->bytes + index->offset, index->length);
    if (!stasis_overlay_index_check(&header.info, bytes->bytes + index->offset, index->length,
                                    NULL))
        stasis_overlay_index_root(bytes->bytes + index->offset, &header.info,
                                  bytes->bytes + state->offset, state->length, header.info.root);
    stasis_header_encode(&header, bytes->bytes + bytes->len - STASIS_HEADER_LEN);
    memcpy(root, header.info.root, sizeof(root));
}

/* A new overlay on what the image is. */
static int try_on(struct stasis_error *err)
{
    int fd = open(sealed, O_WRONLY | O_TRUNC, 0);

    fix(&image);
    assert_int_equal(write(fd, image.bytes, image.len), image.len);
    close(fd);
    unlink(rig.path);
    rig.opts.root = root;
    return rig_try_open(&rig, err);
}

static void assert_refused(const char *words)
{
    struct stasis_error err = {.msg = "nothing"};

    assert_int_equal(try_on(&err), STASIS_ERR_CORRUPT);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say: %s", err.msg, words);
}

/* One field at a time, of `size` bytes. */
static void assert_refused_with(size_t at, unsigned size, uint64_t value, const char *words)
{
    uint8_t *p = index_bytes() + at, before[8], bytes[8];

    stasis_le64_put(bytes, value);
    memcpy(before, p, size);
    memcpy(p, bytes, size);
    assert_refused(words);
    memcpy(p, before, size);
}

static void counts_have_to_be_right(void **state)
{
    (void)state;
    assert_refused_with(0, 4, 2, "the index of the disk is damaged: counts or size");
    assert_refused_with(4, 4, 1, "the index of the disk is damaged: counts or size");
    assert_refused_with(24, 8, RIG_BYTES, "the index of the disk is damaged: counts or size");
    assert_refused_with(8, 4, 99, "the index of the disk is damaged: its length");
    assert_refused_with(12, 4, 99, "the index of the disk is damaged: its length");
}

/* Chunk 0 has some pages of its own, chunk 1 is zero, and chunk 2 is as below. */
static void entries_have_to_be_right(void **state)
{
    (void)state;
    assert_int_equal(stasis_le32_get(index_bytes() + 8), 3);
    assert_refused_with(ENTRIES, 4, 1, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 12, 4, 0, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 12, 4, 2, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 24, 4, 3, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 4, 4, 1, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 8, 1, 4, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 9, 1, 17, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 10, 2, 1, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 20, 1, 0, "the index of the disk is damaged: an entry");
    assert_refused_with(ENTRIES + 9, 1, 16, "an entry has more extents than there are");
}

static void extents_have_to_be_right(void **state)
{
    static const struct {
        size_t at;
        unsigned size;
        uint64_t value;
    } edits[] = {
        {0, 8, 4096},        {0, 8, 12289}, {0, 8, UINT64_C(1) << 50},
        {8, 4, 4095},        {16, 2, 3},    {18, 2, 2},
        {16, 4, 0},          {20, 2, 1},    {22, 1, 1},
        {22, 1, 3},          {23, 1, 1},    {16, 4, 0x00020002}, /* that of the next one */
        {16, 4, 0x00040004},
    };
    size_t extents = ENTRIES + 3 * STASIS_RUNS_ENTRY_LEN;

    (void)state;
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++)
        assert_refused_with(extents + edits[i].at, edits[i].size, edits[i].value,
                            "the index of the disk is damaged: an extent");
    extents += 3 * STASIS_RUNS_EXTENT_LEN; /* that of two zero pages */
    assert_refused_with(extents, 8, 12288, "the index of the disk is damaged: an extent");
    assert_refused_with(extents + 12, 4, 1, "the index of the disk is damaged: an extent");
}

/* The first of three pages, and the two that are zero; behind four extents. */
static void digests_have_to_be_right(void **state)
{
    size_t extents = ENTRIES + 3 * STASIS_RUNS_ENTRY_LEN;
    size_t digests = extents + 4 * STASIS_RUNS_EXTENT_LEN;
    uint64_t offset = stasis_le64_get(index_bytes() + extents);
    uint8_t found[RIG_PAGE];
    struct stasis_error err;

    (void)state;
    assert_refused_with(digests + 3 * STASIS_DIGEST_SIZE, 8, 1,
                        "the index of the disk is damaged: the digest of zeros");
    image.bytes[offset] ^= 1; /* with a CRC that is right */
    stasis_le32_put(index_bytes() + extents + 12, stasis_crc32(image.bytes + offset, RIG_PAGE));
    assert_int_equal(try_on(&err), 0);
    assert_int_equal(stasis_overlay_read(rig.overlay, 0, found, RIG_PAGE, &err),
                     STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "(SHA-256)"));
    assert_int_equal(stasis_overlay_read(rig.overlay, RIG_PAGE, found, RIG_PAGE, &err), 0);
}

static void a_disk_of_another_size_is_refused(void **state)
{
    struct stasis_error err;

    (void)state;
    rig.opts.bytes = RIG_BYTES - RIG_PAGE;
    assert_int_equal(try_on(&err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "a sealed overlay is of a disk of"));
    rig.opts.bytes = RIG_BYTES;
    rig.opts.inode++;
    assert_int_equal(try_on(&err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "its base is another file"));
}

static void edit_header(uint8_t *bytes, size_t at, uint64_t value)
{
    stasis_le64_put(bytes + at, value);
    stasis_le32_put(bytes + STASIS_HDR_CRC,
                    stasis_overlay_crc(bytes, STASIS_HEADER_LEN, STASIS_HDR_CRC));
}

static void edit_trailer(size_t at, uint64_t value)
{
    edit_header(image.bytes + image.len - STASIS_HEADER_LEN, at, value);
}

static void its_headers_have_to_agree(void **state)
{
    struct stasis_header header = trailer();
    struct stasis_error err;
    int fd;

    (void)state;
    edit_trailer(STASIS_HDR_FILE_LEN, header.info.file_len + 1);
    fd = open(sealed, O_WRONLY);
    assert_int_equal(pwrite(fd, image.bytes, image.len, 0), image.len);
    rig.opts.root = root;
    unlink(rig.path);
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "bytes, and its header says"));
    edit_trailer(STASIS_HDR_FILE_LEN, header.info.file_len);
    edit_trailer(STASIS_HDR_CREATED, header.info.created_ns + 1);
    assert_int_equal(pwrite(fd, image.bytes, image.len, 0), image.len);
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "header and trailer belong to different"));
    edit_trailer(STASIS_HDR_CREATED, header.info.created_ns);
    edit_trailer(STASIS_HDR_ROOT, 4711);
    memcpy(root, trailer().info.root, sizeof(root));
    assert_int_equal(pwrite(fd, image.bytes, image.len, 0), image.len);
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "has another root than its header says"));
    edit_trailer(STASIS_HDR_SECTIONS + 32 + 16, UINT64_C(1) << 30); /* length of the index */
    assert_int_equal(pwrite(fd, image.bytes, image.len, 0), image.len);
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_CORRUPT);
    close(fd);
}

static void assert_not_known(uint8_t *bytes, unsigned bit)
{
    uint64_t features = stasis_le64_get(bytes + STASIS_HDR_INCOMPATIBLE);
    int fd = open(sealed, O_WRONLY);
    struct stasis_error err;

    edit_header(bytes, STASIS_HDR_INCOMPATIBLE, features | UINT64_C(1) << bit);
    assert_int_equal(pwrite(fd, image.bytes, image.len, 0), image.len);
    rig.opts.root = root;
    assert_int_equal(rig_try_open(&rig, &err), STASIS_ERR_VERSION);
    edit_header(bytes, STASIS_HDR_INCOMPATIBLE, features);
    close(fd);
}

/* Digests and whole indexes are features of the trailer; those of chunks, and compression, are of
 * guests. */
static void features_have_to_be_known(void **state)
{
    static const unsigned bits[] = {1, 3, 8, 63};

    (void)state;
    unlink(rig.path);
    assert_not_known(image.bytes, 6);
    assert_not_known(image.bytes, 7);
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        assert_not_known(image.bytes, bits[i]);
        assert_not_known(image.bytes + image.len - STASIS_HEADER_LEN, bits[i]);
    }
}

/* Which lies on no other. */
static void an_index_of_files_below_is_refused(void **state)
{
    uint8_t *bytes = image.bytes + image.len - STASIS_HEADER_LEN;

    (void)state;
    edit_header(bytes, STASIS_HDR_INCOMPATIBLE,
                stasis_le64_get(bytes + STASIS_HDR_INCOMPATIBLE) | STASIS_FEATURE_DISK_WHOLE);
    assert_refused("it says of files below, and lies on none");
}

/* Whatever the index says, nothing but pages of the file, zeros and the base is read. */
static void mutants_are_refused_or_read(void **state)
{
    static uint8_t found[RIG_BYTES];
    struct stasis_header header = trailer();
    size_t len = section(&header, STASIS_SECTION_INDEX)->length;
    unsigned refused = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t at = rig_random(&rig, (uint32_t)len);
        uint8_t *p = index_bytes() + at, before = *p;

        if (rig_random(&rig, 3))
            *p = (uint8_t)(before ^ 1u << rig_random(&rig, 8));
        else
            *p = (uint8_t)rig_random(&rig, 256);
        if (try_on(NULL))
            refused++;
        else
            (void)!stasis_overlay_read(rig.overlay, 0, found, RIG_BYTES, NULL);
        rig_close(&rig);
        *p = before;
    }
    printf("%u of %u refused\n", refused, ROUNDS);
    assert_in_range(refused, ROUNDS / 4, ROUNDS - 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Each page of a disk of 4 TiB would take 10 bytes. */
static void a_run_of_zeros_takes_no_memory_for_its_pages(void **state)
{
    struct stasis_overlay_map map;
    size_t made = 0;

    (void)state;
    assert_true(stasis_overlay_map_init(&map, 1u << 30));
    assert_true(stasis_overlay_map_own(&map, 512, 1));
    assert_true(stasis_overlay_map_lay_zeros(&map, 16, (1u << 30) - 16, 3));
    for (size_t i = 0; i < map.leaf_count; i++)
        made += map.leaves[i] != NULL;
    assert_int_equal(made, 1);
    assert_int_equal(stasis_overlay_map_get(&map, 15).place, STASIS_PLACE_BELOW);
    assert_int_equal(stasis_overlay_map_get(&map, 16).place, STASIS_PLACE_ZERO);
    assert_int_equal(stasis_overlay_map_get(&map, (1u << 30) - 1).file, 3);
    /* And one that is written to has the others still. */
    assert_true(stasis_overlay_map_own(&map, 5000, 1));
    stasis_overlay_map_put(&map, 5000, (struct stasis_overlay_entry){7, 8, 0});
    assert_int_equal(stasis_overlay_map_get(&map, 5000).place, 7);
    assert_int_equal(stasis_overlay_map_get(&map, 5001).place, STASIS_PLACE_ZERO);
    assert_int_equal(stasis_overlay_map_get(&map, 5001).file, 3);
    assert_int_equal(map.mapped, 1);
    stasis_overlay_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_of_zeros_takes_no_memory_for_its_pages),
        CASE(counts_have_to_be_right),
        CASE(entries_have_to_be_right),
        CASE(extents_have_to_be_right),
        CASE(features_have_to_be_known),
        CASE(an_index_of_files_below_is_refused),
        CASE(a_disk_of_another_size_is_refused),
        CASE(its_headers_have_to_agree),
        CASE(mutants_are_refused_or_read),
    };

    const struct CMUnitTest of_digests[] = {CASE(digests_have_to_be_right)};
    int failed = cmocka_run_group_tests_name("without digests", tests, NULL, NULL);

    how = STASIS_OVERLAY_DIGESTS;
    return failed + cmocka_run_group_tests_name("with digests", tests, NULL, NULL) +
           cmocka_run_group_tests_name("of digests", of_digests, NULL, NULL);
}
