/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Expands the list STASIS_DEF to the members of a struct. No guard: included once per struct.
 */
#define STASIS_INT(id, type, name, since, def, mask, doc)    type name;
#define STASIS_INTS(id, type, name, count, since, mask, doc) type name[count];
#define STASIS_BUF(id, name, max, elem, since, doc)                                                \
    uint32_t name##_len;                                                                           \
    uint8_t name[max];
#define STASIS_STR(id, name, max, since, def, doc) char name[(max) + 1];
#define STASIS_STRUCT(id, sub, name, since, doc)   struct stasis_##sub##_state name;
#define STASIS_LIST(id, sub, name, max, since, doc)                                                \
    uint32_t name##_count;                                                                         \
    struct stasis_##sub##_state name[max];
#define STASIS_OLD_BOUND(before, id, name, bound)
#include STASIS_DEF
#include "stasis/def_undef.h"
#undef STASIS_DEF
