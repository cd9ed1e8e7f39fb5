// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Devices as the Linux guest of the end-to-end runs sees them.
#ifndef STASIS_TESTS_GUEST_DEVICES_H
#define STASIS_TESTS_GUEST_DEVICES_H

#include <stddef.h>
#include <stdint.h>

enum {
    ALL_CPUS = -1,
};

// Loads the drivers in /lib. Returns NULL, or the file that cannot be loaded (errno says why).
const char *load_modules(void);

// What a line of /proc/interrupts says behind its label: a column for each CPU, and then a word.
uint64_t count_of(const char *columns, int cpu);

// Reads /dev/hwrng: "<driver> <hex of 16 bytes> irqs=<interrupts of virtio devices>", or "none".
void read_hwrng(char *text, size_t size);

#endif
