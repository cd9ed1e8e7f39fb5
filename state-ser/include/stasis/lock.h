/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The states of a release as text, written when the release is made and never changed, and the
 * check that the states of today can still read and write what that release did. For any schemas:
 * a program with states of its own calls this in a test of its own.
 *
 * The text has a line a field, so that two releases can be compared with diff. A line that starts
 * with '#' is a comment. It is trusted as source code is: bounds are kept, but no budget.
 *
 * Threads: all functions are pure.
 */
#ifndef STASIS_LOCK_H
#define STASIS_LOCK_H

#include <stdio.h>

#include "stasis/enums.h"
#include "stasis/lock_version.h"
#include "stasis/schema.h"

STASIS_BEGIN_DECLS

/* What is frozen and checked. */
struct stasis_lock_set {
    size_t size; /* sizeof(struct stasis_lock_set): lets the struct grow */
    const struct stasis_schema *const *schemas; /* of record types */
    size_t schema_count;
    const struct stasis_enum_value *values;
    size_t value_count;
};

/* What a change means for files that exist. */
enum stasis_lock_class {
    STASIS_LOCK_COMPATIBLE,      /* rows say all there is to say */
    STASIS_LOCK_NEEDS_MIGRATION, /* the record needs a migration; for a default, of that field */
    STASIS_LOCK_BREAKING,        /* never allowed: files of the release would be read wrongly */
};

/* "compatible", "needs-migration", "breaking". */
STASIS_EXPORT const char *stasis_lock_class_str(enum stasis_lock_class kind);

/* What was compared, and what came of it. */
struct stasis_lock_result {
    char release[32];
    uint32_t records, nested, fields, values;
    uint32_t allowed, refused; /* changes */
};

/* Writes the frozen text of a release ("0.1.0"). STASIS_ERR_ARG: stasis_lock_check_set() fails, or
 * the name is not 1 to 31 characters without spaces. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_lock_write(const struct stasis_lock_set *set,
                                                      const char *release, FILE *out,
                                                      struct stasis_error *err);

/* Compares frozen text with the set and tells `change` (may be NULL) of each difference: in a line
 * without a newline that lives as long as the call, where it is, what it was, what it is, its
 * class, and what to do if it is refused. STASIS_ERR_VERSION: changes were refused, *ret_result
 * says how many; STASIS_ERR_CORRUPT: this is no frozen text, the message names the line;
 * STASIS_ERR_ARG: the set is of another size. *ret_result is set unless the text is corrupt. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_lock_check(
    const struct stasis_lock_set *set, const char *text, size_t len,
    void (*change)(void *ctx, enum stasis_lock_class kind, bool refused, const char *text),
    void *ctx, struct stasis_lock_result *ret_result, struct stasis_error *err);

/* Checks what no release must say: versions in rows are versions that the record has, a state is
 * nested in one record type only (its rows count that record's versions), types and ids are unique,
 * and names fit a line. A record nests 63 states at most.
 * STASIS_ERR_ARG names the first offender and what to do. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_lock_check_set(const struct stasis_lock_set *set,
                                                          struct stasis_error *err);

STASIS_END_DECLS

#endif
