/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM of stasis/vmm.h whose guest writes words where the test tells it to: the driver of a virtio
 * device, of which the test makes queues and buffers. The event loop is the test's.
 */
#ifndef STASIS_TESTS_TOLD_GUEST_H
#define STASIS_TESTS_TOLD_GUEST_H

#include "tests/vmm/api/vmm_rig.h"

#define TOLD_DEVICE 0xd0002000u /* the first optional one */
#define TOLD_SIZE   8u          /* of each queue */

extern struct vmm_rig told_rig;

/* The condition holds soon, while the loop runs. */
#define told_wait(condition) kvm_wait((told_turn(), (condition)))
void told_turn(void);

/* The folder, and a configuration whose kernel is that guest. */
void told_init(void);
void told_run(void);
/* Freezes the guest, which then has to be run again, as it was; or thaws another one. */
void told_freeze(void);
void told_fini(void);

void *told_ram(uint32_t gpa, uint32_t len);
uint32_t told_word(uint32_t gpa);

void told_write(uint32_t where, uint32_t what);
/* Until all is written. */
void told_sync(void);

/* ---- the device ---- */

/* With these features, of the first 32, and VERSION_1. */
void told_bring_up(uint32_t features, unsigned queues);
/* A buffer, which is described by the descriptor `head`. */
void told_offer(unsigned queue, uint16_t head, uint32_t gpa, uint32_t len, uint16_t flags);
uint16_t told_used(unsigned queue);
/* The descriptor of the number-th that came back, and how many bytes were written. */
uint16_t told_used_head(unsigned queue, uint16_t number, uint32_t *ret_len);
/* From the configuration, by the bus, as an exit would. */
uint32_t told_config(uint32_t offset, unsigned len);

#endif
