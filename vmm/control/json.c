/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/json.h"

#include <stdlib.h>
#include <string.h>

/* Length of the string that begins at `at`, with its quotes. */
static size_t string_len(const char *at, size_t len)
{
    size_t end = 1;

    while (end < len && at[end] != '"')
        end += at[end] == '\\' ? 2 : 1;
    return end + 1;
}

/* Whether brackets outside strings are nested too deep. What is no JSON is the parser's to tell. */
static bool is_deep(const char *text, size_t len)
{
    size_t depth = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            i += string_len(text + i, len - i) - 1;
        else if (text[i] == '[' || text[i] == '{')
            depth++;
        else if ((text[i] == ']' || text[i] == '}') && depth)
            depth--;
        if (depth > STASIS_CONTROL_DEPTH_MAX)
            return true;
    }
    return false;
}

int stasis_control_json_parse(const char *text, size_t len, json_t **ret_value,
                              struct stasis_error *err)
{
    json_error_t failure;
    json_t *value;

    if (is_deep(text, len))
        return stasis_fail(err, STASIS_ERR_ARG, "JSON is nested more than %d deep",
                           STASIS_CONTROL_DEPTH_MAX);
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
