/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "compress.h"

#include <libdeflate.h>

/* libdeflate's own type under our name, so that no other file sees its header. */
static struct libdeflate_compressor *deflate(struct stasis_compressor *compressor)
{
    return (struct libdeflate_compressor *)compressor;
}

struct stasis_compressor *stasis_compressor_new(unsigned level)
{
    return (struct stasis_compressor *)libdeflate_alloc_compressor((int)level);
}

void stasis_compressor_free(struct stasis_compressor *compressor)
{
    libdeflate_free_compressor(deflate(compressor));
}

size_t stasis_compress(struct stasis_compressor *compressor, const void *in, size_t len, void *out,
                       size_t room)
{
    return libdeflate_zlib_compress(deflate(compressor), in, len, out, room);
}

bool stasis_decompress(const void *in, size_t in_len, void *out, size_t len, bool *ret_nomem)
{
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    size_t used = 0;
    enum libdeflate_result result;

    *ret_nomem = !decompressor;
    if (!decompressor)
        return false;
    /* A NULL length makes anything but exactly len bytes an error. */
    result = libdeflate_zlib_decompress_ex(decompressor, in, in_len, out, len, &used, NULL);
    libdeflate_free_decompressor(decompressor);
    return result == LIBDEFLATE_SUCCESS && used == in_len;
}
