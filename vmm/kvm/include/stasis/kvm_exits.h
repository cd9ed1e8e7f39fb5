/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Why a vCPU has left the guest, as data, and the callbacks for it.
 *
 * Accesses (ports, memory, MSRs, hypercalls) have callbacks of their own, since the guest waits for
 * an answer. Every other exit is one call of `event` with a struct stasis_vcpu_exit, reasons that
 * are newer than this library included. Without a callback (NULL) the default holds that is
 * documented with it. Counts and offsets that KVM hands over are checked before they are used.
 */
#ifndef STASIS_KVM_EXITS_H
#define STASIS_KVM_EXITS_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "stasis/compiler.h"

STASIS_BEGIN_DECLS

struct stasis_vcpu;

/* Every reason that KVM has on any architecture, and what becomes of the guest if nobody decides:
 *   X(number, name, why)    `why` NULL: it runs on; else it ends, and `failed` gets that text
 * Accesses are in the list for their names. */
#define STASIS_VCPU_EXITS(X)                                                                       \
    X(0, unknown, "the CPU left it for a reason that KVM does not know")                           \
    X(1, exception, "KVM reports an exception")                                                    \
    X(2, io, NULL)                                                                                 \
    X(3, hypercall, NULL)                                                                          \
    X(4, debug, "a debug event, and no debugger")                                                  \
    X(5, hlt, "HLT, and KVM has no interrupt controller that could wake it")                       \
    X(6, mmio, NULL)                                                                               \
    X(7, irq_window_open, NULL)                                                                    \
    X(8, shutdown, "triple fault")                                                                 \
    X(9, fail_entry, "the CPU refused to enter it")                                                \
    X(10, intr, NULL)                                                                              \
    X(11, set_tpr, NULL)                                                                           \
    X(12, tpr_access, NULL)                                                                        \
    X(13, s390_sieic, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                             \
    X(14, s390_reset, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                             \
    X(15, dcr, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                                    \
    X(16, nmi, NULL)                                                                               \
    X(17, internal_error, "KVM internal error (an instruction it cannot emulate?)")                \
    X(18, osi, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                                    \
    X(19, papr_hcall, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                             \
    X(20, s390_ucontrol, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                          \
    X(21, watchdog, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                               \
    X(22, s390_tsch, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                              \
    X(23, epr, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                                    \
    X(24, system_event, "KVM system event")                                                        \
    X(25, s390_stsi, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                              \
    X(26, ioapic_eoi, NULL)                                                                        \
    X(27, hyperv, NULL)                                                                            \
    X(28, arm_nisv, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                               \
    X(29, rdmsr, NULL)                                                                             \
    X(30, wrmsr, NULL)                                                                             \
    X(31, dirty_ring_full, "its dirty ring is full, and nobody empties it")                        \
    X(32, ap_reset_hold, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                          \
    X(33, bus_lock, NULL)                                                                          \
    X(34, xen, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                                    \
    X(35, riscv_sbi, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                              \
    X(36, riscv_csr, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                              \
    X(37, notify, NULL)                                                                            \
    X(38, loongarch_iocsr, STASIS_VCPU_EXIT_UNKNOWN_REASON)                                        \
    X(39, memory_fault, "the host cannot provide memory that it uses")                             \
    X(40, tdx, STASIS_VCPU_EXIT_UNKNOWN_REASON)

/* Reasons in the list: numbers 0 to 40. */
#define STASIS_VCPU_EXIT_REASONS 41

/* Of reasons that nobody decides and that are not in the list. */
#define STASIS_VCPU_EXIT_UNKNOWN_REASON "KVM exit that this VMM does not know"

/* The names of the list as constants; linux/kvm.h of the host it is built on may lack some. */
enum stasis_vcpu_exit_reason {
#define STASIS_VCPU_EXIT_ENUM(number, name, why) STASIS_VCPU_EXIT_##name = (number),
    STASIS_VCPU_EXITS(STASIS_VCPU_EXIT_ENUM)
#undef STASIS_VCPU_EXIT_ENUM
};

/* "system_event"; "other" for a number that is not in the list. For messages and metrics. */
STASIS_EXPORT const char *stasis_vcpu_exit_name(uint32_t reason);

#define STASIS_VCPU_EXIT_DATA_MAX 16

/* The data of one exit: a copy, which the callback may keep. `reason` says which member holds; what
 * is not named here has no data. */
struct stasis_vcpu_exit {
    uint32_t reason;  /* enum stasis_vcpu_exit_reason, or newer */
    uint32_t flags;   /* KVM_RUN_X86_*, such as a bus lock beside another reason */
    const char *name; /* stasis_vcpu_exit_name(reason) */
    union {
        uint64_t hardware_reason; /* unknown */
        struct {
            uint32_t vector, error_code;
        } exception;
        struct kvm_debug_exit_arch debug; /* exception, pc, dr6, dr7 */
        struct {
            uint64_t hardware_reason;
            uint32_t cpu;
        } fail_entry;
        uint64_t set_tpr; /* the new CR8 */
        struct {
            uint64_t rip;
            uint32_t is_write;
        } tpr_access;
        struct {
            uint32_t suberror; /* KVM_INTERNAL_ERROR_* */
            uint32_t count;    /* of data */
            uint64_t data[STASIS_VCPU_EXIT_DATA_MAX];
        } internal_error;
        struct {
            uint32_t type;  /* KVM_SYSTEM_EVENT_* */
            uint32_t count; /* of data; 0 where KVM does not say (before Linux 5.19) */
            uint64_t data[STASIS_VCPU_EXIT_DATA_MAX];
        } system_event;
        uint8_t ioapic_eoi_vector;
        struct kvm_hyperv_exit hyperv; /* SynIC and debugger; its hypercalls have a callback */
        struct kvm_xen_exit xen;       /* of a type that is not a hypercall */
        uint32_t notify_flags;         /* KVM_NOTIFY_* */
        struct {
            uint64_t flags, gpa, size;
        } memory_fault;
        uint64_t raw[32]; /* of a reason that is not in the list: what KVM left in struct kvm_run */
    };
};

/* What becomes of the guest after an event. */
enum stasis_vcpu_next {
    STASIS_VCPU_DEFAULT, /* as STASIS_VCPU_EXITS says */
    STASIS_VCPU_RUN_ON,
    STASIS_VCPU_END, /* the guest ends; `failed` is not called */
};

enum stasis_hypercall_abi { STASIS_HYPERCALL_KVM, STASIS_HYPERCALL_XEN, STASIS_HYPERCALL_HYPERV };

struct stasis_vcpu_hypercall {
    enum stasis_hypercall_abi abi;
    bool long_mode; /* the guest calls in 64-bit mode; of KVM and Xen */
    uint32_t cpl;   /* of Xen */
    uint64_t nr;    /* Hyper-V: the input value */
    uint64_t args[6];
};

/* All are called on the thread that runs the vCPU. */
struct stasis_exit_ops {
    /* An access to a port: len is 1, 2 or 4. An exit with several elements (REP INS, REP OUTS) is
     * several calls. NULL: reads give all ones, writes are ignored. */
    uint64_t (*pio_read)(void *ctx, uint16_t port, unsigned len);
    void (*pio_write)(void *ctx, uint16_t port, unsigned len, uint64_t value);
    /* An access to memory that no slot has: len is 1 to 8; one that crosses a page comes in parts.
     * NULL: as with ports. */
    uint64_t (*mmio_read)(void *ctx, uint64_t gpa, unsigned len);
    void (*mmio_write)(void *ctx, uint64_t gpa, unsigned len, uint64_t value);
    /* The guest cannot run on: why, and KVM's number for it. NULL: the reason is lost. */
    void (*failed)(void *ctx, struct stasis_vcpu *vcpu, const char *why, uint64_t detail);
    /* Whether the guest may run on. Asked after every exit; NULL: always. */
    bool (*may_run)(void *ctx);
    /* Access to an MSR for which KVM asks (KVM_CAP_X86_USER_SPACE_MSR, KVM_X86_SET_MSR_FILTER);
     * why: KVM_MSR_EXIT_REASON_*. False, or NULL: the guest gets #GP. */
    bool (*rdmsr)(void *ctx, uint32_t index, uint32_t why, uint64_t *ret_value);
    bool (*wrmsr)(void *ctx, uint32_t index, uint32_t why, uint64_t value);
    /* The guest's result. NULL: the interface's own "no such call". */
    uint64_t (*hypercall)(void *ctx, struct stasis_vcpu *vcpu,
                          const struct stasis_vcpu_hypercall *call);
    /* Anything else. NULL: STASIS_VCPU_DEFAULT. */
    enum stasis_vcpu_next (*event)(void *ctx, struct stasis_vcpu *vcpu,
                                   const struct stasis_vcpu_exit *exit);
};

STASIS_END_DECLS

#endif
