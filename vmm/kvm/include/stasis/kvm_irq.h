/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Interrupts: controllers in the kernel, lines, descriptors that raise them (irqfd), and the table
 * that says where each line goes.
 *
 * Threads: any, but one at a time for a table of routes.
 */
#ifndef STASIS_KVM_IRQ_H
#define STASIS_KVM_IRQ_H

#include "stasis/kvm_vm.h"

STASIS_BEGIN_DECLS

/* ---- controllers ---- */

/* PICs, I/O APIC and local APICs in the kernel (KVM_CREATE_IRQCHIP), before the first vCPU.
 * STASIS_ERR_EXISTS (EEXIST): there is one already. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_create_irqchip(const struct stasis_vm *vm,
                                                             struct stasis_error *err);
/* Local APICs only; PICs and an I/O APIC with so many pins are the caller's, who injects their
 * interrupts as MSIs (KVM_CAP_SPLIT_IRQCHIP). STASIS_ERR_UNAVAILABLE, STASIS_ERR_EXISTS. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vm_create_split_irqchip(const struct stasis_vm *vm, uint32_t pins, struct stasis_error *err);
/* The PIT in the kernel, after the controllers; `flags` of struct kvm_pit_config, such as
 * KVM_PIT_SPEAKER_DUMMY. STASIS_ERR_NOT_FOUND (ENOENT): no PICs, for KVMs that look (Linux
 * 6.1 does not); STASIS_ERR_EXISTS. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_create_pit(const struct stasis_vm *vm, uint32_t flags,
                                                         struct stasis_error *err);

/* ---- lines ---- */

/* Drives a line (KVM_IRQ_LINE). STASIS_ERR_KVM with ENXIO: there are no controllers. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_irq_line(const struct stasis_vm *vm, uint32_t gsi,
                                                       bool level, struct stasis_error *err);
/* The same, and what became of it (KVM_IRQ_LINE_STATUS): 1 or more, so many vCPUs have it; 0, it
 * was pending already; -1, it is masked. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_irq_line_status(const struct stasis_vm *vm,
                                                              uint32_t gsi, bool level,
                                                              int *ret_status,
                                                              struct stasis_error *err);
/* stasis_vm_irq_line() for a device that has no use for a failure. STASIS_GSI_NONE is no line. */
#define STASIS_GSI_NONE UINT32_MAX
STASIS_EXPORT void stasis_vm_set_irq(const struct stasis_vm *vm, uint32_t gsi, bool level);

/* Injects a message-signalled interrupt (KVM_SIGNAL_MSI). *ret_delivered is false if the guest
 * blocks it. If no vCPU has the destination, it is false as well, or the call fails by
 * STASIS_ERR_KVM (EPERM): that depends on how KVM searches. STASIS_ERR_KVM (EINVAL): no
 * controllers. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_signal_msi(const struct stasis_vm *vm,
                                                         uint64_t address, uint32_t data,
                                                         bool *ret_delivered,
                                                         struct stasis_error *err);

/* ---- irqfd ---- */

/* Each write to the eventfd `fd` is an edge on the line, without this process. One eventfd can be
 * assigned once only, whatever the line. STASIS_ERR_EXISTS (EBUSY): it is; STASIS_ERR_ARG (EBADF):
 * it is no descriptor; STASIS_ERR_KVM (EINVAL): it is no eventfd, or there are no controllers. KVM
 * takes lines that have no route, which then do nothing. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irqfd_assign(const struct stasis_vm *vm, uint32_t gsi,
                                                        int fd, struct stasis_error *err);
/* The same for a level-triggered line: a write to `fd` raises it, the guest's end of interrupt
 * lowers it and writes to `resample_fd`. It needs the PICs and the I/O APIC in the kernel: with a
 * split irqchip it is STASIS_ERR_KVM (EINVAL). STASIS_ERR_UNAVAILABLE: this KVM has none of these.
 */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irqfd_assign_resample(const struct stasis_vm *vm,
                                                                 uint32_t gsi, int fd,
                                                                 int resample_fd,
                                                                 struct stasis_error *err);
/* After it returns the descriptor raises nothing more. KVM answers success also for one that was
 * never assigned. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irqfd_deassign(const struct stasis_vm *vm, uint32_t gsi,
                                                          int fd, struct stasis_error *err);

/* ---- routes ---- */

/* A table of routes that is built here and given to KVM whole; it replaces the one before, also
 * that which KVM makes for controllers in the kernel. */
struct stasis_irq_routes {
    struct kvm_irq_routing *table;
    uint32_t capacity;
    uint32_t max; /* of GSIs and of routes (KVM_CAP_IRQ_ROUTING) */
};

/* An empty table. STASIS_ERR_UNAVAILABLE: this KVM has no routing. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irq_routes_init(struct stasis_irq_routes *routes,
                                                           const struct stasis_vm *vm,
                                                           struct stasis_error *err);
/* May be called twice, and on a struct of zeros. */
STASIS_EXPORT void stasis_irq_routes_fini(struct stasis_irq_routes *routes);
STASIS_EXPORT void stasis_irq_routes_clear(struct stasis_irq_routes *routes);

/* Adds: the line goes to a pin of a controller (KVM_IRQCHIP_...), or is an MSI. Errors:
 * STASIS_ERR_RANGE (EINVAL): no such line, controller or pin; STASIS_ERR_EXISTS (EEXIST): the line
 * goes there already, or is an MSI; STASIS_ERR_FULL (E2BIG). Whether the VM has the controller, and
 * whether an MSI's address is sound, KVM says in stasis_irq_routes_set(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irq_routes_add_pin(struct stasis_irq_routes *routes,
                                                              uint32_t gsi, uint32_t chip,
                                                              uint32_t pin,
                                                              struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irq_routes_add_msi(struct stasis_irq_routes *routes,
                                                              uint32_t gsi, uint64_t address,
                                                              uint32_t data,
                                                              struct stasis_error *err);
/* What KVM has by itself with controllers in the kernel: lines 0 to 15 go to the PICs and to the
 * I/O APIC, 16 to 23 to the I/O APIC. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irq_routes_add_standard(struct stasis_irq_routes *routes,
                                                                   struct stasis_error *err);
/* Removes all routes of the line. Returns how many. */
STASIS_EXPORT uint32_t stasis_irq_routes_remove(struct stasis_irq_routes *routes, uint32_t gsi);

/* KVM_SET_GSI_ROUTING. STASIS_ERR_KVM (EINVAL): a route goes to a controller that is not in the
 * kernel, or KVM does not take an MSI's address. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_irq_routes_set(const struct stasis_irq_routes *routes,
                                                          const struct stasis_vm *vm,
                                                          struct stasis_error *err);

STASIS_END_DECLS

#endif
