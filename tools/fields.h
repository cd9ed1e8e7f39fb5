/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * States scalar by scalar, with a path for each: "cs.base", "msrs[0x10].value". One state, or what
 * is different in two, which need not be of one version: their fields are matched by id. Schemas
 * may have come with a hostile file; the library has checked them, and the states by them.
 */
#ifndef STASIS_TOOLS_FIELDS_H
#define STASIS_TOOLS_FIELDS_H

#include "stasis/ser.h"

/* A decoded record. schema is NULL if there is none, or none that describes it. */
struct stasis_side {
    const struct stasis_schema *schema;
    uint32_t version; /* in which the schema is to be read */
    uint8_t *state;   /* schema->size bytes */
};

/* Decodes the record by its schema. STASIS_ERR_NOMEM. fini is fine for one that is all zero. */
STASIS_MUST_CHECK int stasis_side_init(struct stasis_side *side,
                                       const struct stasis_records *records, size_t index,
                                       struct stasis_error *err);
void stasis_side_fini(struct stasis_side *side);

/* An integer, a string, a byte string, or a register of one. */
struct stasis_scalar {
    const struct stasis_field *field;
    const uint8_t *base; /* of the struct that the field is in */
    uint32_t index;      /* of the integer in its array, or of the register */
};

void stasis_scalar_put_text(const struct stasis_scalar *scalar, FILE *out);
void stasis_scalar_put_json(const struct stasis_scalar *scalar, struct stasis_json *json);

/* Either is NULL if its state does not have it; not both. */
typedef void stasis_fields_fn(void *ctx, const char *path, const struct stasis_scalar *a,
                              const struct stasis_scalar *b);

/* Tells every scalar that is not the same in a and b; so, if one of them has no schema, all of the
 * other. In lists whose elements have names (registers, CPUID leaves, devices) these are matched,
 * else positions. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_fields_walk(const struct stasis_side *a, const struct stasis_side *b,
                                         stasis_fields_fn *fn, void *ctx, struct stasis_error *err);

#endif
