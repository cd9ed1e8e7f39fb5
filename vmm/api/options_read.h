/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Values of options from JSON, see options.h. `path` is that of the key, for messages.
 */
#ifndef STASIS_VMM_OPTIONS_READ_H
#define STASIS_VMM_OPTIONS_READ_H

#include <jansson.h>

#include "vmm/api/options.h"

/* Sets what base holds for the key. STASIS_ERR_ARG, STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_option_read(const struct stasis_option_key *key, void *base,
                                         const json_t *value, const char *path,
                                         struct stasis_error *err);

/* STASIS_ERR_ARG: the value is of another type; "give `wanted`". */
int stasis_option_wrong_type(const char *path, const json_t *value, const char *wanted,
                             struct stasis_error *err);

#endif
