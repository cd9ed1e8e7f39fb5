/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the device targets share: an input is a list of events, of the guest and of the host, for
 * two devices of one type. One of them is frozen and thawed in between, and nobody may see a
 * difference.
 */
#ifndef STASIS_TESTS_FUZZ_DEVICE_H
#define STASIS_TESTS_FUZZ_DEVICE_H

#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "stasis/ser.h"

struct fuzz_events {
    const uint8_t *at, *end;
};

/* 0 at the end. */
static inline uint8_t fuzz_u8(struct fuzz_events *events)
{
    return events->at < events->end ? *events->at++ : 0;
}

static inline uint32_t fuzz_u32(struct fuzz_events *events)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)fuzz_u8(events) << 8 * i;
    return value;
}

/* The state as a file holds it, to be freed. */
static inline uint8_t *fuzz_encode(const struct stasis_schema *schema, const void *state,
                                   size_t *ret_len)
{
    struct stasis_records *out = stasis_records_new();
    uint8_t *bytes = NULL;

    FUZZ_ASSERT(out && !stasis_records_add(out, schema, "device", state, NULL));
    FUZZ_ASSERT(!stasis_records_encode(out, &bytes, ret_len, NULL));
    stasis_records_free(out);
    return bytes;
}

/* Equal states are equal bytes in a file. */
static inline bool fuzz_same(const struct stasis_schema *schema, const void *one, const void *two)
{
    size_t len, other_len;
    uint8_t *bytes = fuzz_encode(schema, one, &len);
    uint8_t *other = fuzz_encode(schema, two, &other_len);
    bool same = len == other_len && !memcmp(bytes, other, len);

    free(bytes);
    free(other);
    return same;
}

/* The state through a file: encoded, parsed and decoded. */
static inline void fuzz_through_file(const struct stasis_schema *schema, const void *state,
                                     void *ret_state)
{
    struct stasis_records *in = NULL;
    size_t len = 0;
    uint8_t *bytes = fuzz_encode(schema, state, &len);

    FUZZ_ASSERT(!stasis_records_parse(bytes, len, NULL, &in, NULL));
    FUZZ_ASSERT(!stasis_records_get(in, schema, "device", ret_state, NULL));
    stasis_records_free(in);
    free(bytes);
}

#endif
