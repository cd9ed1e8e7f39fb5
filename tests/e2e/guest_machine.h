// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// What the Linux guest of the end-to-end runs knows of its machine.
#ifndef STASIS_TESTS_GUEST_MACHINE_H
#define STASIS_TESTS_GUEST_MACHINE_H

// Calls tell(to, line) for each line: "release R" of its kernel, "memtotal KIB", "ram FIRST LAST"
// for each range of RAM that the kernel was given, and "lscpu ..." for each line of lscpu but those
// of flags and vulnerabilities.
void machine_tell(void (*tell)(void *to, const char *line), void *to);

#endif
