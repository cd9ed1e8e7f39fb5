/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * JSON of a source that is not trusted: no key twice, little nesting, one value and nothing else.
 */
#ifndef STASIS_VMM_CONTROL_JSON_H
#define STASIS_VMM_CONTROL_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "stasis/error.h"

/* STASIS_ERR_ARG with the reason. */
STASIS_MUST_CHECK int stasis_control_json_parse(const char *text, size_t len, json_t **ret_value,
                                                struct stasis_error *err);

/* The value as one line with its newline, to be freed; NULL without memory. */
char *stasis_control_json_line(const json_t *value);

#endif
