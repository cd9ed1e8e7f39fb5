// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// A file system on the disk of the Linux guest of the end-to-end runs, and a program that writes to
// it.
#ifndef STASIS_TESTS_GUEST_DISK_H
#define STASIS_TESTS_GUEST_DISK_H

#include <stddef.h>

// Mounts ext4 from /dev/vda and starts to write files of it, again and again, in a process of its
// own. NULL, or what has failed (errno says why).
const char *disk_start(void);

// How many files have been written and flushed so far.
unsigned long disk_files(void);

// Waits until that many more have been. NULL, or what has failed.
const char *disk_more(unsigned long count);

// How many disks there are, each of which has answered a read that no cache could.
unsigned disk_count(void);

// Ends the writing, mounts anew, compares all files with what was written to them, and unmounts.
// NULL, or what is wrong.
const char *disk_stop(void);

#endif
