/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The interrupt hardware that KVM models, as both firmware tables describe it.
 */
#ifndef STASIS_VMM_BOOT_X86_H
#define STASIS_VMM_BOOT_X86_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/arch/arch.h"

#define STASIS_LAPIC_GPA      0xfee00000u
#define STASIS_LAPIC_VERSION  0x14 /* integrated APIC, as KVM's reads */
#define STASIS_IOAPIC_GPA     0xfec00000u
#define STASIS_IOAPIC_VERSION 0x11
#define STASIS_IOAPIC_PINS    24
/* KVM's default routing takes GSI n to pin n, the PIT's 0 too: no override is needed. */

/* What makes all bytes of a table add up to 0 modulo 256. */
static inline uint8_t stasis_table_checksum(const void *table, size_t len)
{
    const uint8_t *bytes = table;
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)(0u - sum);
}

#endif
