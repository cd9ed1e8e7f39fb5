/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A digest by which a disk of another content is likely to be known, at the cost of some reads.
 */
#ifndef STASIS_VMM_DISK_SAMPLES_H
#define STASIS_VMM_DISK_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#define STASIS_DISK_SAMPLES     16u
#define STASIS_DISK_SAMPLE      4096u
#define STASIS_DISK_DIGEST_SIZE 32u

/* SHA-256 of 16 blocks of 4 KiB of the disk, which has that many bytes: the first, the last, and
 * those at equal distances between them. They are asked for all at once. False: not all of it can
 * be read. */
bool stasis_disk_sample(int fd, uint64_t bytes, uint8_t ret_digest[STASIS_DISK_DIGEST_SIZE]);

#endif
