/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A configuration as JSON, by the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/config.h"
#include "vmm/api/vmm_internal.h"

void stasis_config_path(const struct stasis_option *option, const struct stasis_option_key *key,
                        char ret_path[STASIS_CONFIG_PATH_MAX])
{
    (void)snprintf(ret_path, STASIS_CONFIG_PATH_MAX, "%s%s%s%s", option->json,
                   option->items ? "[]" : "", key ? "." : "",
                   key ? stasis_option_json_name(key) : "");
}

void stasis_config_item_path(const struct stasis_option *option, unsigned index,
                             const struct stasis_option_key *key,
                             char ret_path[STASIS_CONFIG_PATH_MAX])
{
    if (option->items)
        (void)snprintf(ret_path, STASIS_CONFIG_PATH_MAX, "%s[%u].%s", option->json, index,
                       stasis_option_json_name(key));
    else
        stasis_config_path(option, key, ret_path);
}

/* One of the choices. */
static bool has_chosen(const struct stasis_vmm_config *config, const struct stasis_option *option)
{
    bool has = false;

    for (unsigned i = 0; i < option->choices; i++)
        has = has || stasis_option_is_set(&option->keys[i], config);
    return has;
}

/* Lists that are not empty. */
static bool has_any(const struct stasis_vmm_config *config, const struct stasis_option *option)
{
    for (const struct stasis_option_key *key = option->keys; key->name; key++)
        if (stasis_option_has_value(key, config))
            return true;
    return false;
}

/* An option is in use if its first key has a value, or a default that is one. */
static bool is_used(const struct stasis_vmm_config *config, const struct stasis_option *option)
{
    const struct stasis_option_key *first = option->keys;
    const bool thaws = config->restore.path;

    if (option->guest && thaws != (option->guest == STASIS_OPTION_THAWED_GUEST))
        return false;
    if (option->items)
        return stasis_option_count(option, config);
    if (option->choices)
        return has_chosen(config, option);
    return option->repeats ? has_any(config, option) : stasis_option_has_value(first, config);
}

static int write_keys(const void *item, const struct stasis_option *option, unsigned index,
                      struct stasis_json *json, struct stasis_error *err)
{
    char path[STASIS_CONFIG_PATH_MAX];
    int rc = 0;

    for (const struct stasis_option_key *key = option->keys; !rc && key->name; key++) {
        if (!stasis_option_fits(option, key, item))
            continue;
        stasis_config_item_path(option, index, key, path);
        rc = stasis_option_write(key, item, path, json, err);
    }
    return rc;
}

static int write_items(const struct stasis_vmm_config *config, const struct stasis_option *option,
                       struct stasis_json *json, struct stasis_error *err)
{
    const unsigned count = stasis_option_count(option, config);
    int rc = 0;

    stasis_json_key(json, option->json);
    stasis_json_array_begin(json);
    for (unsigned i = 0; !rc && i < count; i++) {
        stasis_json_object_begin(json);
        rc = write_keys(stasis_option_item(option, config, i), option, i, json, err);
        stasis_json_object_end(json);
    }
    stasis_json_array_end(json);
    return rc;
}

/* The object of an option, with the keys of all options that share it. */
static int write_object(const struct stasis_vmm_config *config, unsigned place,
                        struct stasis_json *json, struct stasis_error *err)
{
    const char *name = stasis_config_options[place].json;
    int rc = 0;

    stasis_json_key(json, name);
    stasis_json_object_begin(json);
    for (unsigned i = place; !rc && i < STASIS_CONFIG_COUNT; i++)
        if (!strcmp(stasis_config_options[i].json, name) &&
            is_used(config, &stasis_config_options[i]))
            rc = write_keys(config, &stasis_config_options[i], 0, json, err);
    stasis_json_object_end(json);
    return rc;
}

bool stasis_config_is_first(unsigned place)
{
    for (unsigned i = 0; i < place; i++)
        if (!strcmp(stasis_config_options[i].json, stasis_config_options[place].json))
            return false;
    return true;
}

static int write_option(const struct stasis_vmm_config *config, unsigned place,
                        struct stasis_json *json, struct stasis_error *err)
{
    const struct stasis_option *option = &stasis_config_options[place];

    if (!option->keys) {
        if (*((const bool *)config + option->flag)) {
            stasis_json_key(json, option->json);
            stasis_json_bool(json, true);
        }
        return 0;
    }
    if (!stasis_config_is_first(place) || !is_used(config, option))
        return 0;
    return option->items ? write_items(config, option, json, err)
                         : write_object(config, place, json, err);
}

static int write_root(const struct stasis_vmm_config *config, FILE *out, struct stasis_error *err)
{
    struct stasis_json json;
    int rc = 0;

    stasis_json_init(&json, out);
    stasis_json_object_begin(&json);
    for (unsigned i = 0; !rc && i < STASIS_CONFIG_COUNT; i++)
        rc = write_option(config, i, &json, err);
    stasis_json_object_end(&json);
    return stasis_json_finish(&json) && !rc
               ? stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a configuration's text")
               : rc;
}

int stasis_vmm_config_write(const struct stasis_vmm_config *config, char **ret_text,
                            size_t *ret_len, struct stasis_error *err)
{
    char *text = NULL;
    FILE *out;
    int rc = stasis_config_check(config, NULL, err);

    if (rc)
        return rc;
    out = open_memstream(&text, ret_len);
    if (!out)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a configuration's text");
    rc = write_root(config, out, err);
    if (fclose(out) && !rc)
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a configuration's text");
    if (rc)
        free(text);
    else
        *ret_text = text;
    return rc;
}

int stasis_vmm_config_text(const struct stasis_vmm *vmm, char **ret_text, size_t *ret_len,
                           struct stasis_error *err)
{
    return stasis_vmm_config_write(vmm->config, ret_text, ret_len, err);
}
