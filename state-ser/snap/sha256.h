/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * SHA-256 (FIPS 180-4), by the functions of OpenSSL's libcrypto that need nothing else of it.
 */
#ifndef STASIS_SNAP_SHA256_H
#define STASIS_SNAP_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "stasis/snap.h"

struct stasis_sha256 {
    uint64_t room[16]; /* for that of libcrypto, whose header is for sha256.c alone */
};

void stasis_sha256_begin(struct stasis_sha256 *sum);
void stasis_sha256_add(struct stasis_sha256 *sum, const void *bytes, size_t len);
void stasis_sha256_end(struct stasis_sha256 *sum, uint8_t ret_digest[STASIS_DIGEST_SIZE]);

/* All of it at once. */
void stasis_sha256(const void *bytes, size_t len, uint8_t ret_digest[STASIS_DIGEST_SIZE]);

#endif
