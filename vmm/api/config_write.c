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
    (void)snprintf(ret_path, STASIS_CONFIG_PATH_MAX, "%s%s%s", option->json, key ? "." : "",
                   key ? stasis_option_json_name(key) : "");
}

/* An option is in use if its first key has a value, or a default that is one. */
static bool is_used(const struct stasis_vmm_config *config, const struct stasis_option *option)
{
    const struct stasis_option_key *first = option->keys;
    const bool thaws = config->restore.path;

    if (option->guest && thaws != (option->guest == STASIS_OPTION_THAWED_GUEST))
        return false;
    return stasis_option_has_value(first, config);
}

static int write_keys(const struct stasis_vmm_config *config, const struct stasis_option *option,
                      struct stasis_json *json, struct stasis_error *err)
{
    char path[STASIS_CONFIG_PATH_MAX];
    int rc = 0;

    for (const struct stasis_option_key *key = option->keys; !rc && key->name; key++) {
        if (!stasis_option_fits(option, key, config))
            continue;
        stasis_config_path(option, key, path);
        rc = stasis_option_write(key, config, path, json, err);
    }
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
            rc = write_keys(config, &stasis_config_options[i], json, err);
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
    return stasis_config_is_first(place) && is_used(config, option)
               ? write_object(config, place, json, err)
               : 0;
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
