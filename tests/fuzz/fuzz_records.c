/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A state section: reader, parse, every record's decode, JSON. What is accepted has no second
 * spelling.
 */
#include "fuzz.h"

#include <string.h>

#include "stasis/ser.h"
#include "tests/state-ser/ser/gauge.h"
#include "tests/state-ser/ser/sample.h"
#include "tests/state-ser/ser/timer.h"

static void decode_again(const struct stasis_records *set, const struct stasis_record *record)
{
    struct stasis_records *one = stasis_records_new();
    struct stasis_record again;
    void *state = malloc(record->schema->size);

    FUZZ_ASSERT(one && state);
    FUZZ_ASSERT(!stasis_records_get(set, record->schema, record->instance, state, NULL));
    FUZZ_ASSERT(!stasis_records_add(one, record->schema, record->instance, state, NULL));
    again = stasis_records_at(one, 0);
    if (record->version == record->schema->version)
        FUZZ_ASSERT(again.fields_len == record->fields_len &&
                    !memcmp(again.fields, record->fields, again.fields_len));
    stasis_records_free(one);
    stasis_state_fini(record->schema, state);
    free(state);
}

static void parse(const uint8_t *bytes, size_t len, const struct stasis_parse_opts *opts)
{
    struct stasis_records *set = NULL;
    struct stasis_error err = {0};
    uint8_t *packed;
    size_t packed_len;

    if (stasis_records_parse(bytes, len, opts, &set, &err)) {
        FUZZ_ASSERT(!set && err.code && err.msg[0]);
        return;
    }
    FUZZ_ASSERT(!stasis_records_encode(set, &packed, &packed_len, NULL));
    FUZZ_ASSERT(packed_len == len && !memcmp(packed, bytes, len));
    for (size_t i = 0; i < stasis_records_count(set); i++) {
        struct stasis_record record = stasis_records_at(set, i);

        FUZZ_ASSERT(stasis_records_find(set, record.type, record.instance) == i);
        if (record.schema)
            decode_again(set, &record);
    }
    fuzz_show(set);
    free(packed);
    stasis_records_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct stasis_schema *const schemas[] = {&stasis_sample_schema, timer_schemas[2],
                                                   &gauge_schema};
    const struct stasis_parse_opts known = {
        .size = sizeof(known), .schemas = schemas, .schema_count = 3};
    const struct stasis_parse_opts tolerant = {.size = sizeof(tolerant), .tolerant = true};
    uint8_t *copy = fuzz_copy(bytes, len);

    parse(copy, len, &known);
    parse(copy, len, &tolerant);
    free(copy);
    return 0;
}
