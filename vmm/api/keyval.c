/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/keyval.h"

#include <string.h>

/* Unquotes in place from the opening quote at `from`. Returns what follows the closing quote, or
 * NULL when there is none. */
static char *unquote(char *from)
{
    char quote = *from;
    char *to = from;

    for (char *at = from + 1; *at; at++) {
        if (*at == quote) {
            *to = '\0';
            return at + 1;
        }
        if (quote == '"' && *at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        *to++ = *at;
    }
    return NULL;
}

/* Ends the value that starts at `value`; *ret_rest is the comma or the end behind it. */
static int end_value(char *value, char **ret_rest, struct stasis_error *err)
{
    char *rest;

    if (*value != '"' && *value != '\'') {
        *ret_rest = value + strcspn(value, ",");
        return 0;
    }
    rest = unquote(value);
    if (!rest)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "a quote is not closed; to begin a value with a quote, put it in "
                           "quotes of the other sort");
    if (*rest && *rest != ',')
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%.20s follows a closing quote; put the whole value in quotes", rest);
    *ret_rest = rest;
    return 0;
}

int stasis_keyval_next(char **text, struct stasis_keyval *ret_item, struct stasis_error *err)
{
    char *item = *text;
    char *value = item;
    char *key = NULL;
    char *rest = item;
    int rc;

    if (!*item)
        return 0;
    if (*item == '=')
        return stasis_fail(err, STASIS_ERR_ARG, "a key is missing before %.20s", item);
    if (*item != '"' && *item != '\'' && item[strcspn(item, "=,")] == '=') {
        key = item;
        value = strchr(item, '=') + 1;
        value[-1] = '\0';
    }
    rc = end_value(value, &rest, err);
    if (rc)
        return rc;
    if ((!key && rest == item) || (*rest == ',' && !rest[1]))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "there is a comma too many; put a value that holds commas in quotes");
    *text = *rest ? rest + 1 : rest;
    *rest = '\0';
    *ret_item = (struct stasis_keyval){.key = key, .value = value};
    return 1;
}
