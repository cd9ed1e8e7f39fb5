// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Work for every CPU of the Linux guest of the end-to-end runs: computing, and waiting for a timer.
#ifndef STASIS_TESTS_GUEST_LOAD_H
#define STASIS_TESTS_GUEST_LOAD_H

#include <stddef.h>

// Starts a process on each CPU. NULL, or what has failed (errno says why).
const char *load_start(void);

// "back=N turns=N,N,...": how often CLOCK_MONOTONIC has gone back, from one CPU to any, and how
// many turns each CPU has done.
void load_tell(char *ret_text, size_t size);

#endif
