/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which pages the guest has written: as a bitmap of each slot (STASIS_DIRTY_LOG), or from a ring of
 * each vCPU (STASIS_DIRTY_RING). Only slots with STASIS_SLOT_LOG_DIRTY are tracked, and only writes
 * of the guest and of KVM: what this process writes is for the caller to know.
 */
#ifndef STASIS_KVM_DIRTY_H
#define STASIS_KVM_DIRTY_H

#include "stasis/kvm_slots.h"

STASIS_BEGIN_DECLS

/* ---- the log ---- */

/* Bytes of a bitmap for so much memory: one bit for each page, begun pages and bytes included. */
STASIS_EXPORT uint64_t stasis_dirty_log_size(uint64_t memory_size);

/* Fills `size` bytes with the log, the first page in bit 0 of byte 0; what is behind it is zero.
 * Unless the VM's log is manual, the log is empty afterwards. Errors: STASIS_ERR_NOT_FOUND (ENOENT)
 * no slot, or one without log; STASIS_ERR_ARG (EINVAL) fewer bytes than stasis_dirty_log_size();
 * STASIS_ERR_ARG (ENXIO) the VM has rings. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_dirty_get(const struct stasis_slots *slots,
                                                     uint32_t slot, void *ret_bitmap, size_t size,
                                                     struct stasis_error *err);

/* Clears the pages whose bits are set, of `count` pages from `first` on (dirty_manual). `first` is
 * a multiple of 64, and so is `count` unless it ends with the slot. The bitmap begins at `first`
 * and has (count + 63) / 64 times 8 bytes. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_dirty_clear(const struct stasis_slots *slots,
                                                       uint32_t slot, uint64_t first,
                                                       uint32_t count, const void *bitmap,
                                                       struct stasis_error *err);

/* ---- the ring ---- */

/* A vCPU's ring. KVM leaves KVM_RUN with KVM_EXIT_DIRTY_RING_FULL when it is full: harvest and
 * reset then. Threads: one at a time harvests a ring; its vCPU may run. */
struct stasis_dirty_ring {
    struct kvm_dirty_gfn *entries;
    uint32_t count; /* of entries */
    uint32_t next;  /* to be harvested */
};

/* Maps the ring of the vCPU with this descriptor. STASIS_ERR_ARG (ENXIO): the VM has none. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_dirty_ring_init(struct stasis_dirty_ring *ret_ring,
                                                           const struct stasis_vm *vm, int vcpu_fd,
                                                           struct stasis_error *err);
/* May be called twice, and on a struct of zeros. */
STASIS_EXPORT void stasis_dirty_ring_fini(struct stasis_dirty_ring *ring);

/* Calls `page` for each page that is in the ring, in the ring's order, with its slot and its number
 * in the slot, and hands the entries back. Returns how many. They are free for KVM after
 * stasis_dirty_ring_reset(). The ring's order need not be that of the writes: a CPU that logs
 * modified pages itself can give them backwards. */
STASIS_EXPORT uint32_t stasis_dirty_ring_harvest(struct stasis_dirty_ring *ring,
                                                 void (*page)(void *ctx, uint32_t slot,
                                                              uint64_t number),
                                                 void *ctx);

/* Frees what has been harvested from all rings of the VM and protects these pages again: writes
 * from here on are seen. Read a page's content only afterwards. *ret_count (may be NULL) is how
 * many entries that were. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_dirty_ring_reset(const struct stasis_vm *vm, uint32_t *ret_count, struct stasis_error *err);

STASIS_END_DECLS

#endif
