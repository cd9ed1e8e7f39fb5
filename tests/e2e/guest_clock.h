// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// The clocks of the Linux guest of the end-to-end runs.
#ifndef STASIS_TESTS_GUEST_CLOCK_H
#define STASIS_TESTS_GUEST_CLOCK_H

#include "guest.h"

// What the CMOS clock shows behind an update, of which its interrupt tells.
void tell_rtc(const struct guest *guest);

// "NUMBER COUNT": so many lines with CLOCK_MONOTONIC, one behind the other.
void burst(const struct guest *guest, const char *arguments);

#endif
