/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory that is saved by every method of searching it for zeros.
 */
#ifndef STASIS_TESTS_SCAN_RIG_H
#define STASIS_TESTS_SCAN_RIG_H

#include "tests/state-ser/snap/fixture.h"

#include <stdatomic.h>

#include "state-ser/snap/object.h"
#include "state-ser/snap/ram_io.h"

#define PAGE ((size_t)STASIS_PAGE_SIZE)
#define MIB  ((size_t)1 << 20)
#define SIZE (34 * MIB) /* two blocks of the index */

struct scan_method {
    enum stasis_populated_by by;
    bool no_userfaultfd; /* as in the options of a save */
};

#define SCAN_METHODS 5
extern const struct scan_method scan_methods[SCAN_METHODS];

/* Does it ask the kernel which pages there are? */
bool scan_asks(const struct scan_method *method);

/* Opens of /proc/self/smaps since it was last set. */
extern atomic_uint scan_smaps_opened;

/* Since it was last set. */
extern atomic_uint scan_pages_looked_at;

/* What the kernel can do. */
bool scan_has_pagemap(void);
bool scan_has_pagemap_scan(void);

/* Of a group of tests: says what is left out. */
int scan_setup(void **state);

/* An entry of /proc/self/pagemap. */
uint64_t scan_pagemap_entry(const uint8_t *at);

/* Saves memory made anew each time, since saving touches what it stores. `scan` and `pagemap`:
 * pages that these methods are to look at. */
void scan_save_by_all(void (*make)(struct built *built), unsigned scan, unsigned pagemap);
struct image scan_save(struct built *built, const struct scan_method *method);
void scan_assert_equal(const struct image *a, const struct image *b);

/* Another region: of the caller's memory, or of small pages. */
void scan_add(struct built *built, uint64_t gpa, void *ram, size_t size);
uint8_t *scan_plain(struct built *built, uint64_t gpa, size_t size);

/* Content of the k-th page is told apart from that of any other. */
void scan_put(uint8_t *ram, size_t page);

#endif
