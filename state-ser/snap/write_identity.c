/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a save is asked for, and what the header says of the save itself: who writes a snapshot,
 * which one it is, and when.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "chunk.h"
#include "compress.h"
#include "io.h"
#include "write.h"

static const char own_producer[] = "stasis " STASIS_VERSION;

int stasis_identity_check(const struct stasis_save_opts *opts, struct stasis_error *err)
{
    if (!opts->producer || stasis_header_is_producer(opts->producer, strlen(opts->producer)))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the producer must be 1 to %u printable ASCII characters, for example "
                       "\"acme-emu 3.1\"",
                       STASIS_PRODUCER_MAX);
}

/* RFC 4122, version 4. */
static int random_uuid(uint8_t uuid[STASIS_UUID_SIZE])
{
    if (stasis_io_random(uuid, STASIS_UUID_SIZE))
        return -1;
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

int stasis_identity_set(const struct stasis_save_opts *opts, struct stasis_snap_info *info,
                        struct stasis_error *err)
{
    static_assert(sizeof(own_producer) <= sizeof(info->producer), "producer");
    const char *producer = opts->producer ? opts->producer : own_producer;

    memcpy(info->producer, producer, strlen(producer) + 1);
    if (opts->uuid)
        memcpy(info->uuid, opts->uuid, sizeof(info->uuid));
    else if (random_uuid(info->uuid))
        return stasis_fail_errno(err, STASIS_ERR_IO, "random bytes for the header");
    if (opts->created_ns)
        info->created_ns = *opts->created_ns;
    else if (stasis_io_now_ns(&info->created_ns))
        return stasis_fail_errno(err, STASIS_ERR_IO, "the time for the header");
    return 0;
}

int stasis_save_opts_get(const struct stasis_save_opts *opts, struct stasis_save_opts *ret_opts,
                         struct stasis_error *err)
{
    if (opts && opts->size != sizeof(*opts))
        return stasis_fail(err, STASIS_ERR_ARG, "save options of %zu bytes, expected %zu",
                           opts->size, sizeof(*opts));
    if (opts && opts->zlib_level > STASIS_CODEC_LEVEL_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "zlib level %u: give 0 to %d", opts->zlib_level,
                           STASIS_CODEC_LEVEL_MAX);
    if (opts && opts->format_version > STASIS_FORMAT_VERSION)
        return stasis_fail(err, STASIS_ERR_ARG, "format version %" PRIu32 ": give 0 to %u",
                           opts->format_version, STASIS_FORMAT_VERSION);
    if (opts && opts->format_version == 1 && opts->digests)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "format version 1 has no digests; leave them out, or write version 2");
    if (opts && stasis_identity_check(opts, err))
        return STASIS_ERR_ARG;
    *ret_opts = opts ? *opts : (struct stasis_save_opts){.size = sizeof(*ret_opts)};
    return 0;
}
