/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "mappings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

/* Longer lines are those of files, whose names do not matter. */
#define LINE_MAX_LEN 256

/* ---- one mapping ---- */

/* "[vdso]" and its like have no file either, and their absent pages are not zero. */
static bool is_anonymous_name(const char *name)
{
    return !*name || !strcmp(name, "[heap]") || !strcmp(name, "[stack]") ||
           !strncmp(name, "[anon:", 6);
}

/* "7f0000000000-7f0000200000 rw-p 00000000 00:00 0   [anon:name]" */
static bool parse_head(const char *line, struct stasis_mapping *ret_mapping, bool *ret_plain)
{
    struct stasis_mapping mapping;
    unsigned long long file;
    const char *access;
    char *at;

    mapping.start = strtoull(line, &at, 16);
    if (at == line || *at != '-')
        return false;
    mapping.end = strtoull(at + 1, &at, 16);
    access = at + 1;
    if (*at != ' ' || strcspn(access, " ") != 4)
        return false;
    (void)strtoull(access + 4, &at, 16); /* the offset */
    file = strtoull(at, &at, 16);
    if (*at != ':')
        return false;
    file |= strtoull(at + 1, &at, 16);
    file |= strtoull(at, &at, 10);
    *ret_mapping = mapping;
    *ret_plain =
        access[0] == 'r' && access[3] == 'p' && !file && is_anonymous_name(at + strspn(at, " "));
    return true;
}

/* proc_pid_smaps(5) explains the flags. One that is not listed here, such as those of userfaultfd
 * ("um", "uw", "ui") or one of a kernel to come, may mean that absent pages are not zero. */
static bool is_harmless(const char *flag, size_t len)
{
    static const char known[][3] = {"rd", "wr", "ex", "mr", "mw", "me", "gd", "lo", "sr", "rr",
                                    "dc", "de", "ac", "nr", "wf", "dd", "sd", "hg", "nh", "mg"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (len == 2 && !memcmp(flag, known[i], 2))
            return true;
    return false;
}

static bool are_harmless(const char *flags)
{
    for (;;) {
        size_t len;

        flags += strspn(flags, " ");
        len = strcspn(flags, " ");
        if (!len)
            return true;
        if (!is_harmless(flags, len))
            return false;
        flags += len;
    }
}

/* What was listed already stays as it was listed: a mapping that grows while the list is read comes
 * twice. */
static bool add(struct stasis_mappings *mappings, struct stasis_mapping mapping)
{
    struct stasis_mapping *last = mappings->count ? &mappings->list[mappings->count - 1] : NULL;

    if (last && last->end == mapping.start) {
        last->end = mapping.end;
        return true;
    }
    if (!mappings->list || mappings->count == mappings->room) {
        size_t room = mappings->room ? mappings->room * 2 : 64;
        struct stasis_mapping *list = realloc(mappings->list, room * sizeof(*list));

        if (!list)
            return false;
        mappings->list = list;
        mappings->room = room;
    }
    mappings->list[mappings->count++] = mapping;
    return true;
}

/* The last line of a mapping was read. */
static bool end_mapping(struct stasis_mappings *mappings, bool harmless)
{
    const struct stasis_mapping *open = &mappings->open;
    bool counts = mappings->open_is_plain && harmless && open->start < open->end &&
                  open->end > mappings->from_address;

    mappings->open_is_plain = false;
    return !counts || add(mappings, *open);
}

bool stasis_mappings_line(struct stasis_mappings *mappings, const char *line, bool cut)
{
    static const char flags[] = "VmFlags:";
    uintptr_t seen = mappings->open.end;

    if (parse_head(line, &mappings->open, &mappings->open_is_plain)) {
        if (mappings->open.start < seen)
            mappings->open.start = seen;
        return mappings->from == STASIS_MAPPINGS_SMAPS || end_mapping(mappings, !cut);
    }
    if (strncmp(line, flags, sizeof(flags) - 1) != 0)
        return true;
    return end_mapping(mappings, !cut && are_harmless(line + sizeof(flags) - 1));
}

/* ---- all of them ---- */

struct reading {
    struct stasis_mappings *mappings;
    char line[LINE_MAX_LEN];
    size_t len;
    bool cut;
};

static bool end_line(struct reading *reading)
{
    bool known;

    reading->line[reading->len] = '\0';
    known = stasis_mappings_line(reading->mappings, reading->line, reading->cut);
    reading->len = 0;
    reading->cut = false;
    return known;
}

static bool take(struct reading *reading, const char *bytes, size_t len)
{
    bool known = true;

    for (size_t i = 0; known && i < len; i++) {
        if (bytes[i] == '\n')
            known = end_line(reading);
        else if (reading->len + 1 < sizeof(reading->line))
            reading->line[reading->len++] = bytes[i];
        else
            reading->cut = true;
    }
    return known;
}

static int open_list(enum stasis_mappings_from from)
{
    const char *path = from == STASIS_MAPPINGS_SMAPS ? "/proc/self/smaps" : "/proc/self/maps";

    return stasis_io_open(AT_FDCWD, path, O_RDONLY, 0);
}

bool stasis_mappings_read(struct stasis_mappings *mappings, enum stasis_mappings_from from, int fd,
                          uintptr_t start, uintptr_t end)
{
    struct reading reading = {.mappings = mappings};
    const int list = fd ? fd : open_list(from);
    char bytes[4096];
    bool known = list >= 0;
    uint64_t offset = 0;
    ssize_t n = 1;

    *mappings = (struct stasis_mappings){.from = from, .from_address = start};
    while (known && n > 0 && mappings->open.start < end) {
        n = stasis_io_pread(list, bytes, sizeof(bytes), offset);
        known = n >= 0 && take(&reading, bytes, (size_t)n);
        offset += known ? (uint64_t)n : 0;
    }
    if (!fd)
        stasis_io_close(list);
    if (!known)
        stasis_mappings_fini(mappings);
    return known;
}

void stasis_mappings_fini(struct stasis_mappings *mappings)
{
    free(mappings->list);
    *mappings = (struct stasis_mappings){0};
}

size_t stasis_mappings_behind(const struct stasis_mappings *mappings, uintptr_t at)
{
    size_t low = 0;
    size_t high = mappings->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (mappings->list[middle].end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
