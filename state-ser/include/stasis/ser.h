/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * stasis-ser: states to canonical msgpack and back. Pure bytes: no files, no threads, no clock.
 * docs/snapshot-format.md, "State section", is the specification.
 *
 * A record is one state with its type ("stasis.serial"), an instance name ("com1") and a version.
 * A set of records is what the state section of a snapshot holds: sorted by type, then instance,
 * each pair once. Equal states give equal bytes, and the decoder refuses every other spelling.
 *
 * Threads: a set may be read by many threads at once and changed by one.
 */
#ifndef STASIS_SER_H
#define STASIS_SER_H

#include <stdio.h>

#include "stasis/json.h"
#include "stasis/schema.h"
#include "stasis/ser_version.h"

STASIS_BEGIN_DECLS

/* Bounds that the format sets, so that budgets never come from input alone. */
#define STASIS_RECORDS_MAX 4096
#define STASIS_STATE_MAX   (16u << 20) /* bytes of a state section */

struct stasis_records; /* a set of records */

/* What a set holds at an index. The pointers live as long as the set is not changed or freed.
 * `schema` is NULL when this program does not know the type (only if the record is optional, or
 * after a tolerant parse). */
struct stasis_record {
    const char *type;
    const char *instance;
    uint32_t version;
    bool optional;
    bool embedded; /* `schema` came with the file (stasis/schema_set.h): for display only */
    const struct stasis_schema *schema;
    const uint8_t *fields; /* the msgpack map of the record's fields */
    size_t fields_len;
};

/* An empty set; NULL when memory is short. free(NULL) is fine. */
STASIS_EXPORT struct stasis_records *stasis_records_new(void);
STASIS_EXPORT void stasis_records_free(struct stasis_records *set);

/* Encodes *state (schema->size bytes), after stasis_state_check(), and adds it.
 * STASIS_ERR_RANGE: the check failed, or a name is empty, too long or not [a-z0-9._-];
 * STASIS_ERR_ARG: stasis_schema_check(), which is called once for each schema and set, refuses the
 * schema; STASIS_ERR_EXISTS: the pair is there already; STASIS_ERR_FULL; STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_records_add(struct stasis_records *set,
                                                       const struct stasis_schema *schema,
                                                       const char *instance, const void *state,
                                                       struct stasis_error *err);

/* The same in place of the record of this type and instance, which is kept if it fails. Other
 * errors than those of stasis_records_add(): STASIS_ERR_NOT_FOUND if there is none. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_records_replace(struct stasis_records *set,
                                                           const struct stasis_schema *schema,
                                                           const char *instance, const void *state,
                                                           struct stasis_error *err);

/* Takes the record at an index below the count out of the set; those behind it move up. */
STASIS_EXPORT void stasis_records_remove(struct stasis_records *set, size_t index);

/* Number of records, and the record at an index below it, in canonical order. */
STASIS_EXPORT size_t stasis_records_count(const struct stasis_records *set);
STASIS_EXPORT struct stasis_record stasis_records_at(const struct stasis_records *set,
                                                     size_t index);

/* Index of the record with this type and instance, or of its type's first if instance is NULL;
 * SIZE_MAX if there is none. */
STASIS_EXPORT size_t stasis_records_find(const struct stasis_records *set, const char *type,
                                         const char *instance);

/* Decodes the record of this schema and instance (its type's first if instance is NULL) into
 * *ret_state (schema->size bytes), which is changed only on success; by a schema that came with the
 * file, only what the record says is written, and bytes behind a count stay. Pointers of its rows
 * point to memory of malloc(), or are NULL for no elements; stasis_state_fini() frees it. What they
 * pointed to before is the caller's. STASIS_ERR_NOT_FOUND: there is none; STASIS_ERR_VERSION: a
 * version this release cannot read; STASIS_ERR_CORRUPT: fields missing, unknown, out of their masks
 * or bounds, or against the schema's own rules. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_records_get(const struct stasis_records *set,
                                                       const struct stasis_schema *schema,
                                                       const char *instance, void *ret_state,
                                                       struct stasis_error *err);

/* The whole set as bytes; *ret_bytes is freed by the caller with free(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_records_encode(const struct stasis_records *set,
                                                          uint8_t **ret_bytes, size_t *ret_len,
                                                          struct stasis_error *err);

struct stasis_snap; /* stasis/snap.h */

struct stasis_parse_opts {
    size_t size; /* sizeof(struct stasis_parse_opts): lets the struct grow */
    /* Types of the caller's own, known besides those of stasis_schema_all(), and before them; they
     * must outlive the set. */
    const struct stasis_schema *const *schemas;
    size_t schema_count;
    /* For tools that only look: a record that this program cannot read, of a newer version or of an
     * unknown mandatory type, is kept with a NULL schema instead of refused, if it can be parsed
     * for its form; what is refused has the verdict of a strict parse. Never for a restore. */
    bool tolerant;
    /* Of stasis_snap_open() and its kin: called on the caller's thread while what cannot seek (a
     * pipe, a socket) is copied to a temporary file, with bytes done and in all; 0 in all: not
     * known yet, or only the end tells. It is called while nothing arrives, too. False ends the
     * opening with STASIS_ERR_CANCELLED. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    /* Of stasis_snap_open() and its kin: the root (32 bytes) that the file must have; another one
     * is STASIS_ERR_CORRUPT, and a file of format version 1, which has none, STASIS_ERR_VERSION.
     * NULL: any. Of a layer all files are checked that say where its RAM is. */
    const uint8_t *root;
    /* Of stasis_snap_open() and its kin, for layers. `layers` is the folder in which that is sought
     * which the file lies on; NULL: the folder of `beside`, the path that the file was opened by,
     * which stasis_snap_open() knows itself. Both NULL: nowhere. */
    const char *layers;
    const char *beside;
    /* A snapshot that is open already, to be preferred to a search: what the file has in common
     * with it is shared. May be freed at any time. NULL: none. */
    struct stasis_snap *parent;
    /* For tools that only look: nothing else is opened; what is as in the parent has the kind
     * STASIS_CHUNK_ABSENT, and RAM cannot be read (STASIS_ERR_NOT_FOUND). */
    bool alone;
};

/* Reads a set from bytes (copied). The whole input is checked first: canonical form, order, bounds,
 * nothing behind it, and every record of a known type decodes and fits its schema. opts may be
 * NULL. STASIS_ERR_CORRUPT, or STASIS_ERR_VERSION for a newer record version or a mandatory record
 * of an unknown type: the message names it. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_records_parse(const uint8_t *bytes, size_t len,
                                                         const struct stasis_parse_opts *opts,
                                                         struct stasis_records **ret_set,
                                                         struct stasis_error *err);

/* Writes all records as one JSON value: an array of {"type", "instance", "version", "optional",
 * "known", "state"}. Integers are exact, byte strings are hex, registers in byte strings are split.
 * Records of unknown type ("known": false) are shown by field id. After STASIS_ERR_NOMEM the text
 * is unfinished and the writer of no more use. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_records_json(const struct stasis_records *set,
                                                        struct stasis_json *json,
                                                        struct stasis_error *err);

/* Field tables as Markdown: of one schema, for whoever documents own states; and of every schema of
 * this release: docs/snapshot-format.md quotes them and a test compares. */
STASIS_EXPORT void stasis_schema_markdown_one(FILE *out, const struct stasis_schema *schema);
STASIS_EXPORT void stasis_schema_markdown(FILE *out);

STASIS_END_DECLS

#endif
