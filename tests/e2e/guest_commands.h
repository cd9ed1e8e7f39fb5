// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// The commands of the Linux guest of the end-to-end runs.
#ifndef STASIS_TESTS_GUEST_COMMANDS_H
#define STASIS_TESTS_GUEST_COMMANDS_H

#include "guest.h"

// Carries out the line that was read.
void run_command(struct guest *guest);

#endif
