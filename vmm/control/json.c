/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/json.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/api/json_text.h"

int stasis_control_json_parse(const char *text, size_t len, json_t **ret_value,
                              struct stasis_error *err)
{
    json_error_t failure;
    json_t *value;

    if (stasis_json_text_is_deep(text, len))
        return stasis_fail(err, STASIS_ERR_ARG, "JSON is nested more than %d deep",
                           STASIS_JSON_TEXT_DEPTH_MAX);
    value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &failure);
    if (!value)
        return stasis_fail(err, STASIS_ERR_ARG, "no JSON: byte %d: %s", failure.position,
                           failure.text);
    *ret_value = value;
    return 0;
}

char *stasis_control_json_line(const json_t *value)
{
    size_t len = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    char *line = len ? malloc(len + 2) : NULL;

    if (!line)
        return NULL;
    json_dumpb(value, line, len, JSON_COMPACT | JSON_ENCODE_ANY);
    memcpy(line + len, "\n", 2);
    return line;
}
