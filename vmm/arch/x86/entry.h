/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How a boot loader hands a vCPU to a guest on x86, and what of the machine it has to know.
 */
#ifndef STASIS_VMM_X86_ENTRY_H
#define STASIS_VMM_X86_ENTRY_H

#include "stasis/state.h"

/* APIC ids have 8 bits: one is the I/O APIC's, and 255 means all. */
#define STASIS_VCPUS_MAX 254

struct stasis_arch_entry {
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs; /* apic_base and cr8 are left 0: keep KVM's */
};

/* RAM below the gap ends here at the latest and goes on at 4 GiB; devices, the I/O APIC and the
 * local APIC live in between. */
#define STASIS_MMIO_GAP_START UINT64_C(0xd0000000)
#define STASIS_MMIO_GAP_END   UINT64_C(0x100000000)

#endif
