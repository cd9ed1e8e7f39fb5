/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What takes their place allocates, looks algorithms up by name, and starts all of the library. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha256.h"

#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct stasis_sha256), "room for it");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct stasis_sha256), "room for it");

static SHA256_CTX *ctx_of(struct stasis_sha256 *sum)
{
    return (SHA256_CTX *)(void *)sum->room;
}

/* None of them fails: each returns 1, always. */
void stasis_sha256_begin(struct stasis_sha256 *sum)
{
    (void)SHA256_Init(ctx_of(sum));
}

void stasis_sha256_add(struct stasis_sha256 *sum, const void *bytes, size_t len)
{
    (void)SHA256_Update(ctx_of(sum), bytes, len);
}

void stasis_sha256_end(struct stasis_sha256 *sum, uint8_t ret_digest[STASIS_DIGEST_SIZE])
{
    (void)SHA256_Final(ret_digest, ctx_of(sum));
}

void stasis_sha256(const void *bytes, size_t len, uint8_t ret_digest[STASIS_DIGEST_SIZE])
{
    struct stasis_sha256 sum;

    stasis_sha256_begin(&sum);
    stasis_sha256_add(&sum, bytes, len);
    stasis_sha256_end(&sum, ret_digest);
}
