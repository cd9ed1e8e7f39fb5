/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An index, with what header and section table say of it in front: RAM, stored bytes, features,
 * place and length of the data.
 */
#include "fuzz.h"

#include <string.h>

#include "state-ser/snap/header.h"
#include "state-ser/snap/index.h"
#include "state-ser/snap/le.h"

#define FRONT 40u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct stasis_snap_info info = {0};
    struct stasis_index index;
    struct stasis_error err = {0};
    uint8_t *copy;
    uint64_t offset, length, total = 0;

    if (len < FRONT)
        return 0;
    info.ram_bytes = stasis_le64_get(bytes);
    info.stored_bytes = stasis_le64_get(bytes + 8);
    info.incompatible = stasis_le64_get(bytes + 16);
    offset = stasis_le64_get(bytes + 24);
    length = stasis_le64_get(bytes + 32);
    /* As the header and the section table would not let through. */
    if (info.ram_bytes > STASIS_RAM_MAX || offset % STASIS_PAGE_SIZE || offset + length < offset)
        return 0;
    copy = fuzz_copy(bytes + FRONT, len - FRONT);
    memset(&index, 0, sizeof(index));
    if (stasis_index_parse(copy, len - FRONT, &info, offset, length, &index, &err)) {
        FUZZ_ASSERT(err.code && err.msg[0]);
    } else {
        for (uint64_t i = 0; i < index.chunk_count; i++)
            total += stasis_index_get(&index, i).stored_len;
        FUZZ_ASSERT(total == info.stored_bytes);
    }
    free(copy);
    return 0;
}
