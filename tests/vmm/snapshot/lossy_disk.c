/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/vmm/snapshot/lossy_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/kvm_guest.h"

static uint8_t cache[LOSSY_DISK]; /* written, and not synced */
static bool is_cached[LOSSY_DISK / 512];

_Atomic bool lossy_disk_hangs, lossy_disk_is_hanging;
_Atomic int lossy_disk_fails;

static bool fails(void)
{
    errno = lossy_disk_fails;
    return errno;
}

static ssize_t cached_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    (void)fd;
    for (lossy_disk_is_hanging = lossy_disk_hangs; lossy_disk_hangs;)
        kvm_sleep_us(1000);
    if (fails())
        return -1;
    memcpy(cache + offset, bytes, len);
    memset(is_cached + offset / 512, true, len / 512);
    return (ssize_t)len;
}

static ssize_t cached_pread(int fd, void *bytes, size_t len, off_t offset)
{
    ssize_t got = fails() ? -1 : pread(fd, bytes, len, offset);

    for (size_t done = 0; got > 0 && done < len; done += 512) {
        size_t at = (size_t)offset + done;

        if (is_cached[at / 512])
            memcpy((uint8_t *)bytes + done, cache + at, 512);
    }
    return got;
}

static int sync_cache(int fd)
{
    if (fails())
        return -1;
    for (unsigned i = 0; i < LOSSY_DISK / 512; i++) {
        if (is_cached[i] && pwrite(fd, cache + 512 * i, 512, (off_t)512 * i) != 512)
            return -1;
        is_cached[i] = false;
    }
    return 0;
}

void lossy_disk_crash(void)
{
    memset(is_cached, 0, sizeof(is_cached));
}

const struct stasis_disk_calls lossy_disk_calls = {cached_pread, cached_pwrite, sync_cache,
                                                   fallocate, sync_cache};

bool lossy_disk_has_unsynced(uint64_t offset)
{
    return is_cached[offset / 512];
}
