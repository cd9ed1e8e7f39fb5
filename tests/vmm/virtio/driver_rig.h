/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest's RAM and a driver by hand, who can do all that a driver must not.
 */
#ifndef STASIS_TESTS_DRIVER_RIG_H
#define STASIS_TESTS_DRIVER_RIG_H

#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_mmio.h"

/* Guest RAM is [RAM, RAM_END): nothing else is. */
#define RAM      UINT64_C(0x1000)
#define RAM_SIZE UINT64_C(0x8000)
#define RAM_END  (RAM + RAM_SIZE)

/* Where the driver has queue 0, of 8 entries, and its buffers. */
#define SIZE   8u
#define DESC   UINT64_C(0x1000)
#define AVAIL  UINT64_C(0x2000)
#define USED   UINT64_C(0x3000)
#define BUFFER UINT64_C(0x4000)
#define TABLE  UINT64_C(0x6000) /* of indirect descriptors */

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

/* Registers (virtio 1.2, 4.2.2). */
enum {
    R_DEVICE_FEATURES = 0x10,
    R_DEVICE_FEATURES_SEL = 0x14,
    R_DRIVER_FEATURES = 0x20,
    R_DRIVER_FEATURES_SEL = 0x24,
    R_QUEUE_SEL = 0x30,
    R_QUEUE_NUM_MAX = 0x34,
    R_QUEUE_NUM = 0x38,
    R_QUEUE_READY = 0x44,
    R_NOTIFY = 0x50,
    R_INTERRUPT_STATUS = 0x60,
    R_INTERRUPT_ACK = 0x64,
    R_STATUS = 0x70,
    R_DESC = 0x80,
    R_DRIVER = 0x90,
    R_DEVICE = 0xa0,
};

struct driver {
    uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
    uint64_t hole, hole_len; /* RAM that is none (any more) */
    /* Called before each look at RAM. */
    void (*looked)(struct driver *driver, uint64_t gpa, uint64_t len);
    unsigned looks;
    bool line;
    unsigned irqs;
    unsigned errors[STASIS_GUEST_ERROR_COUNT];
    unsigned error_count;
};

/* Empty RAM, no interrupt; and what a device wants of its host. */
void driver_init(struct driver *driver, struct stasis_virtio_host *ret_host);

void poke16(struct driver *driver, uint64_t gpa, uint16_t value);
uint16_t peek16(const struct driver *driver, uint64_t gpa);
uint32_t peek32(const struct driver *driver, uint64_t gpa);
uint8_t *bytes_at(struct driver *driver, uint64_t gpa);

/* Entry `index` of the descriptor table at `table`. */
void put_desc(struct driver *driver, uint64_t table, unsigned index, uint64_t addr, uint32_t len,
              unsigned flags, unsigned next);
/* Makes `head` available, as the next or as number `n`. */
void offer(struct driver *driver, uint16_t head);
void offer_at(struct driver *driver, uint16_t n, uint16_t head);
/* The same for a queue whose parts are so many bytes behind those of queue 0. */
void offer_behind(struct driver *driver, uint64_t bytes, uint16_t head);

/* Accesses of 4 bytes. */
uint32_t rd(struct stasis_virtio_mmio *mmio, uint64_t offset);
void wr(struct stasis_virtio_mmio *mmio, uint64_t offset, uint32_t value);
void wr64(struct stasis_virtio_mmio *mmio, uint64_t offset, uint64_t value);

/* Brings the device up as 3.1.1 says, to FEATURES_OK, with these features beside VERSION_1; sets
 * queue 0 up; and all that to DRIVER_OK. */
void agree(struct stasis_virtio_mmio *mmio, uint64_t features);
void set_up_queue(struct stasis_virtio_mmio *mmio);
/* Queue `number`, whose parts are so many bytes behind those of queue 0. */
void set_up_queue_behind(struct stasis_virtio_mmio *mmio, unsigned number, uint64_t bytes);
void bring_up(struct stasis_virtio_mmio *mmio, uint64_t features);

#endif
