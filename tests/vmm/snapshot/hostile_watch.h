/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the host sees of a hostile guest (kvm_hostile.h), between KVM and the machine: each access
 * is compared with the vCPU's program, and counted by other code than the machine's.
 */
#ifndef STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_WATCH_H
#define STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_WATCH_H

#include "vmm/kvm_hostile.h"

extern _Atomic uint64_t hostile_accesses; /* so far */
extern uint64_t hostile_resets;           /* and power-offs that the guest asked for: it runs on */

/* A machine that has just been built or thawed, and does not run. One at a time. */
void hostile_watch(struct kvm_guest *guest);

/* What the vCPU's next program makes the host see, to be filled in. */
struct kvm_hostile_trace *hostile_expect(uint32_t id);

/* Of a paused machine: that its accesses were those of the programs, and that KVM's count of exits
 * and the machine's of invalid accesses are the same. */
void hostile_assert_counts(void);
/* That each program was seen to its end. */
void hostile_assert_done(void);

#endif
