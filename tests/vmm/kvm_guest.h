/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the tests under real KVM share: cases that run in a child process of their own, guests of a
 * few bytes, a device that remembers every access, and snapshots that can be tampered with.
 */
#ifndef STASIS_TESTS_VMM_KVM_GUEST_H
#define STASIS_TESTS_VMM_KVM_GUEST_H

#include "support/cmocka_all.h"

#include "vmm/machine/board.h"
#include "vmm/snapshot/freeze.h"
#include "vmm/machine/machine.h"
#include "vmm/snapshot/thaw.h"

/* ---- cases ---- */

/* A guest in HLT would block for ever: the child has an alarm. */
#define KVM_CASE_SECONDS 600

struct kvm_case {
    void (*body)(void);
};

/* Runs the case in a child, so that cmocka's assertions end the child alone. A child that hangs,
 * dies or leaves a descriptor open fails the test. */
void kvm_case_run(void **state);
#define KVM_CASE(function)                                                                         \
    {                                                                                              \
#function, kvm_case_run, NULL, NULL, &(struct kvm_case)                                    \
        {                                                                                          \
            function                                                                               \
        }                                                                                          \
    }

/* Ends a case of KVM_CASE() as skipped: this KVM lacks what it needs. */
void kvm_case_skip(const char *why) __attribute__((noreturn));

/* An MSR that no CPU has. A host can have KVM answer success to accesses to such: cases that need
 * the refusal are skipped there. */
#define KVM_UNKNOWN_MSR 0x550099
void kvm_skip_if_msrs_are_ignored(void);

/* 0, or STASIS_TEST_SKIPPED after saying why there is no usable KVM. */
int kvm_missing(void);

/* Whether this is the machine that scripts/NAME emulates. */
bool kvm_rig_is(const char *name);

/* Fails with the error's message unless rc is 0. */
#define kvm_ok(rc, err) kvm_ok_at(rc, err, __FILE__, __LINE__)
void kvm_ok_at(int rc, const struct stasis_error *err, const char *file, int line);

/* Waits until the condition holds; fails when only a hang can be the reason that it does not. */
#define kvm_wait(condition)                                                                        \
    do {                                                                                           \
        for (unsigned waited = 0; !(condition); waited++) {                                        \
            assert_in_range(waited, 0, 300000);                                                    \
            kvm_sleep_us(1000);                                                                    \
        }                                                                                          \
    } while (0)
void kvm_sleep_us(unsigned us);
unsigned kvm_open_fds(void);

/* ---- guests ---- */

#define KVM_RAM   (UINT64_C(4) << 20)
#define KVM_ENTRY 0x1000 /* where payloads are loaded and begin */
#define KVM_STACK 0x8000

#define KVM_GUEST_RANDOM 0xa5 /* what the host's random bytes are */

struct kvm_guest {
    struct stasis_machine machine;
    struct stasis_device_host host; /* of the devices: remembers what they say */
    uint64_t generation;
    bool tsc_is_set; /* by the last thaw */
    uint8_t out[4096];
    size_t out_len;
    bool sink_blocked;                       /* takes nothing; stays as it is over a thaw */
    const struct stasis_device_net *net;     /* of the devices; the same */
    const struct stasis_device_disk *disks;  /* the same */
    const struct stasis_device_vsock *vsock; /* the same */
    _Atomic unsigned rx_ready;
    uint64_t rtc_ns; /* the clock of the RTC: stands still */
    unsigned waits;  /* how often a device has asked to be called at wait_until_ns */
    uint64_t wait_until_ns;
    bool rtc_armed; /* by the PL031 */
    uint64_t rtc_deadline_ns;
};

/* The default board with a PL031 besides: every device that there is. */
void kvm_board(struct stasis_board_state *board, uint64_t ram);

/* Gives devices a fresh outside; the machine is then for the caller to build or thaw. */
void kvm_guest_host(struct kvm_guest *guest);

/* Builds a machine of this board (NULL: the default one with KVM_RAM). *guest must not move. */
void kvm_guest_init(struct kvm_guest *guest, const struct stasis_board_state *board);
void kvm_guest_fini(struct kvm_guest *guest);

/* Loads the payload at KVM_ENTRY and sets the vCPU to its first byte: in real mode with all
 * segments at 0, interrupts off and vectors at 0; or in 64-bit mode with the first 4 GiB mapped. */
void kvm_guest_real(struct kvm_guest *guest, const void *payload, size_t len);
void kvm_guest_long(struct kvm_guest *guest, const void *payload, size_t len);

/* Payloads of real mode. With interrupts off, a loop without exits has a CLI: without one Bochs 2.7
 * keeps interrupts from its host too, for ever, since it looks whether they end the guest's run
 * only when a guest changes IF. */
extern const uint8_t kvm_spinning[3];  /* 1: cli; jmp 1b; of 64-bit mode, too */
extern const uint8_t kvm_counting[6];  /* 1: cli; inc dword [bx]; jmp 1b */
extern const uint8_t kvm_halted[2];    /* cli; hlt */
extern const uint8_t kvm_resetting[4]; /* mov al, 0xfe; out 0x64, al */

/* ---- guests with several vCPUs ---- */

#define KVM_SMP_STEP  0x80   /* from one vCPU's payload to the next one's */
#define KVM_SMP_CELLS 0xf000 /* behind the page tables of 64-bit mode */

void kvm_guest_smp_init(struct kvm_guest *guest, uint32_t vcpus);

/* Loads the payload of one vCPU, which runs in real mode from its first byte. BX points to 4 bytes
 * that are the vCPU's own. Without this an application processor waits for its INIT. */
void kvm_guest_smp_real(struct kvm_guest *guest, uint32_t id, const void *payload, size_t len);
/* The same in 64-bit mode, with the first 4 GiB mapped and these registers; all vCPUs share the
 * payload. */
void kvm_guest_smp_long(struct kvm_guest *guest, uint32_t id, const void *payload, size_t len,
                        const struct stasis_x86_regs_state *regs);
uint32_t kvm_guest_smp_cell(struct kvm_guest *guest, uint32_t id);
void kvm_guest_mp_state(struct kvm_guest *guest, uint32_t id, uint32_t mp_state);

/* Writes a real-mode interrupt vector. */
void kvm_guest_vector(struct kvm_guest *guest, unsigned vector, uint16_t offset);
void *kvm_guest_ram(struct kvm_guest *guest, uint64_t gpa, uint64_t len);

void kvm_guest_start(struct kvm_guest *guest);
/* Handles exits on this thread until the condition on the probe holds. */
struct kvm_probe;
void kvm_guest_step(struct kvm_guest *guest, const struct kvm_probe *probe, unsigned count);

struct stasis_x86_regs_state kvm_guest_regs(struct kvm_guest *guest);

/* ---- a device that remembers ---- */

#define KVM_PROBE_LOG 8192

struct kvm_access {
    uint64_t offset;
    uint64_t value;
    uint32_t len;
    bool write;
};

struct kvm_probe {
    _Atomic unsigned count; /* accesses so far; only the first KVM_PROBE_LOG are kept */
    uint64_t answer;        /* of the next read; rises by one with each */
    struct kvm_access log[KVM_PROBE_LOG];
};

/* Ports that payloads use for probes. */
#define KVM_PORT 0x80

void kvm_probe_attach(struct kvm_probe *probe, struct stasis_bus *bus, uint64_t base,
                      uint64_t size);
void kvm_assert_access(const struct kvm_probe *probe, unsigned index, bool write, uint64_t offset,
                       unsigned len, uint64_t value);

/* ---- snapshots ---- */

/* How a snapshot is falsified on its way. All may be 0. */
struct kvm_tamper {
    /* Changes the state of a record in place; false leaves the record out. */
    bool (*record)(void *ctx, const struct stasis_schema *schema, const char *instance,
                   void *state);
    void *ctx;
    const struct stasis_schema *extra; /* type of one record more, in its initial state */
    uint32_t arch;
    uint64_t ram_cut; /* bytes taken off the last region */
};

/* Freezes the paused machine through a file in memory; the result is opened from it. */
struct stasis_snap *kvm_freeze(struct kvm_guest *guest, const struct kvm_tamper *tamper);

/* Thaws into *guest, which is a fresh struct: as kvm_guest_init() otherwise. */
int kvm_try_thaw(struct kvm_guest *guest, struct stasis_snap *snap,
                 const struct stasis_thaw_options *options, struct stasis_error *err);
void kvm_thaw(struct kvm_guest *guest, struct stasis_snap *snap, enum stasis_clock_policy clock);

/* The guest leaves its machine for a file and comes back in a new one. */
void kvm_refreeze(struct kvm_guest *guest);

/* Decodes one record; fails if it is not there. */
void kvm_record(struct stasis_snap *snap, const struct stasis_schema *schema, const char *instance,
                void *ret_state);
/* The value of an MSR in the snapshot: of the first vCPU, or of the one with that name. */
uint64_t kvm_record_msr(struct stasis_snap *snap, uint32_t index);
uint64_t kvm_record_vcpu_msr(struct stasis_snap *snap, const char *instance, uint32_t index);

#endif
