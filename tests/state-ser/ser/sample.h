/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A state that only the tests know, version 2, optional; and one set of its values with the bytes
 * it must have for ever.
 */
#ifndef STASIS_TESTS_SAMPLE_H
#define STASIS_TESTS_SAMPLE_H

#include "stasis/schema.h"

#define STASIS_DEF "tests/state-ser/ser/sample_part.def"
struct stasis_sample_part_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "tests/state-ser/ser/sample.def"
struct stasis_sample_state {
#include "stasis/def_struct.h"
};

extern const struct stasis_schema stasis_sample_part_schema;
extern const struct stasis_schema stasis_sample_schema;

/* A set of one record, instance "a", in state `sample_fill`. The map begins at sample_fields_at. */
extern const uint8_t sample_section[];
extern const size_t sample_section_len;
extern const size_t sample_fields_at;

void sample_fill(struct stasis_sample_state *state);

#endif
