/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the demo guest (demo_guest.S) and its loader (demo.c) agree on.
 */
#ifndef STASIS_VMM_DEMO_GUEST_H
#define STASIS_VMM_DEMO_GUEST_H

/* Where the image runs, its variables, and the end of both. */
#define STASIS_DEMO_BASE 0x100000
#define STASIS_DEMO_DATA 0x110000
#define STASIS_DEMO_END  0x120000

/* Below 1 MiB, where vCPUs start: the code of all but the first, at 4096 times the vector of their
 * start-up IPI; and a cache line for each, by its APIC id, which begins with its 32-bit counter. */
#define STASIS_DEMO_AP_VECTOR 2
#define STASIS_DEMO_AP_CODE   (STASIS_DEMO_AP_VECTOR << 12)
#define STASIS_DEMO_AP_LINES  0x30000
#define STASIS_DEMO_AP_LINE   64

/* The image starts with struct stasis_demo_params; the code follows. */
#define STASIS_DEMO_PARAM_NONCE      0
#define STASIS_DEMO_PARAM_RTC        16
#define STASIS_DEMO_PARAM_SERIAL     24
#define STASIS_DEMO_PARAM_OFF        26
#define STASIS_DEMO_PARAM_SERIAL_IRQ 28
#define STASIS_DEMO_PARAM_CPUS       29
#define STASIS_DEMO_PARAM_OFF_VALUE  30
#define STASIS_DEMO_ENTRY            32

/* The only lasting copy of the nonce: first of the variables. */
#define STASIS_DEMO_NONCE STASIS_DEMO_DATA

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct stasis_demo_params {
    uint8_t nonce[16];    /* the guest copies it once and wipes this */
    uint64_t rtc;         /* address of the PL031, or below 64 KiB first port of the MC146818 */
    uint16_t serial_port; /* first port of the 16550A */
    uint16_t off_port;    /* where off_value ends the machine */
    uint8_t serial_irq;   /* line of the first PIC: 1, 3 to 7 */
    uint8_t cpus;         /* vCPUs of the machine */
    uint8_t off_value;
    uint8_t reserved;
};

_Static_assert(offsetof(struct stasis_demo_params, nonce) == STASIS_DEMO_PARAM_NONCE, "nonce");
_Static_assert(offsetof(struct stasis_demo_params, rtc) == STASIS_DEMO_PARAM_RTC, "rtc");
_Static_assert(offsetof(struct stasis_demo_params, serial_port) == STASIS_DEMO_PARAM_SERIAL,
               "serial_port");
_Static_assert(offsetof(struct stasis_demo_params, off_port) == STASIS_DEMO_PARAM_OFF, "off_port");
_Static_assert(offsetof(struct stasis_demo_params, off_value) == STASIS_DEMO_PARAM_OFF_VALUE,
               "off_value");
_Static_assert(offsetof(struct stasis_demo_params, serial_irq) == STASIS_DEMO_PARAM_SERIAL_IRQ,
               "serial_irq");
_Static_assert(offsetof(struct stasis_demo_params, cpus) == STASIS_DEMO_PARAM_CPUS, "cpus");
_Static_assert(sizeof(struct stasis_demo_params) == STASIS_DEMO_ENTRY, "entry");

extern const uint8_t stasis_demo_guest[];
extern const uint8_t stasis_demo_guest_end[];

#endif
#endif
