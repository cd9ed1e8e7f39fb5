// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// The CPUs of the Linux guest of the end-to-end runs.
#ifndef STASIS_TESTS_GUEST_CPUS_H
#define STASIS_TESTS_GUEST_CPUS_H

#include "guest.h"

// Timer interrupts of a CPU, or of ALL_CPUS (guest_devices.h): they rise only while a timer is
// armed and fires. The LAPIC's, or the PIT's where Linux has found no LAPIC timer that it trusts,
// as on a busy host without TSC deadline.
uint64_t timer_interrupts(int cpu);

// Has each CPU say what it is.
void visit_cpus(const struct guest *guest);

#endif
