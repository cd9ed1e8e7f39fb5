/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A header under a right CRC: what is accepted encodes to what it was decoded from.
 */
#include "fuzz.h"

#include <string.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/header.h"
#include "state-ser/snap/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t header[STASIS_HEADER_LEN] = {0}, again[STASIS_HEADER_LEN];
    struct stasis_header decoded;
    struct stasis_error err = {0};

    memcpy(header, bytes, len < sizeof(header) ? len : sizeof(header));
    memset(header + STASIS_HDR_CRC, 0, 4);
    stasis_le32_put(header + STASIS_HDR_CRC, stasis_crc32(header, sizeof(header)));
    if (stasis_header_decode(header, &decoded, &err)) {
        FUZZ_ASSERT(err.code && err.msg[0]);
        return 0;
    }
    if (!decoded.info.compatible) { /* or reserved bytes may hold what we do not know */
        stasis_header_encode(&decoded, again);
        FUZZ_ASSERT(!memcmp(header, again, sizeof(header)));
    }
    if (decoded.info.streamed)
        (void)!stasis_header_check_leading(&decoded, NULL);
    if (!stasis_header_check_sections(&decoded, decoded.info.file_len, &err))
        FUZZ_ASSERT(stasis_header_section(&decoded, STASIS_SECTION_DATA));
    return 0;
}
