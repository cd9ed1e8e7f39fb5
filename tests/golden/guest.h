/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The machine of guest.c: registers of a PC, and a driver of virtio 1.2 that waits for each answer.
 */
#ifndef STASIS_TESTS_GOLDEN_GUEST_H
#define STASIS_TESTS_GOLDEN_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICES_MAX  8
#define QUEUES_MAX   3
#define QUEUE_SIZE   8
#define FIRST_PAGE   UINT64_C(0xd0001000)
#define LAST_PAGE    UINT64_C(0xd000e000)
#define DISK_SECTORS 128
#define DISK_STRIDE  9 /* a page of 4 KiB further each time, as overlays have */
#define GIVEN_PAGE   0x1f0000u

/* virtio 1.2, 4.2.2 and 5 */
#define MAGIC       0x000
#define MAGIC_VALUE 0x74726976u
enum { NET = 1, BLK = 2, RNG = 4, BALLOON = 5, VSOCK = 19 };

struct device {
    uint64_t page;
    uint32_t id;
    unsigned number;
    uint16_t made[QUEUES_MAX]; /* requests of each queue */
};

/* Of a request: what the device reads comes before what it writes. */
struct part {
    volatile uint8_t *bytes;
    uint32_t len;
    bool written;
};

void guest_main(void);

uint32_t mmio_read(uint64_t page, unsigned offset);

/* Brings the device at this page up, with all its queues. */
void device_begin(struct device *device, uint64_t page, unsigned number);

/* Makes a request and waits for its answer. */
bool request(struct device *device, unsigned queue, const struct part *parts, unsigned count);

volatile uint8_t *buffer(unsigned number); /* 4 KiB of RAM */

uint64_t rdtsc(void);
int serial_read(void); /* -1: nothing is there */
void print(const char *text);
void print_number(uint64_t value);
void print_hex(uint8_t value);
void power_off(void);
void stop(const char *what) __attribute__((noreturn)); /* says so, and does nothing more */

#endif
