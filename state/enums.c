/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/enums.h"

#include <string.h>

#define STASIS_ENUM_SET(set_, record_, doc_)                                                       \
    static const struct stasis_enum_set set_##set_ = {                                             \
        .name = #set_, .record = (record_), .doc = (doc_)};
#define STASIS_ENUM(set, name, number, since, doc)
#include "stasis/state/enums.def"
#undef STASIS_ENUM_SET
#undef STASIS_ENUM

static const struct stasis_enum_value values[] = {
#define STASIS_ENUM_SET(set, record, doc)
#define STASIS_ENUM(set_, name_, number_, since_, doc_)                                            \
    {.set = &set_##set_, .name = #name_, .number = (number_), .since = (since_), .doc = (doc_)},
#include "stasis/state/enums.def"
#undef STASIS_ENUM_SET
#undef STASIS_ENUM
};

const struct stasis_enum_value *stasis_enum_all(size_t *ret_count)
{
    *ret_count = sizeof(values) / sizeof(values[0]);
    return values;
}

const char *stasis_enum_doc(const char *set, uint32_t number)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        if (values[i].number == number && !strcmp(values[i].set->name, set))
            return values[i].doc;
    }
    return NULL;
}
