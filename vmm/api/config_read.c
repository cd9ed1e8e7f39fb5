/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A configuration from JSON: an object of objects, one for each option or for several, by the
 * table.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/api/config.h"
#include "vmm/api/json_text.h"
#include "vmm/api/options_read.h"

/* ---- the text ---- */

static int no_json(const char *text, const json_error_t *failure, struct stasis_error *err)
{
    char path[128];

    if (json_error_code(failure) != json_error_duplicate_key)
        return stasis_fail(err, STASIS_ERR_ARG, "not JSON: line %d, column %d: %s", failure->line,
                           failure->column, failure->text);
    stasis_json_text_path(text, (size_t)failure->position, path, sizeof(path));
    return stasis_fail(err, STASIS_ERR_ARG, "line %d: %s is given twice; give it once",
                       failure->line, path);
}

static int load(const char *text, size_t len, json_t **ret_root, struct stasis_error *err)
{
    json_error_t failure;

    if (len > STASIS_VMM_CONFIG_BYTES_MAX)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the configuration is longer than %u bytes; shorten it",
                           STASIS_VMM_CONFIG_BYTES_MAX);
    if (stasis_json_text_is_deep(text, len))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the configuration is nested more than %d deep; see vmm(1) for its form",
                           STASIS_JSON_TEXT_DEPTH_MAX);
    *ret_root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &failure);
    return *ret_root ? 0 : no_json(text, &failure, err);
}

/* ---- reading ---- */

struct reader {
    struct stasis_vmm_config *config;
    struct stasis_config_given *given;
    struct stasis_error *err;
};

/* Adds a name to the list of `*used` bytes. */
static void add_name(char *list, size_t size, size_t *used, const char *name)
{
    if (*used < size)
        *used += (size_t)snprintf(list + *used, size - *used, "%s%s", *used ? ", " : "", name);
}

static int unknown_option(const char *name, struct stasis_error *err)
{
    char known[256] = "";
    size_t used = 0;

    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++)
        if (stasis_config_is_first(i))
            add_name(known, sizeof(known), &used, stasis_config_options[i].json);
    return stasis_fail(err, STASIS_ERR_ARG, "%.60s is no key of a configuration; known: %s", name,
                       known);
}

static int unknown_key(const char *object, const char *name, struct stasis_error *err)
{
    char known[256] = "";
    size_t used = 0;

    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option *option = &stasis_config_options[i];

        for (const struct stasis_option_key *key = option->keys;
             !strcmp(option->json, object) && key && key->name; key++)
            add_name(known, sizeof(known), &used, stasis_option_json_name(key));
    }
    return stasis_fail(err, STASIS_ERR_ARG, "%s.%.60s is no key of a configuration; %s has %s",
                       object, name, object, known);
}

/* The option and the place of the key that has this name in this object; NULL: none. */
static const struct stasis_option *find_key(const char *object, const char *name,
                                            unsigned *ret_option, unsigned *ret_key)
{
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option *option = &stasis_config_options[i];

        for (unsigned k = 0; option->keys && option->keys[k].name; k++) {
            if (strcmp(option->json, object) != 0 ||
                strcmp(stasis_option_json_name(&option->keys[k]), name) != 0)
                continue;
            *ret_option = i;
            *ret_key = k;
            return option;
        }
    }
    return NULL;
}

static int read_member(struct reader *reader, const char *object, unsigned item, const char *name,
                       const json_t *value)
{
    char path[STASIS_CONFIG_PATH_MAX];
    unsigned place = 0, index = 0;
    const struct stasis_option *option = find_key(object, name, &place, &index);
    int rc;

    if (!option)
        return unknown_key(object, name, reader->err);
    stasis_config_item_path(option, item, &option->keys[index], path);
    rc = stasis_option_read(&option->keys[index], stasis_option_item(option, reader->config, item),
                            value, path, reader->err);
    if (!rc && !json_is_false(value))
        reader->given->keys[place] |= STASIS_OPTION_BIT(index);
    return rc;
}

static int read_flag(struct reader *reader, unsigned place, const json_t *value)
{
    const struct stasis_option *option = &stasis_config_options[place];

    if (!json_is_boolean(value))
        return stasis_option_wrong_type(option->json, value, "true or false", reader->err);
    if (json_is_true(value) && option->absent)
        return stasis_fail_absent(reader->err, option->json, option->absent);
    *((bool *)reader->config + option->flag) = json_is_true(value);
    reader->given->keys[place] = json_is_true(value);
    return 0;
}

static int read_object(struct reader *reader, unsigned place, unsigned item, json_t *value)
{
    const char *key;
    json_t *member;
    int rc = 0;

    json_object_foreach(value, key, member)
    {
        rc = read_member(reader, stasis_config_options[place].json, item, key, member);
        if (rc)
            break;
    }
    return rc;
}

static int read_item(struct reader *reader, unsigned place, unsigned index, json_t *value)
{
    const struct stasis_option *option = &stasis_config_options[place];
    char path[STASIS_CONFIG_PATH_MAX];
    int rc;

    (void)snprintf(path, sizeof(path), "%s[%u]", option->json, index);
    if (index >= option->items)
        return stasis_fail(reader->err, STASIS_ERR_ARG, "%s is one too many; give at most %u", path,
                           option->items);
    if (!json_is_object(value))
        return stasis_option_wrong_type(path, value, "an object", reader->err);
    rc = read_object(reader, place, index, value);
    if (rc || stasis_option_is_set(option->keys, stasis_option_item(option, reader->config, index)))
        return rc;
    return stasis_fail(reader->err, STASIS_ERR_ARG, "%s.%s is missing; %s", path,
                       stasis_option_json_name(option->keys), option->keys->remedy);
}

static int read_items(struct reader *reader, unsigned place, const json_t *value)
{
    const char *name = stasis_config_options[place].json;
    json_t *item;
    size_t i;
    int rc = 0;

    if (!json_is_array(value))
        return stasis_option_wrong_type(name, value, "a list of objects", reader->err);
    json_array_foreach(value, i, item)
    {
        rc = read_item(reader, place, (unsigned)i, item);
        if (rc)
            break;
    }
    return rc;
}

static int read_option(struct reader *reader, const char *name, json_t *value)
{
    unsigned place = 0;

    while (place < STASIS_CONFIG_COUNT && strcmp(stasis_config_options[place].json, name) != 0)
        place++;
    if (place == STASIS_CONFIG_COUNT)
        return unknown_option(name, reader->err);
    if (!stasis_config_options[place].keys)
        return read_flag(reader, place, value);
    if (stasis_config_options[place].items)
        return read_items(reader, place, value);
    if (!json_is_object(value))
        return stasis_option_wrong_type(name, value, "an object", reader->err);
    return read_object(reader, place, 0, value);
}

static int read_root(struct reader *reader, json_t *root)
{
    const char *name;
    json_t *value;

    if (!json_is_object(root))
        return stasis_option_wrong_type("the configuration", root, "an object", reader->err);
    json_object_foreach(root, name, value)
    {
        int rc = read_option(reader, name, value);

        if (rc)
            return rc;
    }
    return 0;
}

int stasis_config_read(const char *text, size_t len, struct stasis_vmm_config *config,
                       struct stasis_config_given *given, struct stasis_error *err)
{
    struct reader reader = {.config = config, .given = given, .err = err};
    json_t *root = NULL;
    int rc = load(text, len, &root, err);

    if (!rc)
        rc = read_root(&reader, root);
    json_decref(root);
    return rc;
}

int stasis_vmm_config_read(const char *text, size_t len, struct stasis_vmm_config *ret_config,
                           struct stasis_error *err)
{
    struct stasis_vmm_config config = {.demo = false};
    struct stasis_config_given given = {.keys = {0}};
    int rc = stasis_config_read(text, len, &config, &given, err);

    if (!rc)
        rc = stasis_config_check(&config, &given, err);
    if (rc)
        stasis_vmm_config_fini(&config);
    else
        *ret_config = config;
    return rc;
}
