/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Expands the list STASIS_DEF of the state STASIS_NAME to the constant <name>_fingerprint: 31 bits
 * that follow from all that a release promises about its rows (what C cannot see, names and the
 * text of string defaults, stasis/lock.h compares). Included by def_fields.h when STASIS_LOCKED is
 * defined; those of nested states must stand before.
 */
#define STASIS_MIX(hash, value)                                                                    \
    (((hash) ^ (uint64_t)(value)) * UINT64_C(0x9e3779b97f4a7c15)) /* odd: loses nothing */
#define STASIS_MIX2(hash, a, b)       STASIS_MIX(STASIS_MIX(hash, a), b)
#define STASIS_MIX4(hash, a, b, c, d) STASIS_MIX2(STASIS_MIX2(hash, a, b), c, d)
#define STASIS_HEAD(id, kind, since)  STASIS_MIX2(UINT64_C(1) + STASIS_KIND_##kind, id, since)

/* Rows are summed up; each has its id, so that their order counts. */
#define STASIS_INT(id, type, name, since, def, mask, doc)                                          \
    +STASIS_MIX4(STASIS_HEAD(id, INT, since), sizeof(type), STASIS_IS_SIGNED(type), def, mask)
#define STASIS_INTS(id, type, name, count, since, mask, doc)                                       \
    +STASIS_MIX4(STASIS_HEAD(id, INTS, since), sizeof(type), STASIS_IS_SIGNED(type), count, mask)
#define STASIS_BUF(id, name, max, elem, since, doc)                                                \
    +STASIS_MIX2(STASIS_HEAD(id, BUF, since), max, elem)
#define STASIS_STR(id, name, max, since, def, doc)                                                 \
    +STASIS_MIX2(STASIS_HEAD(id, STR, since), max, sizeof(def))
#define STASIS_STRUCT(id, sub, name, since, doc)                                                   \
    +STASIS_MIX(STASIS_HEAD(id, STRUCT, since), sub##_fingerprint)
#define STASIS_LIST(id, sub, name, max, since, doc)                                                \
    +STASIS_MIX2(STASIS_HEAD(id, LIST, since), sub##_fingerprint, max)
#define STASIS_OLD_BOUND(before, id, name, bound) +STASIS_MIX2(STASIS_MIX(0x3a5, id), before, bound)
/* clang-format off */
enum {
    STASIS_CAT(STASIS_NAME, _fingerprint) = (int)((UINT64_C(0)
#include STASIS_DEF
    ) >> 33)
};
/* clang-format on */
#include "stasis/def_undef.h"
#undef STASIS_HEAD
#undef STASIS_MIX4
#undef STASIS_MIX2
#undef STASIS_MIX
