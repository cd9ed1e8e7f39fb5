/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory slots: which host memory the guest sees at which physical addresses. The regions of guest
 * RAM are slots like any others.
 *
 * Threads: one at a time. vCPUs may run.
 */
#ifndef STASIS_KVM_SLOTS_H
#define STASIS_KVM_SLOTS_H

#include "stasis/kvm_vm.h"

STASIS_BEGIN_DECLS

/* KVM's, and the same numbers. */
#define STASIS_SLOT_LOG_DIRTY (UINT32_C(1) << 0) /* the VM has a dirty log or rings */
#define STASIS_SLOT_READ_ONLY (UINT32_C(1) << 1) /* a guest's write is an exit (MMIO) */

/* What host memory is: how it is given back to the host depends on it. */
enum stasis_slot_backing {
    STASIS_SLOT_ANONYMOUS, /* private and anonymous */
    STASIS_SLOT_SHARED,    /* a shared map of a memfd or of a file of tmpfs, hugetlbfs, ext4, … */
    STASIS_SLOT_PRIVATE_FILE, /* a private map of a file */
    STASIS_SLOT_ARENA,        /* made by stasis_slots_add_arena() */
};

/* One mapping. gpa, size and host are multiples of the page size. */
struct stasis_slot {
    uint64_t gpa;
    uint64_t size; /* 0 in a table: free */
    void *host;
    uint32_t flags;
    enum stasis_slot_backing backing;
};

struct stasis_slots {
    struct stasis_vm *vm;
    struct stasis_slot *table; /* by number */
    uint32_t count;            /* in the table, free ones included */
    uint32_t max;              /* that KVM takes (KVM_CAP_NR_MEMSLOTS) */
    bool has_read_only;
};

/* The slots of a VM, of which there are none so far; one such table for a VM. `vm` must outlive
 * it. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_slots_init(struct stasis_slots *slots, struct stasis_vm *vm, struct stasis_error *err);
/* Frees the table and unmaps arenas; the slots themselves end with the VM, so end that first. May
 * be called twice, and on a struct of zeros. */
STASIS_EXPORT void stasis_slots_fini(struct stasis_slots *slots);

/* Gives the guest the mapping in the lowest free slot, and says which. The host memory stays the
 * caller's, who keeps it mapped until the slot is removed. Nothing is changed on failure:
 *   STASIS_ERR_ARG (EINVAL)          empty, unaligned, unknown flag or backing, an arena, or a log
 * that the VM lacks STASIS_ERR_RANGE (EOVERFLOW)     the addresses wrap STASIS_ERR_EXISTS (EEXIST)
 * overlaps another slot STASIS_ERR_FULL (ENOSPC)         KVM has no more slots
 *   STASIS_ERR_UNAVAILABLE (ENOTSUP) read-only, where KVM has no such slots
 *   STASIS_ERR_UNAVAILABLE           KVM refuses: it has too little memory for its own tables */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_add(struct stasis_slots *slots,
                                                     const struct stasis_slot *mapping,
                                                     uint32_t *ret_slot, struct stasis_error *err);

/* Each region of guest RAM becomes a slot; vm->memory is set. Those that were added before one that
 * fails are removed again. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_add_memory(struct stasis_slots *slots,
                                                            const struct stasis_memory *memory,
                                                            uint32_t flags,
                                                            struct stasis_error *err);

/* Takes the mapping from the guest. What it was is in *ret_mapping; the memory of an arena is the
 * caller's then, to munmap(). With NULL an arena is unmapped. STASIS_ERR_NOT_FOUND (ENOENT): there
 * is no such slot. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_remove(struct stasis_slots *slots, uint32_t slot,
                                                        struct stasis_slot *ret_mapping,
                                                        struct stasis_error *err);

/* The slot, or NULL if there is none of this number. */
STASIS_EXPORT const struct stasis_slot *stasis_slots_get(const struct stasis_slots *slots,
                                                         uint32_t slot);

/* Starts or stops the dirty log of a slot. STASIS_ERR_NOT_FOUND, STASIS_ERR_ARG as above. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_set_log(struct stasis_slots *slots, uint32_t slot,
                                                         bool on, struct stasis_error *err);

/* Writes a range of the slot back to the file beneath it (msync, MS_SYNC). Errors:
 * STASIS_ERR_NOT_FOUND (ENOENT), STASIS_ERR_RANGE (EFAULT) outside the slot, STASIS_ERR_ARG
 * (EINVAL) unaligned offset, STASIS_ERR_IO of the call. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_sync(struct stasis_slots *slots, uint32_t slot,
                                                      uint64_t offset, uint64_t size,
                                                      struct stasis_error *err);

/* ---- arenas: slots into which descriptors are mapped while the guest runs ---- */

/* Reserves addresses without memory. A guest's access to a part without a mapping ends KVM_RUN with
 * EFAULT, or is an MMIO exit where KVM emulates the access. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_add_arena(struct stasis_slots *slots, uint64_t gpa,
                                                           uint64_t size, uint32_t flags,
                                                           uint32_t *ret_slot,
                                                           struct stasis_error *err);

/* What is mapped into an arena: `prot` as in mmap(2), the map is shared. It replaces what was in
 * the range. */
struct stasis_slot_map {
    uint32_t slot;
    uint64_t offset; /* in the slot */
    uint64_t size;
    int fd;
    uint64_t fd_offset;
    int prot;
};

/* Errors: STASIS_ERR_NOT_FOUND (EINVAL) no slot, STASIS_ERR_ARG (EINVAL) no arena or unaligned,
 * STASIS_ERR_RANGE (EFAULT) outside the slot, STASIS_ERR_UNAVAILABLE of mmap(2): the range keeps
 * what it had, or has no map any more. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_map_fd(struct stasis_slots *slots,
                                                        const struct stasis_slot_map *map,
                                                        struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_unmap(struct stasis_slots *slots, uint32_t slot,
                                                       uint64_t offset, uint64_t size,
                                                       struct stasis_error *err);

/* ---- a balloon: memory given back to the host, and taken again ---- */

/* Gives the memory of [gpa, gpa + size) to the host; it reads as zero afterwards, whatever it is
 * backed by. The range is in one slot. STASIS_ERR_RANGE (EFAULT) if not, STASIS_ERR_ARG (EINVAL)
 * unaligned or in an arena, STASIS_ERR_UNAVAILABLE of the call, as for locked memory. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_discard(struct stasis_slots *slots, uint64_t gpa,
                                                         uint64_t size, struct stasis_error *err);

/* Takes memory for the range now, so that a host that has none says so here
 * (STASIS_ERR_UNAVAILABLE) instead of ending the process when the guest touches it. Nothing before
 * Linux 5.14, where the guest's accesses take it. Errors as above. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_slots_populate(struct stasis_slots *slots, uint64_t gpa,
                                                          uint64_t size, struct stasis_error *err);

STASIS_END_DECLS

#endif
