/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "input.h"

#include <errno.h>

#include "io.h"
#include "pool.h"

bool stasis_input_is_open(const struct stasis_input *input)
{
    return input->fd >= 0 || input->storage.read;
}

/* True if a function of the caller's transferred something, and no more than it was asked for.
 * errno says why it failed, where it did not say so itself. */
static bool transferred(ssize_t n, size_t len)
{
    if (n > 0 && (size_t)n <= len)
        return true;
    if (n >= 0 || !errno)
        errno = EIO;
    return false;
}

static ssize_t read_storage(const struct stasis_storage *storage, uint8_t *buf, size_t len,
                            uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n;

        errno = 0;
        n = storage->read(storage->ctx, buf + done, len - done, offset + done);
        if (n == 0)
            break;
        if (!transferred(n, len - done))
            return -1;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

ssize_t stasis_input_read(const struct stasis_input *input, void *buf, size_t len, uint64_t offset)
{
    if (input->fd < 0)
        return read_storage(&input->storage, buf, len, offset);
    return stasis_io_pread(input->fd, buf, len, offset);
}

bool stasis_input_wait(const struct stasis_input *input)
{
    return input->fd < 0 || stasis_io_wait_readable(input->fd, STASIS_TURN_MS);
}

ssize_t stasis_input_read_some(const struct stasis_input *input, void *buf, size_t len,
                               uint64_t offset)
{
    ssize_t n;

    if (input->fd >= 0)
        return stasis_io_read_some(input->fd, buf, len);
    errno = 0;
    n = input->storage.read(input->storage.ctx, buf, len, offset);
    return n == 0 || transferred(n, len) ? n : -1;
}

int stasis_input_length(const struct stasis_input *input, uint64_t *ret_len)
{
    struct stat st;

    if (input->fd < 0) {
        *ret_len = input->storage.length;
        return 0;
    }
    if (stasis_io_stat(input->fd, &st))
        return -1;
    *ret_len = (uint64_t)st.st_size;
    return 0;
}

const char *stasis_input_remedy(const struct stasis_input *input)
{
    return input->fd < 0 ? "check its storage, or use another copy"
                         : "check the disk, or use another copy";
}

int stasis_storage_check(const struct stasis_storage *storage, struct stasis_error *err)
{
    if (storage->size != sizeof(*storage))
        return stasis_fail(err, STASIS_ERR_ARG, "a storage table of %zu bytes, expected %zu",
                           storage->size, sizeof(*storage));
    if (!storage->name)
        return stasis_fail(err, STASIS_ERR_ARG, "storage without a name");
    return 0;
}

int stasis_storage_append(const struct stasis_storage *storage, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;

    while (len) {
        ssize_t n;

        errno = 0;
        n = storage->write(storage->ctx, from, len);
        if (!transferred(n, len))
            return -1;
        from += n;
        len -= (size_t)n;
    }
    return 0;
}
