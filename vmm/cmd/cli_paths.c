/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The library names keys by their path in JSON; who gave an option on the command line is told its
 * name.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/cmd/cli_internal.h"

#define PATH_CHARS "abcdefghijklmnopqrstuvwxyz_."

/* Writes the option that the path of `len` bytes is of. False: there is none, or the file gave it.
 */
static bool find_name(const char *path, size_t len, const struct stasis_config_given *by_file,
                      char *ret_name, size_t size)
{
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option *option = &stasis_config_options[i];
        const struct stasis_option_key *keys = option->keys;
        char own[STASIS_CONFIG_PATH_MAX];

        for (unsigned k = 0; !k || (keys && keys[k].name); k++) {
            stasis_config_path(option, keys ? &keys[k] : NULL, own);
            if (strlen(own) != len || memcmp(own, path, len) != 0)
                continue;
            (void)snprintf(ret_name, size, "--%s%s%s", option->name, k ? " " : "",
                           k ? keys[k].name : "");
            return !(by_file->keys[i] & STASIS_OPTION_BIT(k));
        }
    }
    return false;
}

void stasis_cli_name_options(const struct stasis_config_given *by_file, struct stasis_error *err)
{
    char text[STASIS_ERROR_MSG_MAX];
    size_t used = 0;
    const char *at = err ? err->msg : "";

    while (*at && used + 1 < sizeof(text)) {
        size_t len = strspn(at, PATH_CHARS);
        char name[STASIS_CONFIG_PATH_MAX];
        int part;

        if (len && find_name(at, len, by_file, name, sizeof(name)))
            part = snprintf(text + used, sizeof(text) - used, "%s", name);
        else
            part = snprintf(text + used, sizeof(text) - used, "%.*s", (int)(len ? len : 1), at);
        used += (size_t)part;
        at += len ? len : 1;
    }
    if (err)
        memcpy(err->msg, text, used < sizeof(text) ? used + 1 : sizeof(text));
}
