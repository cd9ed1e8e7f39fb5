/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Notifications of a virtio device's queues that KVM turns into an event of a descriptor
 * (ioeventfd), without an exit to the VMM. Whoever reads the descriptor serves the queues: the
 * device's thread (io_thread.h), or the event loop.
 *
 * The other direction has no irqfd. The line is level-triggered and follows InterruptStatus under
 * the lock, by KVM_IRQ_LINE: an irqfd makes an edge, or with resampling drops the line at the end
 * of the interrupt and would have it raised again each time that the driver has not yet
 * acknowledged. To raise it is one system call either way.
 */
#ifndef STASIS_VMM_QUEUE_BELLS_H
#define STASIS_VMM_QUEUE_BELLS_H

#include "stasis/virtio_mmio.h"
#include "vmm/machine/device.h"

/* Begins as zeros. */
struct stasis_queue_bells {
    uint32_t rings; /* by queue: its notifications are events */
};

/* Has KVM write to the eventfd what the driver notifies of, for each of the first `queues` that is
 * in use by now; those of another are exits, and errors of the driver. Where KVM has no room for
 * it they stay exits. After each write to a register, and once the state has been restored. */
void stasis_queue_bells_follow(struct stasis_queue_bells *bells, const struct stasis_device *device,
                               const struct stasis_virtio_mmio *mmio, unsigned queues, int fd);

#endif
