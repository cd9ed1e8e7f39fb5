/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * States of one integer, for lists whose elements are integers.
 */
#include "stasis/schema.h"

#define FIELD(own, signed_, mask_)                                                                 \
    static const struct stasis_field own##_fields[] = {{.id = 1,                                   \
                                                        .since = 1,                                \
                                                        .kind = STASIS_KIND_INT,                   \
                                                        .is_signed = (signed_),                    \
                                                        .elem_size = sizeof(own),                  \
                                                        .max = 1,                                  \
                                                        .mask = (mask_),                           \
                                                        .name = "value",                           \
                                                        .doc = "the integer"}}

#define SCHEMA(own, name)                                                                          \
    {                                                                                              \
        .type = (name), .version = 1, .size = sizeof(own), .fields = own##_fields,                 \
        .field_count = 1, .doc = "an integer"                                                      \
    }

FIELD(_Bool, false, 1);
FIELD(uint8_t, false, UINT8_MAX);
FIELD(uint16_t, false, UINT16_MAX);
FIELD(uint32_t, false, UINT32_MAX);
FIELD(uint64_t, false, UINT64_MAX);
FIELD(int8_t, true, UINT64_MAX);
FIELD(int16_t, true, UINT64_MAX);
FIELD(int32_t, true, UINT64_MAX);
FIELD(int64_t, true, UINT64_MAX);

const struct stasis_schema stasis_element_schemas[STASIS_ELEMENT_COUNT] = {
    [STASIS_ELEMENT_BOOL] = SCHEMA(_Bool, "bool"),
    [STASIS_ELEMENT_UINT8] = SCHEMA(uint8_t, "uint8"),
    [STASIS_ELEMENT_UINT16] = SCHEMA(uint16_t, "uint16"),
    [STASIS_ELEMENT_UINT32] = SCHEMA(uint32_t, "uint32"),
    [STASIS_ELEMENT_UINT64] = SCHEMA(uint64_t, "uint64"),
    [STASIS_ELEMENT_INT8] = SCHEMA(int8_t, "int8"),
    [STASIS_ELEMENT_INT16] = SCHEMA(int16_t, "int16"),
    [STASIS_ELEMENT_INT32] = SCHEMA(int32_t, "int32"),
    [STASIS_ELEMENT_INT64] = SCHEMA(int64_t, "int64"),
};
