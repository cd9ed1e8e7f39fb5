/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Expands the list STASIS_DEF of the state STASIS_NAME to static assertions and to the tables
 * <name>_fields and <name>_history, for a struct that def_struct.h made of the same list, and with
 * stasis/schema.h included; with STASIS_LOCKED to its fingerprint too (def_fingerprint.h). No
 * guard: included once per state.
 */
#define STASIS_CAT_(a, b) a##b
#define STASIS_CAT(a, b)  STASIS_CAT_(a, b)
#define STASIS_THIS       STASIS_CAT(STASIS_CAT(struct stasis_, STASIS_NAME), _state)
#define STASIS_ROW(name)  STASIS_CAT(STASIS_CAT(STASIS_NAME, _row_), name)
#define STASIS_FIRST_ROW  STASIS_CAT(STASIS_NAME, _row_zero)

/* ids are dense and ascending: the n-th row has id n. */
#define STASIS_INT(id, type, name, since, def, mask, doc)    STASIS_ROW(name),
#define STASIS_INTS(id, type, name, count, since, mask, doc) STASIS_ROW(name),
#define STASIS_BUF(id, name, max, elem, since, doc)          STASIS_ROW(name),
#define STASIS_STR(id, name, max, since, def, doc)           STASIS_ROW(name),
#define STASIS_STRUCT(id, sub, name, since, doc)             STASIS_ROW(name),
#define STASIS_LIST(id, sub, name, max, since, doc)          STASIS_ROW(name),
#define STASIS_OLD_BOUND(before, id, name, bound)
enum {
    STASIS_FIRST_ROW,
#include STASIS_DEF
};
#include "stasis/def_undef.h"

/* A member of a type that is not saved does not compile. */
#define STASIS_IS_SIGNED(type)                                                                     \
    _Generic((type)0, uint8_t                                                                      \
             : false, uint16_t                                                                     \
             : false, uint32_t                                                                     \
             : false, uint64_t                                                                     \
             : false, int8_t                                                                       \
             : true, int16_t                                                                       \
             : true, int32_t                                                                       \
             : true, int64_t                                                                       \
             : true)

#define STASIS_ID_OK(id, name)                                                                     \
    _Static_assert(STASIS_ROW(name) == (id), "id of " #name " is not dense")
#define STASIS_INT(id, type, name, since, def, mask, doc)                                          \
    STASIS_ID_OK(id, name);                                                                        \
    _Static_assert(((uint64_t)(def) & ~(uint64_t)(mask)) == 0, #name ": default outside mask");    \
    _Static_assert((type)(mask) == (mask), #name ": mask wider than the type");                    \
    _Static_assert((type)(def) == (def), #name ": default wider than the type");
#define STASIS_INTS(id, type, name, count, since, mask, doc)                                       \
    STASIS_ID_OK(id, name);                                                                        \
    _Static_assert(!STASIS_IS_SIGNED(type), #name ": the integers of an array are unsigned");      \
    _Static_assert((type)(mask) == (mask), #name ": mask wider than the type");
#define STASIS_BUF(id, name, max, elem, since, doc)                                                \
    STASIS_ID_OK(id, name);                                                                        \
    _Static_assert((max) % (elem) == 0, #name ": max is not whole registers");
#define STASIS_STR(id, name, max, since, def, doc)                                                 \
    STASIS_ID_OK(id, name);                                                                        \
    _Static_assert(sizeof(def) <= (max) + 1, #name ": default longer than max");
#define STASIS_STRUCT(id, sub, name, since, doc)    STASIS_ID_OK(id, name);
#define STASIS_LIST(id, sub, name, max, since, doc) STASIS_ID_OK(id, name);
#define STASIS_OLD_BOUND(before, id, name, bound)                                                  \
    STASIS_ID_OK(id, name);                                                                        \
    _Static_assert((before) > 1, #name ": no version is before 1");
#include STASIS_DEF
#include "stasis/def_undef.h"

#define STASIS_COMMON(id_, since_, name_, doc_)                                                    \
    .id = (id_), .since = (since_)&0xffff, .until = (since_) >> 16, .name = #name_, .doc = (doc_), \
    .offset = offsetof(STASIS_THIS, name_)
#define STASIS_INT(id, type, name, since, def, mask_, doc)                                         \
    {STASIS_COMMON(id, since, name, doc),                                                          \
     .kind = STASIS_KIND_INT,                                                                      \
     .is_signed = STASIS_IS_SIGNED(type),                                                          \
     .elem_size = sizeof(type),                                                                    \
     .max = 1,                                                                                     \
     .default_int = (uint64_t)(def),                                                               \
     .mask = (uint64_t)(mask_)},
#define STASIS_INTS(id, type, name, count, since, mask_, doc)                                      \
    {STASIS_COMMON(id, since, name, doc),                                                          \
     .kind = STASIS_KIND_INTS,                                                                     \
     .is_signed = STASIS_IS_SIGNED(type),                                                          \
     .elem_size = sizeof(type),                                                                    \
     .max = (count),                                                                               \
     .mask = (uint64_t)(mask_)},
#define STASIS_BUF(id, name, max_, elem, since, doc)                                               \
    {STASIS_COMMON(id, since, name, doc), .kind = STASIS_KIND_BUF, .elem_size = (elem),            \
     .max = (max_), .count_offset = offsetof(STASIS_THIS, name##_len)},
#define STASIS_STR(id, name, max_, since, def, doc)                                                \
    {STASIS_COMMON(id, since, name, doc), .kind = STASIS_KIND_STR, .elem_size = 1, .max = (max_),  \
     .default_str = (def)},
#define STASIS_STRUCT(id, sub_, name, since, doc)                                                  \
    {STASIS_COMMON(id, since, name, doc), .kind = STASIS_KIND_STRUCT,                              \
     .elem_size = sizeof(struct stasis_##sub_##_state), .max = 1, .sub = &stasis_##sub_##_schema},
#define STASIS_LIST(id, sub_, name, max_, since, doc)                                              \
    {STASIS_COMMON(id, since, name, doc),                                                          \
     .kind = STASIS_KIND_LIST,                                                                     \
     .elem_size = sizeof(struct stasis_##sub_##_state),                                            \
     .max = (max_),                                                                                \
     .count_offset = offsetof(STASIS_THIS, name##_count),                                          \
     .sub = &stasis_##sub_##_schema},
#define STASIS_OLD_BOUND(before, id, name, bound)
static const struct stasis_field STASIS_CAT(STASIS_NAME, _fields)[] = {
#include STASIS_DEF
};
#include "stasis/def_undef.h"

#define STASIS_INT(id, type, name, since, def, mask, doc)
#define STASIS_INTS(id, type, name, count, since, mask, doc)
#define STASIS_BUF(id, name, max, elem, since, doc)
#define STASIS_STR(id, name, max, since, def, doc)
#define STASIS_STRUCT(id, sub, name, since, doc)
#define STASIS_LIST(id, sub, name, max, since, doc)
#define STASIS_OLD_BOUND(before_, id_, name, bound_)                                               \
    {.before = (before_), .id = (id_), .bound = (bound_)},
static const struct stasis_old_bound STASIS_CAT(STASIS_NAME, _history)[] = {
#include STASIS_DEF
    {0},
};
#include "stasis/def_undef.h"
#ifdef STASIS_LOCKED
#include "stasis/def_fingerprint.h"
#endif
#undef STASIS_IS_SIGNED
#undef STASIS_COMMON
#undef STASIS_ID_OK
#undef STASIS_FIRST_ROW
#undef STASIS_ROW
#undef STASIS_THIS
#undef STASIS_CAT
#undef STASIS_CAT_
#undef STASIS_NAME
#undef STASIS_DEF
