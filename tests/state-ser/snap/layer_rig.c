/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/layer_rig.h"

#include <string.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/compress.h"
#include "state-ser/snap/le.h"
#include "state-ser/snap/sha256.h"
#include "stasis/bytes.h"

enum { BELOW, ZERO, STORED, PARTLY };
enum { ENC_ZERO = 1, ENC_RAW, ENC_ZLIB };

struct layer_view layer_look(const struct image *image)
{
    const uint8_t *section = image_section(image, STASIS_SECTION_INDEX);
    const uint8_t *p = image->bytes + section_offset(section);
    uint32_t regions = stasis_le32_get(p);
    struct layer_view view = {
        .image = image,
        .file_count = stasis_le32_get(p + 4),
        .entry_count = stasis_le32_get(p + 8),
        .extent_count = stasis_le32_get(p + 12),
        .names = p + 16 + (size_t)regions * 16,
    };
    size_t len;

    view.entries = view.names + (size_t)view.file_count * 48;
    view.extents = view.entries + (size_t)view.entry_count * 12;
    len = (size_t)(view.extents - p) + (size_t)view.extent_count * 24;
    if (stasis_le64_get(image->bytes + STASIS_HDR_INCOMPATIBLE) & 8) {
        view.digests = p + len;
        len += (size_t)view.extent_count * 32;
    }
    assert_int_equal(section_length(section), len);
    return view;
}

struct layer_entry layer_entry(const struct layer_view *view, uint32_t e)
{
    const uint8_t *p = view->entries + (size_t)e * 12;

    assert_true(e < view->entry_count);
    assert_int_equal(stasis_le16_get(p + 10), 0);
    return (struct layer_entry){stasis_le32_get(p), stasis_le32_get(p + 4), p[8], p[9]};
}

struct layer_extent layer_extent(const struct layer_view *view, uint32_t x)
{
    const uint8_t *p = view->extents + (size_t)x * 24;

    assert_true(x < view->extent_count);
    assert_int_equal(p[23], 0);
    return (struct layer_extent){stasis_le64_get(p),
                                 stasis_le32_get(p + 8),
                                 stasis_le32_get(p + 12),
                                 stasis_le16_get(p + 16),
                                 stasis_le16_get(p + 18),
                                 stasis_le16_get(p + 20),
                                 p[22]};
}

void assert_entry(const struct layer_view *view, uint32_t e, uint32_t first, unsigned kind,
                  unsigned each)
{
    struct layer_entry entry = layer_entry(view, e);

    assert_int_equal(entry.first, first);
    assert_int_equal(entry.kind, kind);
    assert_int_equal(entry.each, each);
}

void assert_extent(const struct layer_view *view, uint32_t x, unsigned encoding, unsigned pages)
{
    struct layer_extent extent = layer_extent(view, x);

    assert_int_equal(extent.encoding, encoding);
    assert_int_equal(extent.stored, pages);
    assert_int_equal(extent.taken, pages);
    assert_int_equal(extent.file, 0);
}

void dirty_add(struct dirty *dirty, unsigned page)
{
    dirty->words[page / 64] |= UINT64_C(1) << page % 64;
}

struct stasis_snap *layer_base(struct built *built, const struct stasis_save_opts *opts)
{
    struct image image = image_of_with(built, opts);
    struct stasis_snap *base = image_reopen(&image);
    struct stasis_error err = {0};

    image_fini(&image);
    if (stasis_snap_set_parent(built->snap, base, &err))
        fail_msg("%s", err.msg);
    return base;
}

/* ---- the layer over its parent ---- */

struct applying {
    struct layer_view view;
    uint64_t pos, end;                /* of the data, where the next extent may lie */
    uint8_t below[STASIS_CHUNK_SIZE]; /* the chunk before, for a whole index */
};

static void check_digest(const struct applying *at, uint32_t x, const struct layer_extent *extent)
{
    const uint8_t *bytes = at->view.image->bytes + extent->offset;
    uint8_t digest[STASIS_DIGEST_SIZE];

    assert_int_equal(stasis_crc32(bytes, extent->len), extent->crc);
    if (!at->view.digests)
        return;
    stasis_sha256(bytes, extent->len, digest);
    assert_memory_equal(digest, at->view.digests + (size_t)x * 32, sizeof(digest));
}

/* The pages of an extent, one behind the other. */
static void unpack(struct applying *at, uint32_t x, const struct layer_extent *extent,
                   uint8_t *pages)
{
    size_t len = (size_t)__builtin_popcount(extent->stored) * 4096;
    const uint8_t *bytes = at->view.image->bytes + extent->offset;
    bool nomem;

    assert_int_equal(extent->stored, extent->taken);
    if (extent->encoding == ENC_ZERO) {
        assert_int_equal(extent->offset | extent->len | extent->crc, 0);
        memset(pages, 0, len);
        check_digest(at, x, extent);
        return;
    }
    assert_true(extent->offset >= at->pos && extent->offset + extent->len <= at->end);
    at->pos = extent->offset + extent->len;
    check_digest(at, x, extent);
    if (extent->encoding == ENC_RAW) {
        assert_int_equal(extent->len, len);
        assert_int_equal(extent->offset % 4096, 0);
        memcpy(pages, bytes, len);
    } else {
        assert_int_equal(extent->encoding, ENC_ZLIB);
        assert_true(extent->len < len);
        assert_true(stasis_decompress(bytes, extent->len, pages, len, &nomem));
    }
}

/* Of the parent, which is the only other file. */
static void take_below(const struct applying *at, const struct layer_extent *extent, uint8_t *ram)
{
    assert_int_equal(extent->file, 1);
    for (unsigned page = 0; page < 16; page++)
        if (extent->taken >> page & 1)
            memcpy(ram + page * 4096, at->below + page * 4096, 4096);
}

/* Returns the pages that it takes. */
static unsigned put(struct applying *at, uint32_t x, uint8_t *ram, size_t size)
{
    struct layer_extent extent = layer_extent(&at->view, x);
    static uint8_t pages[STASIS_CHUNK_SIZE];
    const uint8_t *from = pages;

    assert_int_not_equal(extent.taken, 0);
    assert_int_equal(extent.taken >> size / 4096, 0);
    if (extent.file) {
        take_below(at, &extent, ram);
        return extent.taken;
    }
    unpack(at, x, &extent, pages);
    for (unsigned page = 0; page < 16; page++) {
        if (!(extent.taken >> page & 1))
            continue;
        assert_int_equal(stasis_is_zero(from, 4096), extent.encoding == ENC_ZERO);
        memcpy(ram + page * 4096, from, 4096);
        from += 4096;
    }
    return extent.taken;
}

static void put_chunk(struct applying *at, const struct layer_entry *entry, uint32_t first,
                      uint8_t *ram, size_t size)
{
    unsigned taken = 0;

    memcpy(at->below, ram, size);
    if (entry->kind == ZERO || entry->kind == STORED)
        memset(ram, 0, size);
    for (unsigned k = 0; k < entry->each; k++) {
        unsigned more = put(at, first + k, ram, size);

        assert_int_equal(taken & more, 0);
        assert_true(!taken || __builtin_ctz(taken) < __builtin_ctz(more));
        taken |= more;
    }
}

static void check_entry(const struct layer_view *view, uint32_t e, uint32_t chunk, uint32_t extent)
{
    struct layer_entry entry = layer_entry(view, e);

    assert_int_equal(entry.first, chunk);
    assert_int_equal(entry.first_extent, extent);
    assert_true(entry.kind <= PARTLY && entry.each <= 16);
    assert_int_equal(entry.each != 0, entry.kind == STORED || entry.kind == PARTLY);
    if (e) {
        struct layer_entry before = layer_entry(view, e - 1);

        assert_true(before.kind != entry.kind || before.each != entry.each);
    }
}

void layer_apply(const struct image *image, const struct built *built, uint8_t *const ram[])
{
    const uint8_t *data = image_section(image, STASIS_SECTION_DATA);
    struct applying at = {.view = layer_look(image)};
    uint32_t e = 0, chunk = 0, extent = 0;

    at.pos = section_offset(data);
    at.end = at.pos + section_length(data);
    assert_int_equal(at.view.file_count, 1);
    for (uint32_t r = 0; r < built->region_count; r++)
        for (size_t done = 0; done < built->size[r]; done += STASIS_CHUNK_SIZE, chunk++) {
            size_t left = built->size[r] - done;
            struct layer_entry entry;

            if (e < at.view.entry_count && layer_entry(&at.view, e).first == chunk)
                check_entry(&at.view, e++, chunk, extent);
            entry = layer_entry(&at.view, e - 1);
            put_chunk(&at, &entry, extent, ram[r] + done,
                      left < STASIS_CHUNK_SIZE ? left : STASIS_CHUNK_SIZE);
            extent += entry.each;
        }
    assert_int_equal(e, at.view.entry_count);
    assert_int_equal(extent, at.view.extent_count);
    assert_int_equal(at.pos, at.end);
}
