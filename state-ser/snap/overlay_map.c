/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>

#include "overlay.h"

#define WORDS (STASIS_LEAF_PAGES / 64)

static size_t leaf_of(uint32_t page)
{
    return page / STASIS_LEAF_PAGES;
}

static uint32_t slot_of(uint32_t page)
{
    return page % STASIS_LEAF_PAGES;
}

bool stasis_overlay_map_init(struct stasis_overlay_map *map, uint32_t pages)
{
    size_t count = leaf_of(pages) + 1;

    *map = (struct stasis_overlay_map){.pages = pages, .leaf_count = count};
    map->leaves = calloc(count, sizeof(struct stasis_overlay_leaf *));
    map->zeros = calloc(count, sizeof(*map->zeros));
    map->dirty_leaves = calloc(count / 64 + 1, sizeof(uint64_t));
    if (map->leaves && map->zeros && map->dirty_leaves)
        return true;
    stasis_overlay_map_fini(map);
    return false;
}

void stasis_overlay_map_fini(struct stasis_overlay_map *map)
{
    for (size_t i = 0; map->leaves && i < map->leaf_count; i++)
        free(map->leaves[i]);
    free(map->leaves);
    free(map->zeros);
    free(map->dirty_leaves);
    *map = (struct stasis_overlay_map){0};
}

static struct stasis_overlay_leaf *make_leaf(uint16_t zeros)
{
    struct stasis_overlay_leaf *leaf = calloc(1, sizeof(*leaf));

    for (uint32_t slot = 0; leaf && zeros && slot < STASIS_LEAF_PAGES; slot++) {
        leaf->place[slot] = STASIS_PLACE_ZERO;
        leaf->file[slot] = zeros;
    }
    return leaf;
}

bool stasis_overlay_map_own(struct stasis_overlay_map *map, uint32_t first, uint32_t count)
{
    for (size_t i = leaf_of(first); count && i <= leaf_of(first + count - 1); i++) {
        if (!map->leaves[i])
            map->leaves[i] = make_leaf(map->zeros[i]);
        if (!map->leaves[i])
            return false;
    }
    return true;
}

struct stasis_overlay_entry stasis_overlay_map_get(const struct stasis_overlay_map *map,
                                                   uint32_t page)
{
    const struct stasis_overlay_leaf *leaf = map->leaves[leaf_of(page)];

    if (!leaf && map->zeros[leaf_of(page)])
        return (struct stasis_overlay_entry){STASIS_PLACE_ZERO, 0, map->zeros[leaf_of(page)]};
    if (!leaf)
        return (struct stasis_overlay_entry){STASIS_PLACE_BELOW, 0, 0};
    return (struct stasis_overlay_entry){leaf->place[slot_of(page)], leaf->crc[slot_of(page)],
                                         leaf->file[slot_of(page)]};
}

bool stasis_overlay_map_is_dirty(const struct stasis_overlay_map *map, uint32_t page)
{
    const struct stasis_overlay_leaf *leaf = map->leaves[leaf_of(page)];

    return leaf && leaf->dirty[slot_of(page) / 64] >> slot_of(page) % 64 & 1;
}

static bool is_own(const struct stasis_overlay_leaf *leaf, uint32_t slot)
{
    return leaf->place[slot] != STASIS_PLACE_BELOW && !leaf->file[slot];
}

void stasis_overlay_map_put(struct stasis_overlay_map *map, uint32_t page,
                            struct stasis_overlay_entry entry)
{
    struct stasis_overlay_leaf *leaf = map->leaves[leaf_of(page)];
    uint32_t slot = slot_of(page);

    map->mapped += !is_own(leaf, slot);
    map->dirty += !stasis_overlay_map_is_dirty(map, page);
    leaf->place[slot] = entry.place;
    leaf->crc[slot] = entry.crc;
    leaf->file[slot] = 0;
    leaf->dirty[slot / 64] |= UINT64_C(1) << slot % 64;
    map->dirty_leaves[leaf_of(page) / 64] |= UINT64_C(1) << leaf_of(page) % 64;
}

/* The first leaf from i on that there is, or that has dirty pages; leaf_count: none. */
static size_t next_leaf(const struct stasis_overlay_map *map, size_t i, bool only_dirty)
{
    while (i < map->leaf_count) {
        uint64_t rest = map->dirty_leaves[i / 64] >> i % 64;

        if (only_dirty && !rest)
            i = (i / 64 + 1) * 64;
        else if (only_dirty)
            return i + (size_t)__builtin_ctzll(rest);
        else if (map->leaves[i])
            return i;
        else
            i++;
    }
    return map->leaf_count;
}

/* The first slot from `slot` on, or STASIS_LEAF_PAGES. */
static uint32_t next_slot(const struct stasis_overlay_leaf *leaf, uint32_t slot, bool only_dirty)
{
    while (slot < STASIS_LEAF_PAGES) {
        uint64_t rest = leaf->dirty[slot / 64] >> slot % 64;

        if (only_dirty && rest)
            return slot + (uint32_t)__builtin_ctzll(rest);
        if (only_dirty)
            slot = (slot / 64 + 1) * 64;
        else if (is_own(leaf, slot))
            return slot;
        else
            slot++;
    }
    return STASIS_LEAF_PAGES;
}

uint32_t stasis_overlay_map_next(const struct stasis_overlay_map *map, uint32_t page,
                                 bool only_dirty)
{
    uint32_t slot = slot_of(page);

    for (size_t i = leaf_of(page); page < map->pages; i++) {
        size_t found = next_leaf(map, i, only_dirty);

        if (found == map->leaf_count)
            break;
        slot = next_slot(map->leaves[found], found == i ? slot : 0, only_dirty);
        if (slot < STASIS_LEAF_PAGES)
            return (uint32_t)(found * STASIS_LEAF_PAGES + slot);
        i = found;
        slot = 0;
    }
    return map->pages;
}

void stasis_overlay_map_lay(struct stasis_overlay_map *map, uint32_t page,
                            struct stasis_overlay_entry entry)
{
    struct stasis_overlay_leaf *leaf = map->leaves[leaf_of(page)];

    leaf->place[slot_of(page)] = entry.place;
    leaf->crc[slot_of(page)] = entry.crc;
    leaf->file[slot_of(page)] = entry.file;
}

bool stasis_overlay_map_lay_zeros(struct stasis_overlay_map *map, uint32_t first, uint32_t count,
                                  uint16_t file)
{
    const struct stasis_overlay_entry zero = {STASIS_PLACE_ZERO, 0, file};

    for (uint32_t end = first + count, next; first < end; first = next) {
        size_t leaf = leaf_of(first);
        uint64_t stop = ((uint64_t)leaf + 1) * STASIS_LEAF_PAGES;

        next = stop < end ? (uint32_t)stop : end;
        if (!slot_of(first) && (stop <= end || end == map->pages)) { /* all of the leaf */
            free(map->leaves[leaf]);
            map->leaves[leaf] = NULL;
            map->zeros[leaf] = file;
            continue;
        }
        if (!stasis_overlay_map_own(map, first, next - first))
            return false;
        for (uint32_t page = first; page < next; page++)
            stasis_overlay_map_lay(map, page, zero);
    }
    return true;
}

void stasis_overlay_map_seal(struct stasis_overlay_map *map, uint16_t file)
{
    for (size_t i = 0; (i = next_leaf(map, i, false)) < map->leaf_count; i++)
        for (uint32_t slot = 0; slot < STASIS_LEAF_PAGES; slot++)
            if (is_own(map->leaves[i], slot))
                map->leaves[i]->file[slot] = file;
    map->mapped = 0;
}

void stasis_overlay_map_clean(struct stasis_overlay_map *map)
{
    for (size_t i = 0; (i = next_leaf(map, i, true)) < map->leaf_count; i++)
        for (size_t word = 0; word < WORDS; word++)
            map->leaves[i]->dirty[word] = 0;
    for (size_t i = 0; i <= map->leaf_count / 64; i++)
        map->dirty_leaves[i] = 0;
    map->dirty = 0;
}
