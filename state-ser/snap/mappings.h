/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where in this process's memory an absent page is a page of zeros. The kernel is asked, not the
 * owner of the memory: whoever mapped it, however, a mapping counts only if it is known to be
 * private and anonymous, may be read, and gets its content from no userfaultfd.
 */
#ifndef STASIS_SNAP_MAPPINGS_H
#define STASIS_SNAP_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stasis_mapping {
    uintptr_t start;
    uintptr_t end;
};

/* Where the mappings are read from. */
enum stasis_mappings_from {
    STASIS_MAPPINGS_SMAPS = 0, /* the kernel walks all page tables: 36 ms per GiB of small pages */
    STASIS_MAPPINGS_MAPS,      /* walks none, but does not show memory that a userfaultfd fills */
};

struct stasis_mappings {
    enum stasis_mappings_from from;
    uintptr_t from_address;      /* mappings that end there or below do not count */
    struct stasis_mapping *list; /* ascending, none touches another */
    size_t count;
    size_t room;
    struct stasis_mapping open; /* the mapping whose lines are being read */
    bool open_is_plain;         /* private, anonymous and readable, by its first line */
};

/* Reads /proc/self/smaps or maps, which is open as `fd` or (0) is opened, but for mappings that do
 * not reach into start..end-1. False: it cannot be read, or memory is short; *mappings is empty
 * then. */
bool stasis_mappings_read(struct stasis_mappings *mappings, enum stasis_mappings_from from, int fd,
                          uintptr_t start, uintptr_t end);
void stasis_mappings_fini(struct stasis_mappings *mappings);

/* Takes one line; `cut` if it was too long to be had in full. False: memory is short. */
bool stasis_mappings_line(struct stasis_mappings *mappings, const char *line, bool cut);

/* Number of the first mapping that ends behind `at`; `count` if none does. */
size_t stasis_mappings_behind(const struct stasis_mappings *mappings, uintptr_t at);

#endif
