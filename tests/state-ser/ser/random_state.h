/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Random states that obey their schema: masks, bounds and rules.
 */
#ifndef STASIS_TESTS_RANDOM_STATE_H
#define STASIS_TESTS_RANDOM_STATE_H

#include "stasis/schema.h"

/* A small generator (xorshift64*), so that a seed means the same run everywhere. */
uint64_t random_u64(uint64_t *seed);

/* Sets *state (schema->size bytes, padding and unused tails zero). */
void random_state(uint64_t *seed, const struct stasis_schema *schema, void *state);

#endif
