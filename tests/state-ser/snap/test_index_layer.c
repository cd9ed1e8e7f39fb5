/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index of a layer, made by hand: names, kinds, extents of a few pages, and all that a layer
 * must not say.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "state-ser/snap/index_runs.h"
#include "state-ser/snap/le.h"

#define DATA     UINT64_C(8192)
#define DATA_LEN UINT64_C(65536)

/* Two regions: 4 chunks, and 1 of 2 pages. */
enum { NAMES = 16 + 2 * 16 };

/* A section as it grows. */
struct section {
    struct stasis_header header;
    uint8_t bytes[4096];
    size_t len;
    uint32_t names;
    uint32_t entries;
    uint32_t extents;
};

static void add(struct section *s, const void *bytes, size_t len)
{
    memcpy(s->bytes + s->len, bytes, len);
    s->len += len;
}

static void name(struct section *s, uint8_t uuid)
{
    uint8_t bytes[STASIS_RUNS_NAME_LEN] = {uuid};

    bytes[STASIS_UUID_SIZE] = (uint8_t)~uuid; /* its root */
    add(s, bytes, sizeof(bytes));
    s->names++;
}

static void begin(struct section *s)
{
    const uint64_t regions[] = {0, 4 * 65536, UINT64_C(1) << 32, 8192};

    memset(s, 0, sizeof(*s));
    s->header.info.format_version = 2;
    s->header.info.layer = true;
    s->header.info.ram_bytes = 4 * 65536 + 8192;
    s->header.info.incompatible = STASIS_FEATURE_LAYER | STASIS_FEATURE_ZLIB;
    s->header.info.uuid[0] = 100;
    s->header.info.parent_uuid[0] = 50;
    s->header.info.parent_root[0] = 205;
    s->header.section_count = 2;
    s->header.sections[0] = (struct stasis_section){.type = STASIS_SECTION_INDEX};
    s->header.sections[1] = (struct stasis_section){.type = STASIS_SECTION_DATA, .offset = DATA};
    s->len = 16;
    for (unsigned i = 0; i < 4; i++)
        stasis_le64_put(s->bytes + 16 + (size_t)8 * i, regions[i]);
    s->len += sizeof(regions);
}

static void entry(struct section *s, uint32_t first, uint32_t extent, uint8_t kind, uint8_t each)
{
    const struct stasis_run run = {
        .first = first, .first_extent = extent, .kind = kind, .each = each};
    uint8_t bytes[STASIS_RUNS_ENTRY_LEN];

    stasis_run_encode(&run, bytes);
    add(s, bytes, sizeof(bytes));
    s->entries++;
}

/* Of this file it is stored, behind what is there. */
static void extent(struct section *s, uint16_t stored, uint16_t taken, uint16_t file,
                   uint8_t encoding, uint64_t offset, uint32_t len)
{
    uint8_t bytes[STASIS_RUNS_EXTENT_LEN] = {0};

    stasis_le64_put(bytes, offset);
    stasis_le32_put(bytes + 8, len);
    stasis_le16_put(bytes + 16, stored);
    stasis_le16_put(bytes + 18, taken);
    stasis_le16_put(bytes + 20, file);
    bytes[22] = encoding;
    add(s, bytes, sizeof(bytes));
    s->extents++;
    if (!file && offset >= DATA) {
        s->header.info.stored_bytes += len;
        s->header.sections[1].length = offset + len - DATA;
    }
}

static int parse(struct section *s, struct stasis_index *ret_index, struct stasis_error *err)
{
    struct stasis_index index = {.len = s->len};
    int rc;

    stasis_le32_put(s->bytes, 2);
    stasis_le32_put(s->bytes + 4, s->names);
    stasis_le32_put(s->bytes + 8, s->entries);
    stasis_le32_put(s->bytes + 12, s->extents);
    index.bytes = malloc(s->len); /* as long as it is, for those who look behind its end */
    assert_non_null(index.bytes);
    memcpy(index.bytes, s->bytes, s->len);
    rc = stasis_index_parse(&index, &s->header, err);
    if (rc)
        stasis_index_fini(&index);
    else
        *ret_index = index;
    return rc;
}

static void refused(struct section *s, const char *words)
{
    struct stasis_error err = {0};
    struct stasis_index index;
    int rc = parse(s, &index, &err);

    if (rc != STASIS_ERR_CORRUPT || err.code != STASIS_ERR_CORRUPT || !strstr(err.msg, words))
        fail_msg("got %d \"%s\", expected \"%s\"", rc, err.msg, words);
}

/* Below; partly: pages 0, 2 zero, page 1 here, page 15 here and compressed with 14; stored; as the
 * parent again. */
static void partial(struct section *s)
{
    begin(s);
    name(s, 50);
    entry(s, 0, 0, 0, 0);
    entry(s, 1, 0, 3, 3);
    entry(s, 2, 3, 2, 1);
    entry(s, 3, 4, 0, 0);
    extent(s, 5, 5, 0, STASIS_CHUNK_ZERO, 0, 0);
    extent(s, 2, 2, 0, STASIS_CHUNK_RAW, DATA, 4096);
    extent(s, 0xc000, 0x8000, 0, STASIS_CHUNK_ZLIB, DATA + 4096, 100);
    extent(s, 0x101, 0x100, 0, STASIS_CHUNK_RAW, DATA + 8192, 8192);
}

/* Two chunks with bytes of this file, the parent and another; zero ones between and behind. */
static void whole(struct section *s)
{
    begin(s);
    name(s, 50);
    name(s, 7);
    entry(s, 0, 0, 2, 1);
    entry(s, 1, 1, 1, 0);
    entry(s, 3, 1, 2, 2);
    entry(s, 4, 3, 1, 0);
    extent(s, 0xffff, 0xfffe, 2, STASIS_CHUNK_RAW, 4096, 65536);
    extent(s, 0xffff, 0x7ff1, 1, STASIS_CHUNK_ZLIB, 1, 60000);
    extent(s, 2, 2, 0, STASIS_CHUNK_RAW, DATA, 4096);
}

static void a_partial_index_says_what_is_as_below(void **state)
{
    struct stasis_index_extents extents;
    struct stasis_snap_chunk chunk;
    struct stasis_error err = {0};
    struct stasis_index index;
    struct section s;

    (void)state;
    partial(&s);
    if (parse(&s, &index, &err))
        fail_msg("%s", err.msg);
    assert_true(index.runs.partial);
    assert_memory_equal(stasis_index_name(&index, 1), "\x32", 1);
    assert_int_equal(stasis_index_get(&index, 0).kind, STASIS_CHUNK_ABSENT);
    chunk = stasis_index_get(&index, 1);
    assert_int_equal(chunk.kind, STASIS_CHUNK_EXTENTS);
    assert_int_equal(chunk.page_mask, 0x8002);
    assert_int_equal(chunk.stored_len, 4196);
    stasis_index_get_extents(&index, 1, &extents);
    assert_int_equal(extents.kind, STASIS_RUN_PARTLY);
    assert_int_equal(extents.count, 3);
    assert_null(extents.digests);
    assert_int_equal(extents.list[0].encoding, STASIS_CHUNK_ZERO);
    assert_int_equal(extents.list[2].stored_pages, 0xc000);
    assert_int_equal(extents.list[2].taken_pages, 0x8000);
    assert_int_equal(extents.list[2].offset, DATA + 4096);
    stasis_index_get_extents(&index, 2, &extents);
    assert_int_equal(extents.kind, STASIS_RUN_STORED);
    assert_int_equal(extents.list[0].stored_len, 8192);
    stasis_index_get_extents(&index, 4, &extents);
    assert_int_equal(extents.count, 0);
    assert_int_equal(stasis_index_zero_end(&index, 0, 5), 0); /* below is not zero */
    assert_int_equal(stasis_index_run_end(&index, 0, 5), 1);
    assert_int_equal(stasis_index_run_end(&index, 1, 5), 2);
    stasis_index_fini(&index);
}

static void a_whole_index_names_other_files(void **state)
{
    struct stasis_index_extents extents;
    struct stasis_error err = {0};
    struct stasis_index index;
    struct section s;

    (void)state;
    whole(&s);
    if (parse(&s, &index, &err))
        fail_msg("%s", err.msg);
    assert_false(index.runs.partial);
    stasis_index_get_extents(&index, 3, &extents);
    assert_int_equal(extents.count, 2);
    assert_int_equal(extents.list[0].file, 1);
    assert_int_equal(extents.list[1].file, 0);
    assert_int_equal(stasis_index_zero_end(&index, 1, 5), 3);
    assert_int_equal(stasis_index_run_end(&index, 1, 5), 3);
    assert_int_equal(stasis_index_run_end(&index, 1, 2), 2);
    stasis_index_fini(&index);
}

/* Bytes at a place of one of the two. */
static void with(void (*make)(struct section *s), size_t at, unsigned bytes, uint64_t value,
                 const char *words)
{
    struct section s;

    make(&s);
    for (unsigned i = 0; i < bytes; i++)
        s.bytes[at + i] = (uint8_t)(value >> (8 * i));
    refused(&s, words);
}

static void names_that_lie_are_refused(void **state)
{
    struct section s;

    (void)state;
    with(whole, NAMES, 1, 51, "is not the parent that the header names");
    with(whole, NAMES + 16, 1, 1, "is not the parent that the header names");
    with(whole, NAMES + 48, 1, 50, "name 2 of the index is that of the parent");
    with(whole, NAMES + 48, 1, 100, "name 2 of the index is that of the file itself");
    whole(&s);
    s.names = 0;
    refused(&s, "cannot name 0 files");
    s.names = STASIS_LAYER_NAMES_MAX + 1;
    refused(&s, "cannot name 4096 files");
    s.names = 4095;
    refused(&s, "cannot hold 2 regions");
    begin(&s);
    name(&s, 50);
    name(&s, 7);
    name(&s, 7);
    refused(&s, "name 3 of the index does not sort behind");
    whole(&s);
    stasis_le16_put(s.bytes + s.len - 3 * 24 + 20, 0); /* the only one out of file 2 */
    stasis_le64_put(s.bytes + s.len - 3 * 24, DATA);
    refused(&s, "over another chunk");
    stasis_le64_put(s.bytes + s.len - 24, DATA + 65536);
    s.header.info.stored_bytes += 65536;
    s.header.sections[1].length += 65536;
    refused(&s, "name 2 of the index is that of a file from which nothing is taken");
    whole(&s);
    s.header.info.layer = false;
    refused(&s, "cannot hold 2 regions");
    partial(&s);
    memmove(s.bytes + NAMES + 96, s.bytes + NAMES + 48, s.len - NAMES - 48);
    s.bytes[NAMES + 48] = 60;
    s.len += 48;
    s.names++;
    refused(&s, "names more files than the parent");
}

static void entries_that_lie_are_refused(void **state)
{
    const size_t entries = NAMES + 48;
    const char *fields = "another number of extents than its kind";
    struct section s;

    (void)state;
    begin(&s);
    name(&s, 50);
    refused(&s, "the index has 0 entries for its RAM");
    with(partial, entries + 8, 1, 4, "is of an unknown kind");
    with(partial, entries + 9, 1, 1, fields);
    with(partial, entries + 12 + 9, 1, 0, fields);
    with(partial, entries + 12 + 9, 1, 17, fields);
    with(partial, entries + 12 + 10, 2, 1, fields);
    with(partial, entries + 24 + 8, 2, 0x303, "is of the kind of the one before it");
    with(partial, entries + 24 + 8, 2, 0x302, "begins with another extent");
}

static void extents_that_lie_are_refused(void **state)
{
    const size_t at = NAMES + 48 + 4 * 12;    /* of a partial index */
    const size_t other = NAMES + 96 + 4 * 12; /* of a whole one */
    const char *pages = "takes pages that are not stored, or none";

    (void)state;
    with(partial, at + 24 + 18, 2, 0, pages);
    with(partial, at + 24 + 18, 2, 6, pages);
    with(partial, at + 48 + 16, 2, 0, pages);
    with(partial, at + 24 + 16, 4, 0x00060006, "takes a page from two places");
    with(partial, at + 18, 2, 4, "zeros that are stored");
    with(partial, at, 8, 4096, "zeros that are stored");
    with(partial, at + 8, 4, 1, "zeros that are stored");
    with(partial, at + 12, 4, 1, "zeros that are stored");
    with(partial, at + 20, 2, 1, "zeros that are stored");
    with(partial, at + 72 + 22, 1, 1, "zeros that are stored"); /* in a chunk that is stored */
    with(partial, at + 16, 4, 0x00080008, "extents that are not in order");
    with(partial, at + 24 + 8, 4, 8192, "its length is not that of its pages");
    with(partial, at + 48 + 8, 4, 8192, "is compressed, but not smaller");
    with(partial, at + 48 + 8, 4, 0, "is compressed, but not smaller");
    with(partial, at + 24, 8, DATA + 1, "page boundary");
    with(partial, at + 24, 8, 4096, "outside the data section");
    with(partial, at + 24 + 20, 2, 1, "in a file that has no name"); /* only whole ones take */
    with(partial, at + 24 + 22, 1, 0, "is of an unknown kind");
    with(partial, at + 24 + 22, 1, 4, "is of an unknown kind");
    with(partial, at + 24 + 23, 1, 1, "reserved byte");
    with(whole, other + 20, 2, 3, "in a file that has no name");
    with(whole, other + 24 + 18, 2, 2, "takes a page from two places");
}

static void what_the_header_forbids_is_refused(void **state)
{
    struct section s;

    (void)state;
    partial(&s);
    s.header.info.incompatible &= ~STASIS_FEATURE_ZLIB;
    refused(&s, "is of an unknown kind");
    partial(&s);
    s.header.info.stored_bytes++;
    refused(&s, "the header says");
    whole(&s);
    s.header.sections[1].length += 4096;
    refused(&s, "does not end the data section");
    whole(&s);
    s.header.info.digests = true;
    refused(&s, "its regions need");
    begin(&s); /* the last chunk has 2 pages */
    name(&s, 50);
    entry(&s, 0, 0, 0, 0);
    entry(&s, 4, 0, 3, 1);
    extent(&s, 4, 4, 0, STASIS_CHUNK_RAW, DATA, 4096);
    refused(&s, "takes pages that are not stored");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partial_index_says_what_is_as_below),
        cmocka_unit_test(a_whole_index_names_other_files),
        cmocka_unit_test(names_that_lie_are_refused),
        cmocka_unit_test(entries_that_lie_are_refused),
        cmocka_unit_test(extents_that_lie_are_refused),
        cmocka_unit_test(what_the_header_forbids_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
