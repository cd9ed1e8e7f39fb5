/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Values of options from JSON.
 */
#include "vmm/api/options_read.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/api/options_internal.h"

static const char *type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a number";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

int stasis_option_wrong_type(const char *path, const json_t *value, const char *wanted,
                             struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG, "%s is %s; give %s%s", path, type_of(value), wanted,
                       json_is_null(value) ? ", or leave it out" : "");
}

static int read_number(const struct stasis_option_key *key, void *base, const json_t *value,
                       const char *path, struct stasis_error *err)
{
    int64_t number = json_integer_value(value);

    if (!json_is_integer(value))
        return stasis_option_wrong_type(path, value, "a whole number, without quotes", err);
    if (number >= 0 && !stasis_option_set_number(key, base, (uint64_t)number, err))
        return 0;
    if (key->kind == STASIS_OPTION_FD)
        return stasis_fail(err, STASIS_ERR_ARG, "%s: %" PRId64 ": %s", path, number, key->remedy);
    return stasis_fail(err, STASIS_ERR_ARG,
                       "%s: %" PRId64 ": give a number from %" PRIu64 " to %" PRIu64, path, number,
                       key->min, key->max);
}

static int read_text(const struct stasis_option_key *key, void *base, const json_t *value,
                     const char *path, struct stasis_error *err)
{
    const char *text = json_string_value(value);
    int rc;

    if (!text)
        return stasis_option_wrong_type(path, value, "a string", err);
    rc = stasis_option_set(key, base, text, err);
    return rc ? stasis_wrap(err, rc, "%s: %.60s", path, text) : 0;
}

static int read_switch(const struct stasis_option_key *key, void *base, const json_t *value,
                       const char *path, struct stasis_error *err)
{
    if (!json_is_boolean(value))
        return stasis_option_wrong_type(path, value, "true or false", err);
    *stasis_option_bool_at(base, key->offset) = json_is_true(value);
    return 0;
}

static int read_list(const struct stasis_option_key *key, void *base, const json_t *value,
                     const char *path, struct stasis_error *err)
{
    char item_path[128];
    const json_t *item;
    size_t i;
    int rc = 0;

    if (!json_is_array(value))
        return stasis_option_wrong_type(path, value, "a list of strings", err);
    stasis_option_clear(key, base);
    json_array_foreach(value, i, item)
    {
        (void)snprintf(item_path, sizeof(item_path), "%s[%zu]", path, i);
        rc = read_text(key, base, item, item_path, err);
        if (rc)
            break;
    }
    return rc;
}

int stasis_option_read(const struct stasis_option_key *key, void *base, const json_t *value,
                       const char *path, struct stasis_error *err)
{
    switch (key->kind) {
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_TIME:
    case STASIS_OPTION_FD:
        return read_number(key, base, value, path, err);
    case STASIS_OPTION_SWITCH:
        return read_switch(key, base, value, path, err);
    case STASIS_OPTION_NOTES:
    case STASIS_OPTION_TEXTS:
        return read_list(key, base, value, path, err);
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
    case STASIS_OPTION_WORD:
    case STASIS_OPTION_LEVEL:
    case STASIS_OPTION_OUT:
        break;
    }
    return read_text(key, base, value, path, err);
}
