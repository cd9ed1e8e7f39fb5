/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What differs between architectures, behind one interface: how a VM gets its interrupt
 * controllers, how a vCPU starts, and which records hold their state. Everything else of an
 * architecture is in its folder and included there only.
 *
 * Threads: a vCPU's state is touched while its thread is paused. Errors of a save or restore:
 * STASIS_ERR_KVM names the ioctl; STASIS_ERR_HOST: this host cannot hold the value, and the message
 * names it; STASIS_ERR_RANGE: KVM's value has no place in our type.
 *
 * Who uses this passes states on as what they are to it: bytes with a schema.
 */
#ifndef STASIS_VMM_ARCH_H
#define STASIS_VMM_ARCH_H

#include "stasis/state.h"
#include "vmm/arch/x86/entry.h"
#include "stasis/kvm_vcpu.h"
#include "vmm/base/reasons.h"

/* The architecture that is built here: its ELF machine number, as snapshots have it, and its name
 * for messages. */
extern const uint32_t stasis_arch_number;
extern const char stasis_arch_name[];

/* ---- boards ---- */

/* Fills in where KVM keeps its own pages in the guest's address space. */
void stasis_arch_board_init(struct stasis_board_state *board);

/* Whether this release can build the board's vCPUs. STASIS_ERR_VERSION says what it lacks. */
STASIS_MUST_CHECK int stasis_arch_board_check(const struct stasis_board_state *board,
                                              struct stasis_error *err);

/* ---- the host ---- */

/* Adds what this host's KVM lacks for any guest (STASIS_ERR_UNAVAILABLE), and whether it runs fewer
 * vCPUs than the board has (STASIS_ERR_HOST). */
void stasis_arch_host_check(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                            struct stasis_reasons *reasons);

/* Whether this host can show a new guest all that the board's CPU model promises. STASIS_ERR_HOST
 * names what is missing. For a thawed guest its own records say what it was promised. */
STASIS_MUST_CHECK int stasis_arch_model_check(const struct stasis_kvm *kvm,
                                              const struct stasis_board_state *board,
                                              struct stasis_error *err);

/* Whether this processor shows what KVM needs to let guests run by themselves. Without it a KVM
 * that is there emulates (PVM). */
bool stasis_arch_host_virtualizes(void);

/* ---- making and starting ---- */

/* What KVM wants before the first vCPU: capabilities, interrupt controllers, timers. The VM has its
 * memory already: slots that come after the chips wait for each other (Linux 6.18: 4 ms and more
 * instead of 0.2). */
STASIS_MUST_CHECK int stasis_arch_vm_create(struct stasis_vm *vm,
                                            const struct stasis_board_state *board,
                                            struct stasis_error *err);

/* What the architecture keeps of a vCPU beside KVM (vcpu->arch): made after stasis_vcpu_init(), and
 * freed before stasis_vcpu_fini(). Destroying what was never created is fine. */
STASIS_MUST_CHECK int stasis_arch_vcpu_create(struct stasis_vcpu *vcpu, struct stasis_error *err);
void stasis_arch_vcpu_destroy(struct stasis_vcpu *vcpu);

/* Makes the vCPU one of the board's CPU model, as firmware would leave it: the first starts at
 * `entry`, the others wait until the guest starts them. */
STASIS_MUST_CHECK int stasis_arch_vcpu_start(struct stasis_vcpu *vcpu,
                                             const struct stasis_board_state *board,
                                             const struct stasis_arch_entry *entry,
                                             struct stasis_error *err);

/* Where a restore adds what this host refuses of the vCPU's state, by register where it can; NULL:
 * nowhere. It fails all the same. */
void stasis_arch_vcpu_report(struct stasis_vcpu *vcpu, struct stasis_reasons *reasons);

/* Lets a restore accept a TSC of another rate than the host's. */
void stasis_arch_vcpu_ignore_tsc_rate(struct stasis_vcpu *vcpu, bool ignore);

/* Tells the guest's watchdogs that time went by without it; does nothing when it has no kvmclock.
 * The vCPU is not running. */
void stasis_arch_vcpu_resumes(const struct stasis_vcpu *vcpu);

/* Where the vCPU is, for messages: " near RIP 0x1234", or nothing. `size` bytes at most. */
void stasis_arch_vcpu_describe(const struct stasis_vcpu *vcpu, char *ret_text, size_t size);

/* ---- state ---- */

/* One record of a vCPU. get() fills all that is in use of its state, which need not have been
 * initialized: a freeze is not to take longer for it. */
struct stasis_arch_vcpu_record {
    const struct stasis_schema *schema;
    int (*get)(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err);
    int (*set)(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err);
    /* Adds why this host cannot hold the state of a vCPU of the board, as far as system ioctls
     * tell; NULL: any can. An error says why it could not be checked. */
    int (*check)(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                 const void *state, struct stasis_reasons *reasons, struct stasis_error *err);
    /* The same as far as the CPU itself tells, where there is no KVM; NULL: it tells nothing. */
    int (*check_cpu)(const struct stasis_board_state *board, const void *state,
                     struct stasis_reasons *reasons, struct stasis_error *err);
    /* Whether the state can be that of the vCPU with this number, as other records refer to it;
     * STASIS_ERR_CORRUPT says which number it has instead. NULL: it has none. */
    int (*check_id)(const void *state, uint32_t id, struct stasis_error *err);
    /* Changes a state that was read to what it was at the moment of the VM's clock, whose state
     * has been read since; NULL: nothing in it counts time. */
    int (*at_clock)(struct stasis_vcpu *vcpu, const void *clock, void *state,
                    struct stasis_error *err);
};

/* Reads one of a vCPU's records into *ret_state. */
typedef int stasis_arch_read_fn(void *ctx, const struct stasis_schema *schema, void *ret_state,
                                struct stasis_error *err);

/* Adds what no CPU can be in of the state of vCPU `id`, as far as every KVM would refuse it or the
 * guest crash at once (STASIS_ERR_CORRUPT). Touches no KVM. */
STASIS_MUST_CHECK int stasis_arch_vcpu_check(uint32_t id, stasis_arch_read_fn *read, void *ctx,
                                             struct stasis_reasons *reasons,
                                             struct stasis_error *err);

/* Around the reading of all records of a vCPU in the order below, by the thread that ran it last
 * and while no other vCPU runs: fewer calls of KVM, where it can. Without it each record is read by
 * itself. What is set in between is not seen. */
void stasis_arch_vcpu_read_begin(struct stasis_vcpu *vcpu);
void stasis_arch_vcpu_read_end(struct stasis_vcpu *vcpu);

/* A vCPU's records in the order in which they are read, and the one in which they are written. Both
 * end with NULL. Each step's reason stands beside it (x86/order.c). */
extern const struct stasis_arch_vcpu_record *const stasis_arch_vcpu_save_order[];
extern const struct stasis_arch_vcpu_record *const stasis_arch_vcpu_restore_order[];

/* One record of the VM: a chip, or the clock. */
struct stasis_arch_vm_record {
    const struct stasis_schema *schema;
    const char *instance;
    uint32_t chip; /* KVM_IRQCHIP_*, where there are several */
    int (*get)(struct stasis_vm *vm, uint32_t chip, void *ret_state, struct stasis_error *err);
    int (*set)(struct stasis_vm *vm, uint32_t chip, const void *state, struct stasis_error *err);
    /* The same for a guest for which time has passed: the state goes on by what the host's time of
     * day has since then_ns, when it was read unless it knows better; never backwards. The VM's
     * clock, one row, has it; else NULL. */
    int (*set_advanced)(struct stasis_vm *vm, uint32_t chip, const void *state, uint64_t then_ns,
                        struct stasis_error *err);
};

/* In the order in which they are written; read the other way round. Ends with a row without
 * schema. */
extern const struct stasis_arch_vm_record stasis_arch_vm_records[];

/* The row of the VM's clock. */
const struct stasis_arch_vm_record *stasis_arch_vm_clock(void);

/* Whether the kvmclocks of all vCPUs are one clock, as their pages tell the guest. False where
 * KVM's master clock is off, because the host's clock is not its TSC or because the TSCs of the
 * vCPUs differ; and where KVM does not say. */
bool stasis_arch_clock_is_stable(const struct stasis_vm *vm);

/* The last step of a restore, after everything else of the vCPUs and after the VM's clock, which
 * may have been set ahead of its state `frozen_clock`: the vCPUs' own counters and what is armed in
 * them follow it. *ret_tsc_is_set is false where KVM shows guests the host's counter whatever it is
 * told: there the deadlines move along, so that timers fire when they should. */
STASIS_MUST_CHECK int stasis_arch_clocks_restore(struct stasis_vcpu *vcpus, uint32_t count,
                                                 const void *frozen_clock, bool *ret_tsc_is_set,
                                                 struct stasis_error *err);

#endif
