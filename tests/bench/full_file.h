/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A snapshot of a guest that is as large as one likes and takes no room.
 */
#ifndef STASIS_BENCH_FULL_FILE_H
#define STASIS_BENCH_FULL_FILE_H

#include <stdint.h>

/* Makes a file of a guest without devices and with `size` bytes of memory. By its index all of that
 * is stored, as raw chunks; where their bytes should be there is a hole. It can be opened, and not
 * be loaded. 0, or -1. */
int bench_make_full_file(const char *path, uint64_t size);

#endif
