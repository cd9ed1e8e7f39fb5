/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Those that take the place of SHA256_*() allocate, and look algorithms up by name. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "vmm/host/disk_samples.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

static uint64_t offset_of(uint64_t bytes, unsigned sample)
{
    uint64_t last = (bytes - 1) / STASIS_DISK_SAMPLE;

    return last * sample / (STASIS_DISK_SAMPLES - 1) * STASIS_DISK_SAMPLE;
}

static size_t length_of(uint64_t bytes, uint64_t offset)
{
    return bytes - offset < STASIS_DISK_SAMPLE ? (size_t)(bytes - offset) : STASIS_DISK_SAMPLE;
}

/* At least that many bytes of a sample, which is asked for as a whole: past the page cache nothing
 * else may be. */
static bool read_all(int fd, uint8_t *to, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t got = pread(fd, to + done, STASIS_DISK_SAMPLE - done, (off_t)(offset + done));

        if (!got || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool stasis_disk_sample(int fd, uint64_t bytes, uint8_t ret_digest[STASIS_DISK_DIGEST_SIZE])
{
    _Alignas(STASIS_DISK_SAMPLE) uint8_t sample[STASIS_DISK_SAMPLE];
    SHA256_CTX sum;
    bool ok = true;

    (void)SHA256_Init(&sum); /* none of these fails */
    for (unsigned i = 0; i < STASIS_DISK_SAMPLES; i++)
        (void)posix_fadvise(fd, (off_t)offset_of(bytes, i), STASIS_DISK_SAMPLE,
                            POSIX_FADV_WILLNEED);
    for (unsigned i = 0; ok && i < STASIS_DISK_SAMPLES; i++) {
        uint64_t offset = offset_of(bytes, i);
        size_t len = length_of(bytes, offset);

        ok = read_all(fd, sample, len, offset);
        if (ok)
            (void)SHA256_Update(&sum, sample, len);
    }
    (void)SHA256_Final(ret_digest, &sum);
    return ok;
}
