// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Memory that the Linux guest of the end-to-end runs uses, gives up and gets again.
#ifndef STASIS_TESTS_GUEST_MEMORY_H
#define STASIS_TESTS_GUEST_MEMORY_H

// Has so many MiB of bytes that are not zero in the page cache, in a file without a disk. NULL, or
// what has failed (errno says why).
const char *memory_fill(unsigned mib);

// Deletes the file: its pages are free.
const char *memory_drop(void);

// Gets all memory that the kernel says is available but so many MiB, which has to be zero, and
// gives it back. Less would not do: the kernel takes last what it has told the host of. *ret_wrong:
// pages that are not.
const char *memory_take_but(unsigned mib, unsigned long *ret_taken_mib, unsigned long *ret_wrong);

#endif
