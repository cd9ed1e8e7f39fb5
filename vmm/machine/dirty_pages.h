/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which pages of RAM have changed since a moment, the base: of that moment there is a snapshot, and
 * the pages are what a layer on it must hold. Three change RAM: the guest and KVM, of which KVM's
 * dirty log tells; and this process, which writes, and takes away what a balloon gives or a free
 * page report names (struct stasis_memory_watcher). Loading RAM from a snapshot is no change.
 *
 * KVM has a log and rings. The log, since
 * - it is switched on in a VM that exists, when it is first wanted: rings must be there before the
 *   first vCPU, and every guest would pay for them;
 * - it has room for every page: a ring that is full stops its vCPU until somebody empties it;
 * - it knows what KVM changes on behalf of a thread that is no vCPU's, as when MSRs are set.
 * KVM clears it as it is read (no KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2): the vCPUs stand still then,
 * and whoever loses no page after a failure needs a bitmap of its own anyway.
 *
 * So there are two bitmaps: `fresh` for what this process changes as it goes, and `pages`, into
 * which a harvest brings that and the log, and which is emptied by a commit only. A save that fails
 * leaves all in it for the next.
 *
 * Threads: start, harvest, commit and stop while the machine is paused, or was never started, and
 * nobody changes RAM; RAM is changed by any thread between them.
 */
#ifndef STASIS_VMM_DIRTY_PAGES_H
#define STASIS_VMM_DIRTY_PAGES_H

#include "stasis/kvm_slots.h"

/* All zero: nothing is tracked. Bit n of word n / 64 is page n of the region. */
struct stasis_dirty_pages {
    struct stasis_slots *slots;
    struct stasis_memory *memory;
    uint64_t *fresh[STASIS_MEMORY_REGION_MAX]; /* by atomic operations */
    uint64_t *pages[STASIS_MEMORY_REGION_MAX];
    uint32_t slot_of[STASIS_MEMORY_REGION_MAX];
};

/* The base is now: no page differs. What was tracked before is forgotten. Whoever loads the memory
 * may still be at it, and what the watcher was told, too. On failure nothing is tracked:
 * STASIS_ERR_NOMEM, STASIS_ERR_UNAVAILABLE: KVM has no log for this memory, or no memory for it. */
STASIS_MUST_CHECK int stasis_dirty_pages_start(struct stasis_dirty_pages *dirty,
                                               struct stasis_slots *slots,
                                               struct stasis_memory *memory,
                                               struct stasis_error *err);
/* May be called twice, and on a struct of zeros. `fini` leaves slots and watcher as they are. */
void stasis_dirty_pages_stop(struct stasis_dirty_pages *dirty);
void stasis_dirty_pages_fini(struct stasis_dirty_pages *dirty);

/* Whether a base is known. */
bool stasis_dirty_pages_is_on(const struct stasis_dirty_pages *dirty);

/* Brings the bitmap up to date. On failure KVM may have lost pages, and nothing is tracked any
 * more: errors of stasis_dirty_get(). */
STASIS_MUST_CHECK int stasis_dirty_pages_harvest(struct stasis_dirty_pages *dirty,
                                                 struct stasis_error *err);

/* The bitmap of a region as of the last harvest, which stays until the next one, a commit or the
 * end; and how many pages of all regions are in it. */
const uint64_t *stasis_dirty_pages_of(const struct stasis_dirty_pages *dirty, uint32_t region);
uint64_t stasis_dirty_pages_count(const struct stasis_dirty_pages *dirty);

/* All pages of the last harvest are in a snapshot that is on the disk as it shall be: it is the
 * base now. What changed since the harvest stays. */
void stasis_dirty_pages_commit(struct stasis_dirty_pages *dirty);

#endif
