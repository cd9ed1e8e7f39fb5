/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM on stasis-kvm alone: 64 KiB of RAM at 0, one vCPU in real mode, and no device. It remembers
 * what the guest asks for; every event ends the run.
 */
#ifndef STASIS_TESTS_VMM_VCPU_RIG_H
#define STASIS_TESTS_VMM_VCPU_RIG_H

#include "vmm/kvm_guest.h"

#include "stasis/kvm_slots.h"
#include "stasis/kvm_vcpu.h"

#define RIG_RAM   UINT64_C(0x10000)
#define RIG_ENTRY 0x1000 /* where payloads are loaded and begin */
#define RIG_STACK 0x8000
#define RIG_LOG   64

enum rig_chips { RIG_NO_CHIPS, RIG_CHIPS, RIG_SPLIT_CHIPS };

struct rig_access {
    bool write, mmio;
    uint64_t at, value;
    unsigned len;
};

struct rig {
    struct stasis_kvm kvm;
    struct stasis_memory memory;
    struct stasis_vm vm;
    struct stasis_slots slots;
    struct stasis_vcpu vcpu;
    struct stasis_error err;
    struct rig_access log[RIG_LOG];
    unsigned count;               /* of accesses */
    uint64_t answer;              /* of the next read; rises by one */
    struct stasis_vcpu_exit exit; /* the last event */
    unsigned events;
    const char *why; /* the guest has failed */
};

void rig_init(struct rig *rig, enum rig_chips chips);
void rig_fini(struct rig *rig);

/* Puts the payload at RIG_ENTRY, and the vCPU there, with segments of base 0. */
void rig_load(struct rig *rig, const void *payload, size_t len);
void *rig_ram(struct rig *rig, uint64_t gpa);
void rig_vector(struct rig *rig, unsigned vector, uint16_t offset);

/* Runs until the guest has made so many accesses; fails if an event comes first. */
void rig_run(struct rig *rig, unsigned count);
/* Runs until an event of this reason comes; fails if it is another. */
void rig_run_to(struct rig *rig, uint32_t reason);

/* Fails unless the call fails with this errno. */
#define rig_refuses(rig, rc, os) rig_refuses_at(rig, rc, os, __FILE__, __LINE__)
void rig_refuses_at(const struct rig *rig, int rc, int os_errno, const char *file, int line);

#endif
