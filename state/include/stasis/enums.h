/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Numbers in states that have names: STASIS_BUS_PIO and so on, from stasis/state/enums.def.
 * All functions are pure.
 */
#ifndef STASIS_ENUMS_H
#define STASIS_ENUMS_H

#include <stddef.h>
#include <stdint.h>

#include "stasis/compiler.h"

STASIS_BEGIN_DECLS

enum stasis_enum_number {
#define STASIS_ENUM_SET(set, record, doc)
#define STASIS_ENUM(set, name, number, since, doc) STASIS_##set##_##name = (number),
#include "stasis/state/enums.def"
#undef STASIS_ENUM_SET
#undef STASIS_ENUM
};

struct stasis_enum_set {
    const char *name;   /* "BUS" */
    const char *record; /* type of the record that holds it */
    const char *doc;
};

struct stasis_enum_value {
    const struct stasis_enum_set *set;
    const char *name; /* "PIO" */
    uint32_t number;
    uint16_t since; /* first version of the record that has it */
    const char *doc;
};

/* Every value of every set, a set's together and ascending. */
STASIS_EXPORT const struct stasis_enum_value *stasis_enum_all(size_t *ret_count);

/* What a number of the set ("BUS") means, for people; NULL if it has no name. */
STASIS_EXPORT const char *stasis_enum_doc(const char *set, uint32_t number);

STASIS_END_DECLS

#endif
