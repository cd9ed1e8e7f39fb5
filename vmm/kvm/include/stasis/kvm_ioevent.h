/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Writes of the guest that become an event of a descriptor (ioeventfd) instead of an exit.
 */
#ifndef STASIS_KVM_IOEVENT_H
#define STASIS_KVM_IOEVENT_H

#include "stasis/kvm_vm.h"

STASIS_BEGIN_DECLS

struct stasis_ioevent {
    uint64_t address;
    uint32_t len;   /* of the write: 1, 2, 4, 8, or 0 for any */
    bool is_pio;    /* a port; else guest memory (MMIO) */
    bool has_match; /* only writes of this value; not with len 0 */
    uint64_t match;
    int fd; /* eventfd */
};

/* Errors: STASIS_ERR_ARG (EINVAL) another length, or a match without one; STASIS_ERR_RANGE (EINVAL)
 * no port, or the range wraps; STASIS_ERR_ARG (EBADF) no descriptor; STASIS_ERR_KVM (EINVAL) a
 * descriptor that is no eventfd; STASIS_ERR_EXISTS (EEXIST) there is one for such writes;
 * STASIS_ERR_UNAVAILABLE this KVM has none for any length. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_ioevent_assign(const struct stasis_vm *vm,
                                                          const struct stasis_ioevent *event,
                                                          struct stasis_error *err);
/* The same event, all members alike. STASIS_ERR_NOT_FOUND (ENOENT): it was not assigned. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_ioevent_deassign(const struct stasis_vm *vm,
                                                            const struct stasis_ioevent *event,
                                                            struct stasis_error *err);

STASIS_END_DECLS

#endif
