/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "overlay.h"

#define PLACES_MAX UINT32_MAX

/* Room for the bits of all places below `end`. */
static bool reserve(struct stasis_overlay_places *places, uint32_t end)
{
    size_t words = (size_t)end / 64 + 1;
    size_t room = words + words / 2 + 64;
    uint64_t *used, *leaving;

    if (words <= places->words)
        return true;
    used = realloc(places->used, room * sizeof(*used));
    if (!used)
        return false;
    places->used = used;
    leaving = realloc(places->leaving, room * sizeof(*leaving));
    if (!leaving)
        return false;
    places->leaving = leaving;
    memset(used + places->words, 0, (room - places->words) * sizeof(*used));
    memset(leaving + places->words, 0, (room - places->words) * sizeof(*leaving));
    places->words = room;
    return true;
}

static bool is_used(const struct stasis_overlay_places *places, uint32_t place)
{
    return places->used[place / 64] >> place % 64 & 1;
}

bool stasis_overlay_places_init(struct stasis_overlay_places *places, uint32_t end)
{
    size_t words = (size_t)end / 64 + 1;

    /* Of a file with few places in use, and holes, the system has no memory for most of it. */
    *places = (struct stasis_overlay_places){.end = end,
                                             .free = end,
                                             .words = words,
                                             .used = calloc(words, sizeof(uint64_t)),
                                             .leaving = calloc(words, sizeof(uint64_t))};
    if (places->used && places->leaving)
        return true;
    stasis_overlay_places_fini(places);
    return false;
}

void stasis_overlay_places_fini(struct stasis_overlay_places *places)
{
    free(places->used);
    free(places->leaving);
    *places = (struct stasis_overlay_places){0};
}

static void mark_used(struct stasis_overlay_places *places, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        places->used[i / 64] |= UINT64_C(1) << i % 64;
}

/* The first free place from the cursor on, or from the start. There is one. */
static uint32_t find_free(const struct stasis_overlay_places *places)
{
    uint32_t place = places->cursor;

    for (;;) {
        uint64_t unused;

        if (place >= places->end)
            place = 0;
        unused = ~places->used[place / 64] >> place % 64;
        if (unused && place + (uint32_t)__builtin_ctzll(unused) < places->end)
            return place + (uint32_t)__builtin_ctzll(unused);
        place = (place / 64 + 1) * 64;
    }
}

uint32_t stasis_overlay_places_append(struct stasis_overlay_places *places, uint32_t count)
{
    uint32_t first = places->end;

    if (count > PLACES_MAX - first || !reserve(places, first + count))
        return 0;
    places->end = first + count;
    mark_used(places, first, count);
    return first;
}

uint32_t stasis_overlay_places_take(struct stasis_overlay_places *places, uint32_t want,
                                    uint32_t *ret_got)
{
    uint32_t first, got = 0;

    if (!places->free) {
        *ret_got = want;
        return stasis_overlay_places_append(places, want);
    }
    first = find_free(places);
    while (got < want && first + got < places->end && !is_used(places, first + got))
        got++;
    mark_used(places, first, got);
    places->free -= got;
    places->cursor = first + got;
    *ret_got = got;
    return first;
}

bool stasis_overlay_places_use(struct stasis_overlay_places *places, uint32_t first, uint32_t count)
{
    if (first > places->end || count > places->end - first)
        return false;
    for (uint32_t i = first; i < first + count; i++)
        if (is_used(places, i))
            return false;
    mark_used(places, first, count);
    places->free -= count;
    return true;
}

void stasis_overlay_places_give(struct stasis_overlay_places *places, uint32_t first,
                                uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        places->used[i / 64] &= ~(UINT64_C(1) << i % 64);
    if (first + count == places->end) /* the file may have no room for them */
        places->end = first;
    else
        places->free += count;
}

void stasis_overlay_places_trim(struct stasis_overlay_places *places)
{
    while (places->end && !is_used(places, places->end - 1)) {
        places->end--;
        places->free--;
    }
}

void stasis_overlay_places_leave(struct stasis_overlay_places *places, uint32_t place)
{
    places->leaving[place / 64] |= UINT64_C(1) << place % 64;
    places->leaving_count++;
}

void stasis_overlay_places_commit(struct stasis_overlay_places *places)
{
    for (size_t i = 0; places->leaving_count && i < places->words; i++) {
        if (!places->leaving[i])
            continue;
        places->used[i] &= ~places->leaving[i];
        places->leaving[i] = 0;
    }
    places->free += places->leaving_count;
    places->leaving_count = 0;
}
