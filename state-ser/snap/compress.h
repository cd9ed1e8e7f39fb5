/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Chunks in zlib format (RFC 1950), made and read whole. Any zlib reads what is written here.
 */
#ifndef STASIS_SNAP_CODEC_H
#define STASIS_SNAP_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#define STASIS_CODEC_LEVEL_MAX 12

/* A compressor belongs to one thread at a time. NULL when memory is short; free(NULL) is fine. */
struct stasis_compressor;
struct stasis_compressor *stasis_compressor_new(unsigned level);
void stasis_compressor_free(struct stasis_compressor *compressor);

/* Bytes put into `out`, or 0 if they would be more than `room`. */
size_t stasis_compress(struct stasis_compressor *compressor, const void *in, size_t len, void *out,
                       size_t room);

/* Whether `in` is one zlib stream that is exactly `in_len` bytes long and gives exactly `len`
 * bytes; `out` holds anything if not. *ret_nomem tells a lack of memory from a bad stream. */
bool stasis_decompress(const void *in, size_t in_len, void *out, size_t len, bool *ret_nomem);

#endif
