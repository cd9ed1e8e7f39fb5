/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Programs of a hostile guest, made from a seed: accesses to ports and memory of every width, REP
 * INS, OUTS, MOVS and STOS in both directions, across the edges of devices, pages, regions of RAM
 * and the address space; and what the host has to see of each program.
 *
 * A guest of 64-bit mode, with a RAM in three pieces. It writes to its windows only: every other
 * byte of its RAM stays as it is.
 */
#ifndef STASIS_TESTS_VMM_KVM_HOSTILE_H
#define STASIS_TESTS_VMM_KVM_HOSTILE_H

#include "vmm/kvm_guest.h"

#define KVM_HOSTILE_VCPUS 4
#define KVM_HOSTILE_OPS   150 /* of a program */

/* One instruction's accesses to a port, all alike. */
struct kvm_hostile_io {
    uint16_t port;
    uint8_t len;
    bool write;
    /* KVM reads ahead for a REP INS that goes down, and forgets what it has read with each exit for
     * a write to MMIO (x86/emulate.c, pio_in_emulated): more reads may follow. */
    bool may_repeat;
    uint32_t count;
};

/* What one program makes the host see. Accesses to memory may come in parts, which differ between
 * hosts: their bytes are counted. */
struct kvm_hostile_trace {
    struct kvm_hostile_io io[KVM_HOSTILE_OPS];
    uint32_t io_count;
    uint64_t mmio_read, mmio_written; /* bytes */
};

/* The network net0 is for the test to bring. */
void kvm_hostile_board(struct stasis_board_state *board, uint32_t vcpus);

/* Sets each vCPU to where it waits for its first program. */
void kvm_hostile_load(struct kvm_guest *guest);

/* Writes the next program of a vCPU. The machine is paused, and the vCPU done. */
void kvm_hostile_program(struct kvm_guest *guest, uint32_t id, uint64_t *seed,
                         struct kvm_hostile_trace *ret_trace);
/* Lets the vCPU run it, and says whether it has. */
void kvm_hostile_go(struct kvm_guest *guest, uint32_t id);
bool kvm_hostile_is_done(struct kvm_guest *guest, uint32_t id);

/* Whether two copies of the RAM at `gpa` differ where the guest's program could not have changed
 * it, the CPU's marks in page tables left out. */
bool kvm_hostile_differs(uint64_t gpa, const uint8_t *before, const uint8_t *now, uint64_t len,
                         uint64_t *ret_gpa);

#endif
