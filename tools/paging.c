/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/paging.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES    512u
#define LEVELS_MAX 5u

/* Intel SDM 3A, table 4-15 on: bits of an entry. */
#define PRESENT (UINT64_C(1) << 0)
#define IS_PAGE (UINT64_C(1) << 7) /* levels 2 and 3 only */
#define ADDRESS UINT64_C(0x000ffffffffff000)

static unsigned shift_of(unsigned level)
{
    return 12 + 9 * (level - 1);
}

static bool is_page(uint64_t entry, unsigned level)
{
    return level == 1 || (level <= 3 && (entry & IS_PAGE));
}

/* A page of levels 2 and 3 has other bits where a table has address bits. */
static uint64_t page_address(uint64_t entry, unsigned level)
{
    return entry & ADDRESS & ~((UINT64_C(1) << shift_of(level)) - 1);
}

/* ---- the ranges ---- */

int stasis_paging_init(struct stasis_paging *paging, struct stasis_inspect_ram *ram,
                       struct stasis_error *err)
{
    /* calloc() wants no 0; a snapshot may have no RAM. */
    uint16_t *walked = calloc(stasis_snap_chunk_count(ram->snap) + 1, sizeof(*walked));

    if (!walked)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to walk page tables");
    *paging = (struct stasis_paging){.ram = ram, .walked = walked};
    return 0;
}

void stasis_paging_fini(struct stasis_paging *paging)
{
    free(paging->walked);
    free(paging->ranges);
    *paging = (struct stasis_paging){0};
}

static bool joins(const struct stasis_paging_range *last, const struct stasis_paging_range *next)
{
    return last->va + last->len == next->va && last->gpa + last->len == next->gpa;
}

static int grow(struct stasis_paging *paging, struct stasis_error *err)
{
    size_t capacity = paging->capacity ? 2 * paging->capacity : 64;
    void *ranges = realloc(paging->ranges, capacity * sizeof(*paging->ranges));

    if (!ranges)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the ranges of page tables");
    paging->ranges = ranges;
    paging->capacity = capacity;
    return 0;
}

static int add(struct stasis_paging *paging, struct stasis_paging_range range,
               struct stasis_error *err)
{
    struct stasis_paging_range *last = paging->count ? &paging->ranges[paging->count - 1] : NULL;
    int rc = 0;

    if (last && joins(last, &range)) {
        last->len += range.len;
        return 0;
    }
    if (paging->count == STASIS_PAGING_RANGES_MAX) {
        paging->full = true;
        return 0;
    }
    if (paging->count == paging->capacity)
        rc = grow(paging, err);
    if (rc)
        return rc;
    assert(paging->ranges);
    paging->ranges[paging->count++] = range;
    return 0;
}

/* A page may hang over the end of RAM, or hold several regions: 1 GiB across the hole for I/O. */
static int add_page(struct stasis_paging *paging, uint64_t va, uint64_t gpa, uint64_t len,
                    struct stasis_error *err)
{
    const struct stasis_snap *snap = paging->ram->snap;
    int rc = 0;

    for (uint32_t i = 0; i < stasis_snap_region_count(snap) && !rc; i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);
        uint64_t start = region.gpa > gpa ? region.gpa : gpa;
        uint64_t end = region.gpa + region.size < gpa + len ? region.gpa + region.size : gpa + len;

        if (start < end)
            rc = add(paging, (struct stasis_paging_range){va + (start - gpa), start, end - start},
                     err);
    }
    return rc;
}

static int by_va(const void *a, const void *b)
{
    const struct stasis_paging_range *x = a;
    const struct stasis_paging_range *y = b;

    return (x->va > y->va) - (x->va < y->va);
}

void stasis_paging_sort(struct stasis_paging *paging)
{
    size_t kept = 0;

    if (!paging->count)
        return;
    qsort(paging->ranges, paging->count, sizeof(*paging->ranges), by_va);
    for (size_t i = 1; i < paging->count; i++) {
        if (joins(&paging->ranges[kept], &paging->ranges[i]))
            paging->ranges[kept].len += paging->ranges[i].len;
        else
            paging->ranges[++kept] = paging->ranges[i];
    }
    paging->count = kept + 1;
}

/* ---- the walk ---- */

/* One table on the way down. */
struct frame {
    uint64_t va; /* that its first entry stands for */
    unsigned next;
    unsigned end;
    uint64_t entries[ENTRIES];
};

struct walk {
    struct stasis_paging *paging;
    unsigned levels;
    unsigned depth; /* frames in use; the last is the table we are in */
    struct frame frames[LEVELS_MAX];
};

/* Whether the table has yet to be followed; marks it as followed. */
static bool is_new(struct stasis_paging *paging, uint64_t gpa)
{
    uint64_t chunk;
    unsigned bit;

    if (!stasis_inspect_ram_find(paging->ram->snap, gpa, &chunk))
        return false;
    gpa -= stasis_snap_chunk_at(paging->ram->snap, chunk).gpa;
    bit = 1u << (gpa / STASIS_PAGE_SIZE);
    if (paging->walked[chunk] & bit)
        return false;
    paging->walked[chunk] |= (uint16_t)bit;
    return true;
}

static int enter(struct walk *walk, uint64_t gpa, uint64_t va, struct stasis_error *err)
{
    struct frame *frame = &walk->frames[walk->depth];
    int rc;

    if (!is_new(walk->paging, gpa))
        return 0;
    rc = stasis_inspect_ram_read(walk->paging->ram, gpa, frame->entries, sizeof(frame->entries),
                                 err);
    if (rc)
        return rc;
    frame->va = va;
    frame->next = 0;
    frame->end = ENTRIES;
    walk->depth++;
    return 0;
}

/* The next entry of the table we are in. */
static int step(struct walk *walk, struct stasis_error *err)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    unsigned level = walk->levels - (walk->depth - 1);
    unsigned top_bit = shift_of(walk->levels) + 8;
    uint64_t entry = le64toh(frame->entries[frame->next]);
    uint64_t va = frame->va + ((uint64_t)frame->next++ << shift_of(level));

    if (!(entry & PRESENT))
        return 0;
    if (va >> top_bit & 1)
        va |= ~UINT64_C(0) << top_bit; /* canonical: the highest bit repeats */
    if (is_page(entry, level))
        return add_page(walk->paging, va, page_address(entry, level),
                        UINT64_C(1) << shift_of(level), err);
    return entry & IS_PAGE ? 0 /* reserved in the upper levels */
                           : enter(walk, entry & ADDRESS, va, err);
}

int stasis_paging_walk(struct stasis_paging *paging, uint64_t cr3, unsigned levels, unsigned halves,
                       struct stasis_error *err)
{
    struct walk walk;
    int rc;

    walk.paging = paging;
    walk.levels = levels;
    walk.depth = 0;
    rc = enter(&walk, cr3 & ADDRESS, 0, err);
    if (walk.depth) {
        walk.frames[0].next = halves & STASIS_PAGING_LOWER ? 0 : ENTRIES / 2;
        walk.frames[0].end = halves & STASIS_PAGING_UPPER ? ENTRIES : ENTRIES / 2;
    }
    while (walk.depth && !rc && !paging->full) {
        struct frame *frame = &walk.frames[walk.depth - 1];

        if (frame->next == frame->end)
            walk.depth--;
        else
            rc = step(&walk, err);
    }
    return rc;
}

int stasis_paging_translate(struct stasis_inspect_ram *ram, uint64_t cr3, unsigned levels,
                            uint64_t va, uint64_t *ret_gpa, struct stasis_error *err)
{
    uint64_t table = cr3 & ADDRESS;

    for (unsigned level = levels; level >= 1; level--) {
        unsigned shift = shift_of(level);
        uint64_t entry;
        int rc = stasis_inspect_ram_read(ram, table + 8 * (va >> shift & (ENTRIES - 1)), &entry,
                                         sizeof(entry), err);

        if (rc)
            return rc;
        entry = le64toh(entry);
        if (!(entry & PRESENT))
            break;
        if (is_page(entry, level)) {
            *ret_gpa = page_address(entry, level) | (va & ((UINT64_C(1) << shift) - 1));
            return 0;
        }
        table = entry & ADDRESS;
    }
    return stasis_fail(err, STASIS_ERR_NOT_FOUND, "address 0x%" PRIx64 " is not mapped", va);
}
