/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What mmio.c and mmio_setup.c share, and devices use.
 */
#ifndef STASIS_VIRTIO_MMIO_INTERNAL_H
#define STASIS_VIRTIO_MMIO_INTERNAL_H

#include "stasis/virtio_mmio.h"

void stasis_virtio_mmio_guest_error(const struct stasis_virtio_mmio *mmio,
                                    enum stasis_guest_error error);

/* The line follows InterruptStatus. */
void stasis_virtio_mmio_update_irq(struct stasis_virtio_mmio *mmio);

/* The driver writes Status. */
void stasis_virtio_mmio_write_status(struct stasis_virtio_mmio *mmio, uint32_t value);

#endif
