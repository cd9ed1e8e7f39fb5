// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// How the Linux guest of the end-to-end runs ends.
#ifndef STASIS_TESTS_GUEST_POWER_H
#define STASIS_TESTS_GUEST_POWER_H

#include "guest.h"

void power_off(const struct guest *guest);
void restart(const struct guest *guest);

// The end of init is the kernel's, which tells the device pvpanic.
_Noreturn void panic(void);

// Waits for the power button from now on, and says so; how often it was pressed.
void hear_button(struct guest *guest);
unsigned long presses(void);

#endif
