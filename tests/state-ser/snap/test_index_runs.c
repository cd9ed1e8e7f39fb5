/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index of format version 2: what it says of every chunk, and entries, extents, digests and
 * roots that lie, each under right CRCs.
 */
#include "tests/state-ser/snap/fixture.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/le.h"

/* The small snapshot's index: 2 regions; then 4 chunks: stored (short), stored, zero, stored. */
enum {
    REGIONS = 16,
    ENTRIES = REGIONS + 2 * 16,
    EXTENTS = ENTRIES + 3 * 12,
    DIGESTS = EXTENTS + 3 * 24,
    END = DIGESTS + 3 * 32,
};

static const struct stasis_save_opts with_digests = {.size = sizeof(with_digests), .digests = true};
static struct image whole;

static int setup(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    whole = image_of_with(&built, &with_digests);
    built_fini(&built);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    image_fini(&whole);
    return 0;
}

static uint8_t *index_of(const struct image *image)
{
    return image->bytes + section_offset(image_section(image, STASIS_SECTION_INDEX));
}

static void refused(struct image *image, const char *words)
{
    struct stasis_error err = {0};
    int rc = check_image(image, &err);

    if (rc != STASIS_ERR_CORRUPT || err.code != STASIS_ERR_CORRUPT || !strstr(err.msg, words))
        fail_msg("got %d \"%s\", expected \"%s\"", rc, err.msg, words);
    image_fini(image);
}

static void with(size_t at, unsigned bytes, uint64_t value, const char *words)
{
    struct image image = image_copy(&whole);
    uint8_t *index = index_of(&image);

    for (unsigned i = 0; i < bytes; i++)
        index[at + i] = (uint8_t)(value >> (8 * i));
    image_reseal(&image);
    refused(&image, words);
}

static void the_section_is_as_the_document_has_it(void **state)
{
    const uint64_t data = section_offset(image_section(&whole, STASIS_SECTION_DATA));
    const uint8_t *p = index_of(&whole);
    uint8_t digest[STASIS_DIGEST_SIZE];

    (void)state;
    assert_int_equal(section_length(image_section(&whole, STASIS_SECTION_INDEX)), END);
    assert_int_equal(stasis_le32_get(p), 2);
    assert_int_equal(stasis_le32_get(p + 8), 3);
    assert_int_equal(stasis_le32_get(p + 12), 3);
    assert_memory_equal(p + ENTRIES, "\0\0\0\0\0\0\0\0\2\1\0\0\2\0\0\0\2\0\0\0\1\0\0\0\3\0\0\0",
                        28);
    assert_memory_equal(p + EXTENTS + 8, "\0\x20\0\0", 4);
    assert_memory_equal(p + EXTENTS + 16, "\3\0\3\0\0\0\2\0", 8);
    assert_memory_equal(p + EXTENTS + 48 + 16, "\xff\xff\0\x80\0\0\2\0", 8);
    for (unsigned x = 0; x < 3; x++) {
        const uint8_t *extent = p + EXTENTS + (size_t)24 * x;

        assert_int_equal(stasis_le64_get(extent), data + (x ? 8192 + 65536 * (x - 1) : 0));
        stasis_sha256(whole.bytes + stasis_le64_get(extent), stasis_le32_get(extent + 8), digest);
        assert_memory_equal(p + DIGESTS + (size_t)32 * x, digest, sizeof(digest));
    }
}

static void counts_and_regions_that_lie_are_refused(void **state)
{
    (void)state;
    with(0, 4, 3, "region 2");
    with(0, 4, 4097, "cannot hold 4097");
    with(0, 4, UINT32_MAX, "cannot hold");
    with(4, 4, 1, "cannot hold");
    with(8, 4, 2, "its regions need");
    with(8, 4, UINT32_MAX, "its regions need");
    with(12, 4, 2, "its regions need");
    with(12, 4, UINT32_MAX, "its regions need");
    with(REGIONS, 8, 1, "whole pages");
    with(REGIONS + 8, 8, 4096, "the header says");
    with(REGIONS + 16, 8, 0, "overlaps");
}

static void entries_that_lie_are_refused(void **state)
{
    const char *place = "does not begin where the one before it can end";
    const char *fields = "another number of extents than its kind, or reserved bytes";

    (void)state;
    with(ENTRIES, 4, 1, place);
    with(ENTRIES + 12, 4, 0, place);
    with(ENTRIES + 12, 4, 3, place);
    with(ENTRIES + 24, 4, 4, place);
    with(ENTRIES + 24, 4, UINT32_MAX, place);
    with(ENTRIES + 4, 4, 1, "begins with another extent");
    with(ENTRIES + 16, 4, 1, "begins with another extent");
    with(ENTRIES + 28, 4, 3, "begins with another extent");
    with(ENTRIES + 8, 1, 0, "entry 0 of the index is of an unknown kind");
    with(ENTRIES + 8, 1, 3, "is of an unknown kind");
    with(ENTRIES + 20, 2, 0x102, "is of the kind of the one before it");
    with(ENTRIES + 9, 1, 0, fields);
    with(ENTRIES + 9, 1, 2, fields);
    with(ENTRIES + 21, 1, 1, fields);
    with(ENTRIES + 10, 2, 1, fields);
}

static void extents_that_lie_are_refused(void **state)
{
    const uint64_t data = section_offset(image_section(&whole, STASIS_SECTION_DATA));
    const size_t second = EXTENTS + 24;

    (void)state;
    with(second, 8, data, "over another chunk");
    with(second, 8, data + 8192 + 1, "page boundary");
    with(second, 8, UINT64_MAX - 4095, "outside the data section");
    with(second, 8, data + 8192 + 4096, "over another chunk"); /* seen at the next one */
    with(second + 8, 4, 8192, "its length is not");
    with(second + 8, 4, UINT32_MAX, "its length is not");
    with(second + 12, 4, 0, "damaged (CRC)");
    with(second + 16, 2, 0x7fff, "is not stored in full");
    with(EXTENTS + 16, 2, 7, "is not stored in full");
    with(second + 18, 2, 0, "page mask");
    with(EXTENTS + 18, 2, 7, "page mask");
    with(second + 18, 2, 0x7fff, "page mask is wrong"); /* only verify can know */
    with(second + 20, 2, 1, "is in another file");
    with(second + 22, 1, 0, "unknown kind");
    with(second + 22, 1, 1, "unknown kind");
    with(second + 22, 1, 3, "unknown kind");
    with(second + 23, 1, 1, "reserved byte");
    with(DIGESTS + 32, 1, index_of(&whole)[DIGESTS + 32] ^ 1u, "damaged (SHA-256)");
}

/* The CRC is that of other bytes; the digest is not. */
static void a_chunk_with_another_content_is_refused(void **state)
{
    struct image image = image_copy(&whole);
    uint8_t *extent = index_of(&image) + EXTENTS + 24;
    uint8_t *stored = image.bytes + stasis_le64_get(extent);

    (void)state;
    stored[77] ^= 4;
    stasis_le32_put(extent + 12, stasis_crc32(stored, stasis_le32_get(extent + 8)));
    image_reseal(&image);
    refused(&image, "chunk 1, guest address 0x100000");
}

static void another_root_is_refused(void **state)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts),
                                           .root = whole.bytes + STASIS_HDR_ROOT};
    struct image image = image_copy(&whole);
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    int fd = image_fd(&whole);

    (void)state;
    assert_int_equal(stasis_snap_open_fd(fd, "root", &opts, &snap, &err), 0);
    assert_memory_equal(stasis_snap_info(snap)->root, opts.root, STASIS_DIGEST_SIZE);
    stasis_snap_free(snap);
    close(fd);
    image.bytes[STASIS_HDR_ROOT] ^= 1; /* what the header says does not count */
    image_reseal_section(&image, STASIS_SECTION_INDEX);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "root", &opts, &snap, &err), 0);
    stasis_snap_free(snap);
    close(fd);
    refused(&image, "its root is ");
    image = image_copy(&whole);
    image.bytes[section_offset(image_section(&image, STASIS_SECTION_STATE)) + 1]++;
    image_reseal(&image);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "root", &opts, &snap, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "root: its root is "));
    close(fd);
    image_fini(&image);
}

static void version_1_has_no_root(void **state)
{
    const struct stasis_save_opts version_1 = {.size = sizeof(version_1), .format_version = 1};
    const struct stasis_parse_opts opts = {.size = sizeof(opts),
                                           .root = whole.bytes + STASIS_HDR_ROOT};
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_small(&built);
    image = image_of_with(&built, &version_1);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "old", &opts, &snap, &err), STASIS_ERR_VERSION);
    assert_non_null(strstr(err.msg, "old: format version 1 has no root"));
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* Layout, UUID and time do not count; state, RAM and the architecture do. */
static void a_root_is_that_of_the_content(void **state)
{
    const struct stasis_save_opts plain = {.size = sizeof(plain)};
    struct image images[4];
    struct built built;

    (void)state;
    built_small(&built);
    images[0] = image_of_with(&built, &with_digests);
    images[1] = image_of_stream_with(&built, &with_digests);
    images[2] = image_of_with(&built, &plain);
    built.ram[1][2 * STASIS_CHUNK_SIZE + 5] = 9;
    images[3] = image_of_with(&built, &with_digests);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *root = images[i].bytes + image_header(&images[i]) + STASIS_HDR_ROOT;

        assert_int_equal(memcmp(root, whole.bytes + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE) == 0,
                         i < 2);
        assert_int_equal(check_image(&images[i], NULL), 0);
        image_fini(&images[i]);
    }
    built_fini(&built);
}

/* ---- many chunks ---- */

#define MANY (3 * (uint64_t)STASIS_INDEX_BLOCK + 7)
#define MORE (3 * (uint64_t)STASIS_INDEX_BLOCK) /* of zeros: hints get farther apart than 32 */

/* Runs of every length up to 40, and more that cross blocks and hints. */
static bool is_stored(uint64_t i)
{
    uint64_t first = 0;

    for (uint64_t len = 1; len < 40; first += 2 * len++)
        if (i >= first && i < first + len)
            return true;
    return i > 2 * STASIS_INDEX_BLOCK - 9 && i < 2 * STASIS_INDEX_BLOCK + 70;
}

static void assert_chunk(const struct stasis_index *index, uint64_t i, uint64_t number)
{
    struct stasis_snap_chunk chunk = stasis_index_get(index, i);
    bool stored = number != UINT64_MAX && is_stored(number);
    uint64_t end = i;

    assert_int_equal(chunk.kind, stored ? STASIS_CHUNK_RAW : STASIS_CHUNK_ZERO);
    assert_int_equal(chunk.page_mask, stored ? 1 : 0);
    assert_int_equal(stasis_runs_digest(index, i) != NULL, stored);
    while (end < index->chunk_count && stasis_index_get(index, end).kind == STASIS_CHUNK_ZERO)
        end++;
    assert_int_equal(stasis_index_zero_end(index, i, index->chunk_count), end);
    assert_int_equal(stasis_index_zero_end(index, i, i + 1), end > i ? i + 1 : i);
    assert_int_equal(stasis_index_zero_end(index, i, i), i);
    assert_int_equal(stasis_index_run_end(index, i, index->chunk_count), end > i ? end : i + 1);
    assert_int_equal(stasis_index_run_end(index, i, i + 1), i + 1);
}

static void every_chunk_is_found(void **state)
{
    struct stasis_header header;
    struct stasis_error err;
    struct stasis_index index;
    struct image image;
    struct built built;
    int fd;

    (void)state;
    built_init(&built);
    for (uint32_t r = 0; r < 2; r++) /* short ones in front, of zeros */
        built_add(&built, UINT64_C(0x100000) * r, 8192);
    built_add(&built, 0x1000000, MANY * STASIS_CHUNK_SIZE);
    built_add(&built, UINT64_C(1) << 32, MORE * STASIS_CHUNK_SIZE);
    for (uint64_t i = 0; i < MANY; i++)
        if (is_stored(i))
            built.ram[2][i * STASIS_CHUNK_SIZE] = 1;
    image = image_of_with(&built, &with_digests);
    assert_int_equal(stasis_header_decode(image.bytes, &header, &err), 0);
    fd = image_fd(&image);
    if (stasis_index_read(&(struct stasis_input){.fd = fd}, &header, &index, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(index.chunk_count, MANY + 2 + MORE);
    assert_true(index.runs.hint_shift > STASIS_RUNS_HINT_SHIFT);
    assert_true(index.chunk_count >> index.runs.hint_shift <= index.runs.entry_count);
    for (uint64_t i = 0; i < index.chunk_count; i++)
        assert_chunk(&index, i, i < 2 || i >= MANY + 2 ? UINT64_MAX : i - 2);
    stasis_index_fini(&index);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* A file may say that it has gigabytes of index, and have a hole there. */
static void a_hole_is_refused_where_it_begins(void **state)
{
    struct stasis_header header;
    struct stasis_error err;
    struct stasis_index index;
    uint8_t bytes[8192];
    int fd = memfd_create("hole", MFD_CLOEXEC);

    (void)state;
    memset(bytes, 1, sizeof(bytes));
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 4096), sizeof(bytes));
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_int_equal(stasis_header_decode(whole.bytes, &header, &err), 0);
    for (uint32_t i = 0; i < header.section_count; i++)
        if (header.sections[i].type == STASIS_SECTION_INDEX)
            header.sections[i] = (struct stasis_section){
                .type = STASIS_SECTION_INDEX, .offset = 4096, .length = 32 << 20};
    header.info.ram_bytes = STASIS_RAM_MAX;
    assert_int_equal(stasis_index_read(&(struct stasis_input){.fd = fd}, &header, &index, &err),
                     STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "the index section is damaged (zeros from 8192 on)");
    close(fd);
}

/* What makes the section short: it has nothing for RAM that nobody used. */
static void an_index_grows_with_what_is_stored(void **state)
{
    struct built built;
    struct image image;

    (void)state;
    built_init(&built);
    built_add(&built, 0, (size_t)256 << 20);
    image = image_of_with(&built, &with_digests);
    assert_int_equal(section_length(image_section(&image, STASIS_SECTION_INDEX)), 16 + 16 + 12);
    image_fini(&image);
    built.ram[0][(size_t)160 << 20] = 1;
    image = image_of_with(&built, &with_digests);
    assert_int_equal(section_length(image_section(&image, STASIS_SECTION_INDEX)),
                     16 + 16 + 3 * 12 + 24 + 32);
    image_fini(&image);
    built_fini(&built);
}

/* No region, no chunk, no entry. */
static void no_ram_at_all(void **state)
{
    struct built built;
    struct image image;

    (void)state;
    built_init(&built);
    image = image_of_with(&built, &with_digests);
    assert_int_equal(section_length(image_section(&image, STASIS_SECTION_INDEX)), 16);
    assert_int_equal(check_image(&image, NULL), 0);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_section_is_as_the_document_has_it),
        cmocka_unit_test(counts_and_regions_that_lie_are_refused),
        cmocka_unit_test(entries_that_lie_are_refused),
        cmocka_unit_test(extents_that_lie_are_refused),
        cmocka_unit_test(a_chunk_with_another_content_is_refused),
        cmocka_unit_test(another_root_is_refused),
        cmocka_unit_test(version_1_has_no_root),
        cmocka_unit_test(a_root_is_that_of_the_content),
        cmocka_unit_test(every_chunk_is_found),
        cmocka_unit_test(a_hole_is_refused_where_it_begins),
        cmocka_unit_test(an_index_grows_with_what_is_stored),
        cmocka_unit_test(no_ram_at_all),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
