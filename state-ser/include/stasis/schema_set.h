/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Schemas that travel with records, so that a program which does not know a type, or only an older
 * version of it, can show it all the same. For display: nothing is ever restored by them.
 * docs/snapshot-format.md, "Schema section", is the specification.
 *
 * Threads: a set may be read by many threads at once.
 */
#ifndef STASIS_SCHEMA_SET_H
#define STASIS_SCHEMA_SET_H

#include "stasis/ser.h"

STASIS_BEGIN_DECLS

/* Bounds that the format sets. */
#define STASIS_SCHEMA_SET_MAX    (1u << 20) /* bytes */
#define STASIS_SCHEMA_STATES_MAX 512u       /* record types and nested states together */

struct stasis_schema_set;

/* Describes every record of *records that has a schema, an embedded one too, as it is in the
 * record's version; in *ret_bytes, which is the caller's to free(). STASIS_ERR_NOMEM;
 * STASIS_ERR_RANGE: the schemas are beyond the bounds above; STASIS_ERR_ARG: stasis_schema_check()
 * refuses one. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_schema_set_encode(const struct stasis_records *records,
                                                             uint8_t **ret_bytes, size_t *ret_len,
                                                             struct stasis_error *err);

/* Reads what pack wrote, or anybody else. STASIS_ERR_CORRUPT, STASIS_ERR_NOMEM. free(NULL) is
 * fine. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_schema_set_parse(const uint8_t *bytes, size_t len,
                                                            struct stasis_schema_set **ret_set,
                                                            struct stasis_error *err);
STASIS_EXPORT void stasis_schema_set_free(struct stasis_schema_set *set);

/* The states described, nested ones before those that hold them. A nested one has version 0. The
 * pointers live as long as the set. */
STASIS_EXPORT size_t stasis_schema_set_count(const struct stasis_schema_set *set);
STASIS_EXPORT const struct stasis_schema *stasis_schema_set_at(const struct stasis_schema_set *set,
                                                               size_t index);

/* The record type in that version, or NULL. */
STASIS_EXPORT const struct stasis_schema *
stasis_schema_set_find(const struct stasis_schema_set *set, const char *type, uint32_t version);

/* Lets the records of a tolerant parse that have no schema be read by those of the set, if their
 * bytes agree; such a record is `embedded`. The set must outlive the records. STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_records_use_embedded_schemas(struct stasis_records *records,
                                    const struct stasis_schema_set *set, struct stasis_error *err);

STASIS_END_DECLS

#endif
