/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "populated.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io.h"
#include "ram_io.h"
#include "stasis/snap.h"

#define RANGES_MAX  256  /* of one call of PAGEMAP_SCAN */
#define ENTRIES_MAX 4096 /* of one read of pagemap: 16 MiB of memory */

/* Bits of a pagemap entry (admin-guide/mm/pagemap.rst): present, swapped out. */
#define HOLDS (UINT64_C(3) << 62)

/* What an anonymous page of ours never has: of a file, write-protected by userfaultfd, a guard, and
 * the two bits that are always 0. */
#define NEVER_OURS (UINT64_C(0x1f) << 57)

struct visitor {
    void (*found)(void *ctx, uintptr_t start, uintptr_t end);
    void *ctx;
};

/* How far it came; not to the end only if the kernel cannot do it. */
static uintptr_t scan(int pagemap, uintptr_t at, uintptr_t end, const struct visitor *visitor)
{
    struct stasis_page_range ranges[RANGES_MAX];

    while (at < end) {
        uint64_t stop = at;
        int count = stasis_ram_io_scan_pagemap(pagemap, at, end, ranges, RANGES_MAX, &stop);

        if (count < 0 || stop <= at)
            break;
        for (int i = 0; i < count; i++)
            visitor->found(visitor->ctx, ranges[i].start, ranges[i].end);
        at = stop;
    }
    return at;
}

/* Calls `found` for each run of entries, from that of the page at `at`, that hold something. */
static void visit_entries(const uint64_t *entries, size_t count, uintptr_t at,
                          const struct visitor *visitor)
{
    size_t i = 0;

    while (i < count) {
        size_t first;

        while (i < count && !(entries[i] & HOLDS))
            i++;
        for (first = i; i < count && entries[i] & HOLDS; i++)
            ;
        if (i > first)
            visitor->found(visitor->ctx, at + first * STASIS_PAGE_SIZE, at + i * STASIS_PAGE_SIZE);
    }
}

/* How far it came, as scan(). */
static uintptr_t read_entries(int pagemap, uintptr_t at, uintptr_t end,
                              const struct visitor *visitor)
{
    uint64_t entries[ENTRIES_MAX];

    while (at < end) {
        size_t left = (end - at) / STASIS_PAGE_SIZE;
        size_t len = (left < ENTRIES_MAX ? left : ENTRIES_MAX) * sizeof(entries[0]);
        ssize_t n =
            stasis_io_pread(pagemap, entries, len, at / STASIS_PAGE_SIZE * sizeof(entries[0]));

        if (n < (ssize_t)sizeof(entries[0]))
            break;
        visit_entries(entries, (size_t)n / sizeof(entries[0]), at, visitor);
        at += (size_t)n / sizeof(entries[0]) * STASIS_PAGE_SIZE;
    }
    return at;
}

/* Within one of the mappings. */
static void find_here(const struct stasis_populated *populated, uintptr_t at, uintptr_t end,
                      const struct visitor *visitor)
{
    if (populated->by == STASIS_POPULATED_BY_SCAN)
        at = scan(populated->pagemap, at, end, visitor);
    at = read_entries(populated->pagemap, at, end, visitor);
    if (at < end)
        visitor->found(visitor->ctx, at, end);
}

void stasis_populated_fini(struct stasis_populated *populated)
{
    stasis_io_close(populated->pagemap);
    populated->pagemap = -1;
    stasis_mappings_fini(&populated->mappings);
}

/* Every other page of the probe is written to. */
#define PROBE_PAGES 256

struct probe {
    uintptr_t base;
    unsigned right, wrong; /* pages that were found */
};

static void note_pages(void *ctx, uintptr_t start, uintptr_t end)
{
    struct probe *probe = ctx;

    for (uintptr_t at = start; at < end; at += STASIS_PAGE_SIZE) {
        if ((at - probe->base) / STASIS_PAGE_SIZE % 2)
            probe->right++;
        else
            probe->wrong++;
    }
}

bool stasis_populated_is_ours(uint64_t entry)
{
    return entry & HOLDS && !(entry & NEVER_OURS);
}

/* Bytes in the other order have the low bits of frame numbers on top: those of neighbours can all
 * look like "holds something", but not all like pages of ours. */
static bool in_our_byte_order(int pagemap, uintptr_t base)
{
    uint64_t entries[PROBE_PAGES];
    uint64_t offset = base / STASIS_PAGE_SIZE * sizeof(entries[0]);
    bool ours = stasis_io_pread(pagemap, entries, sizeof(entries), offset) == sizeof(entries);

    for (size_t i = 1; i < PROBE_PAGES && ours; i += 2)
        ours = stasis_populated_is_ours(entries[i]);
    return ours;
}

/* Whether /proc speaks of this process's addresses, and in its byte order: under a user-mode
 * emulator (qemu-user) it shows the emulator's. Memory that is called empty by mistake would be
 * lost. */
static bool tells_the_truth(const struct stasis_populated *populated)
{
    const size_t len = (size_t)PROBE_PAGES * STASIS_PAGE_SIZE;
    uint8_t *pages = stasis_ram_io_small_pages(len);
    struct probe probe = {.base = (uintptr_t)pages};
    const struct visitor visitor = {note_pages, &probe};
    bool ours;

    if (!pages)
        return false;
    for (size_t i = 1; i < PROBE_PAGES; i += 2)
        *(volatile uint8_t *)(pages + i * STASIS_PAGE_SIZE) = 1;
    find_here(populated, probe.base, probe.base + len, &visitor);
    ours = in_our_byte_order(populated->pagemap, probe.base);
    stasis_ram_io_scratch_free(pages, len);
    return ours && probe.right == PROBE_PAGES / 2 && !probe.wrong;
}

struct reading {
    enum stasis_mappings_from from;
    int fd; /* ours, or 0: who asks may have given up, and closed its own */
    uintptr_t start;
    uintptr_t end;
    struct stasis_mappings mappings;
    bool known;
};

static void read_it(void *arg)
{
    struct reading *reading = arg;

    reading->known = stasis_mappings_read(&reading->mappings, reading->from, reading->fd,
                                          reading->start, reading->end);
}

static void reading_free(void *arg)
{
    struct reading *reading = arg;

    if (reading->fd)
        stasis_io_close(reading->fd);
    stasis_mappings_fini(&reading->mappings);
    free(reading);
}

static bool read_mappings(struct stasis_populated *populated, enum stasis_mappings_from from,
                          int fd, uintptr_t start, uintptr_t end, const struct stasis_watch *watch)
{
    struct reading *reading = malloc(sizeof(*reading));
    bool known;

    if (!reading)
        return false;
    *reading = (struct reading){
        .from = from, .fd = fd ? stasis_io_dup(fd) : 0, .start = start, .end = end};
    if (!stasis_aside_run(read_it, reading_free, reading, watch))
        return false;
    known = reading->known;
    populated->mappings = reading->mappings;
    reading->mappings = (struct stasis_mappings){0};
    reading_free(reading);
    return known;
}

void stasis_populated_init(struct stasis_populated *populated, enum stasis_populated_by by,
                           enum stasis_mappings_from from,
                           const struct stasis_populated_files *files, uintptr_t start,
                           uintptr_t end, const struct stasis_watch *watch)
{
    *populated = (struct stasis_populated){.by = by, .pagemap = -1};
    /* Chunks count pages of 4 KiB, pagemap those of the host. */
    if (by == STASIS_POPULATED_BY_NOTHING || sysconf(_SC_PAGESIZE) != STASIS_PAGE_SIZE ||
        !read_mappings(populated, from, files->mappings, start, end, watch))
        return;
    populated->pagemap = files->pagemap
                             ? stasis_io_dup(files->pagemap)
                             : stasis_io_open(AT_FDCWD, "/proc/self/pagemap", O_RDONLY, 0);
    if (populated->pagemap < 0 || !tells_the_truth(populated))
        stasis_populated_fini(populated);
}

void stasis_populated_find(const struct stasis_populated *populated, uintptr_t start, uintptr_t end,
                           void (*found)(void *ctx, uintptr_t start, uintptr_t end), void *ctx)
{
    const struct stasis_mappings *mappings = &populated->mappings;
    const struct visitor visitor = {found, ctx};

    for (size_t i = stasis_mappings_behind(mappings, start);
         i < mappings->count && mappings->list[i].start < end; i++) {
        struct stasis_mapping here = mappings->list[i];
        uintptr_t stop = here.end < end ? here.end : end;

        if (here.start > start) {
            found(ctx, start, here.start);
            start = here.start;
        }
        find_here(populated, start, stop, &visitor);
        start = stop;
    }
    if (start < end)
        found(ctx, start, end);
}
