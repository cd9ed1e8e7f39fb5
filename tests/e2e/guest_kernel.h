// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// What the kernel of the Linux guest of the end-to-end runs has logged, and where its banner is.
#ifndef STASIS_TESTS_GUEST_KERNEL_H
#define STASIS_TESTS_GUEST_KERNEL_H

#include "guest.h"

// The address of linux_banner; 0: it is not known.
uint64_t banner_address(void);

// Repeats what was logged as a warning or worse.
void say_warnings(const struct guest *guest);

// Whether the kernel's clock source watchdog has not given up a TSC.
bool tsc_is_trusted(void);

// How often the kernel has heard that it was thawed, and what it has for random bytes.
void tell_fork(const struct guest *guest);

#endif
