/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/dirty_pages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/kvm_dirty.h"

#define WORD_BITS 64u

static uint64_t pages_of(const struct stasis_memory_region *region)
{
    return region->size / STASIS_MEMORY_PAGE;
}

static size_t words_of(const struct stasis_memory_region *region)
{
    return (size_t)((pages_of(region) + WORD_BITS - 1) / WORD_BITS);
}

/* ---- what this process changes ---- */

/* Most writes go to pages that were written before: those are only looked at. */
static void mark(uint64_t *words, uint64_t first, uint64_t last)
{
    for (uint64_t page = first; page <= last; page++) {
        const uint64_t bit = UINT64_C(1) << page % WORD_BITS;
        uint64_t *word = &words[page / WORD_BITS];

        if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
            __atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
    }
}

/* Behind stasis_memory_writable(), which has found the bytes in one region. */
static void on_change(void *ctx, uint64_t gpa, uint64_t len)
{
    struct stasis_dirty_pages *dirty = ctx;
    uint32_t i = 0;
    uint64_t offset;

    while (gpa - dirty->memory->regions[i].gpa >= dirty->memory->regions[i].size)
        i++;
    offset = gpa - dirty->memory->regions[i].gpa;
    mark(dirty->fresh[i], offset / STASIS_MEMORY_PAGE, (offset + len - 1) / STASIS_MEMORY_PAGE);
}

/* ---- start and end ---- */

static int allocate(struct stasis_dirty_pages *dirty, struct stasis_error *err)
{
    for (uint32_t i = 0; i < dirty->memory->region_count; i++) {
        const size_t words = words_of(&dirty->memory->regions[i]);

        dirty->fresh[i] = calloc(words, sizeof(uint64_t));
        dirty->pages[i] = calloc(words, sizeof(uint64_t));
        if (!dirty->fresh[i] || !dirty->pages[i])
            return stasis_fail(err, STASIS_ERR_NOMEM,
                               "no memory to note which pages of RAM are written");
    }
    return 0;
}

static int find_slot(struct stasis_dirty_pages *dirty, uint32_t region, struct stasis_error *err)
{
    const uint64_t gpa = dirty->memory->regions[region].gpa;

    for (uint32_t slot = 0; slot < dirty->slots->count; slot++) {
        const struct stasis_slot *mapping = stasis_slots_get(dirty->slots, slot);

        if (mapping && mapping->gpa == gpa) {
            dirty->slot_of[region] = slot;
            return 0;
        }
    }
    return stasis_fail(err, STASIS_ERR_UNAVAILABLE, "RAM at 0x%" PRIx64 " is in no memory slot",
                       gpa);
}

/* Off and on again empties a log that there was. */
static int start_logs(struct stasis_dirty_pages *dirty, struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < dirty->memory->region_count; i++) {
        rc = find_slot(dirty, i, err);
        if (!rc)
            rc = stasis_slots_set_log(dirty->slots, dirty->slot_of[i], true, err);
    }
    return rc;
}

int stasis_dirty_pages_start(struct stasis_dirty_pages *dirty, struct stasis_slots *slots,
                             struct stasis_memory *memory, struct stasis_error *err)
{
    int rc;

    stasis_dirty_pages_stop(dirty);
    dirty->slots = slots;
    dirty->memory = memory;
    rc = allocate(dirty, err);
    if (!rc)
        rc = start_logs(dirty, err);
    if (rc)
        stasis_dirty_pages_stop(dirty);
    else
        memory->watcher = (struct stasis_memory_watcher){on_change, dirty};
    return rc;
}

void stasis_dirty_pages_fini(struct stasis_dirty_pages *dirty)
{
    for (uint32_t i = 0; i < STASIS_MEMORY_REGION_MAX; i++) {
        free(dirty->fresh[i]);
        free(dirty->pages[i]);
    }
    memset(dirty, 0, sizeof(*dirty));
}

/* A log that KVM does not switch off costs time, and nobody reads it. */
void stasis_dirty_pages_stop(struct stasis_dirty_pages *dirty)
{
    if (!dirty->memory)
        return;
    dirty->memory->watcher = (struct stasis_memory_watcher){NULL, NULL};
    for (uint32_t i = 0; i < dirty->memory->region_count; i++)
        (void)!stasis_slots_set_log(dirty->slots, dirty->slot_of[i], false, NULL);
    stasis_dirty_pages_fini(dirty);
}

bool stasis_dirty_pages_is_on(const struct stasis_dirty_pages *dirty)
{
    return dirty->memory;
}

/* ---- the bitmap ---- */

/* KVM's bitmap has its first page in bit 0 of byte 0, which on x86, where KVM is used here, is bit
 * 0 of a word. */
static int harvest_log(struct stasis_dirty_pages *dirty, uint32_t region, struct stasis_error *err)
{
    const size_t words = words_of(&dirty->memory->regions[region]);
    uint64_t *log = malloc(words * sizeof(*log));
    int rc;

    if (!log)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a dirty log");
    rc = stasis_dirty_get(dirty->slots, dirty->slot_of[region], log, words * sizeof(*log), err);
    for (size_t i = 0; !rc && i < words; i++)
        dirty->pages[region][i] |= log[i];
    free(log);
    return rc;
}

static void harvest_fresh(struct stasis_dirty_pages *dirty, uint32_t region)
{
    const size_t words = words_of(&dirty->memory->regions[region]);

    for (size_t i = 0; i < words; i++) {
        uint64_t *word = &dirty->fresh[region][i];

        if (__atomic_load_n(word, __ATOMIC_RELAXED))
            dirty->pages[region][i] |= __atomic_exchange_n(word, 0, __ATOMIC_RELAXED);
    }
}

int stasis_dirty_pages_harvest(struct stasis_dirty_pages *dirty, struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < dirty->memory->region_count; i++) {
        rc = harvest_log(dirty, i, err);
        if (!rc)
            harvest_fresh(dirty, i);
    }
    if (rc)
        stasis_dirty_pages_stop(dirty);
    return rc;
}

const uint64_t *stasis_dirty_pages_of(const struct stasis_dirty_pages *dirty, uint32_t region)
{
    return dirty->pages[region];
}

uint64_t stasis_dirty_pages_count(const struct stasis_dirty_pages *dirty)
{
    uint64_t count = 0;

    for (uint32_t i = 0; dirty->memory && i < dirty->memory->region_count; i++) {
        const size_t words = words_of(&dirty->memory->regions[i]);

        for (size_t word = 0; word < words; word++)
            count += (unsigned)__builtin_popcountll(dirty->pages[i][word]);
    }
    return count;
}

void stasis_dirty_pages_commit(struct stasis_dirty_pages *dirty)
{
    for (uint32_t i = 0; i < dirty->memory->region_count; i++)
        memset(dirty->pages[i], 0, words_of(&dirty->memory->regions[i]) * sizeof(uint64_t));
}
