/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest of two vCPUs that write where they are told to, in two regions of RAM with odd edges, one
 * of them above 4 GiB; a VMM that writes and takes pages away; a balloon. What all of them write is
 * noted, to be held against the machine's bitmap and against all memory.
 */
#ifndef STASIS_TESTS_VMM_DIRTY_RIG_H
#define STASIS_TESTS_VMM_DIRTY_RIG_H

#include "vmm/kvm_guest.h"

#define PAGE       STASIS_MEMORY_PAGE
#define DIRTY_HIGH (UINT64_C(4) << 30)

/* Neither ends with a word of a bitmap. Pages are numbered through both. */
#define DIRTY_LOW_PAGES  (0x100u + 5)
#define DIRTY_HIGH_PAGES (64u + 3)

#define DIRTY_DATA 0x80000 /* from here on, all may be written */

extern struct kvm_guest dirty_rig;
extern struct stasis_error dirty_err;

/* The guest runs. */
void dirty_start(void);

/* ---- who writes ---- */

void dirty_write(uint64_t gpa, const void *bytes, uint64_t len); /* the VMM */
/* Has a vCPU write a word, to RAM or to a device. */
void dirty_tell(uint32_t id, uint64_t where, uint32_t what);
/* Some words each, to be found in RAM on return; nothing to a few pages. */
void dirty_vcpus_write(void);
void dirty_vmm_writes(void);
void dirty_vmm_takes_away(void);
/* The guest reports a page as free, and the device gives it to the host. */
void dirty_balloon_takes_away(void);
/* Somebody else writes there. */
void dirty_expect(uint64_t gpa, uint64_t len);

/* ---- what is in the bitmap of a paused machine ---- */

struct stasis_dirty_pages *dirty_pages(void);
void dirty_track(void);
bool dirty_has(uint32_t page);

/* Every page that differs from the base is in the bitmap as it was harvested, and so is every page
 * that was written; no other is. */
void dirty_compare(void);
/* The base is what it was and the pages of the bitmap. */
void dirty_commit(void);
/* The base is all memory, as after a whole snapshot. */
void dirty_copy_all(void);

#endif
