// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Memory that the Linux guest of the end-to-end runs uses, gives up and gets again.
#ifndef STASIS_TESTS_GUEST_MEMORY_H
#define STASIS_TESTS_GUEST_MEMORY_H

// Has so many MiB of bytes that are not zero in the page cache, in a file without a disk. NULL, or
// what has failed (errno says why).
const char *memory_fill(unsigned mib);

// Deletes the file: its pages are free.
const char *memory_drop(void);

// Gets so many MiB of fresh memory from the kernel, which has to be zero, and gives them back.
// *ret_wrong: pages that are not.
const char *memory_take(unsigned mib, unsigned long *ret_wrong);

#endif
