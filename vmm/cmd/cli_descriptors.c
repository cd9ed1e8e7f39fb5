/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/cli_descriptors.h"

#include <fcntl.h>

#include "vmm/cmd/cli_paths.h"

static int not_open(const struct stasis_options *options, const struct stasis_option *option,
                    unsigned index, const struct stasis_option_key *key, int fd,
                    struct stasis_error *err)
{
    char path[STASIS_CONFIG_PATH_MAX], name[STASIS_CONFIG_PATH_MAX];

    stasis_config_item_path(option, index, key, path);
    stasis_cli_name_options(&options->by_file, true, path, name, sizeof(name));
    return stasis_fail(err, STASIS_ERR_ARG,
                       "%s: descriptor %d is not open; open it in the shell, for example by "
                       "%d<>FILE",
                       name, fd, fd);
}

static int check_item(const struct stasis_options *options, const struct stasis_option *option,
                      unsigned index, struct stasis_error *err)
{
    const char *item = stasis_option_item(option, &options->config, index);

    for (const struct stasis_option_key *key = option->keys; key && key->name; key++) {
        int fd =
            key->kind == STASIS_OPTION_FD ? *(const int *)(const void *)(item + key->offset) : 0;

        if (fd && fcntl(fd, F_GETFD) < 0)
            return not_open(options, option, index, key, fd, err);
    }
    return 0;
}

static int check_option(const struct stasis_options *options, const struct stasis_option *option,
                        struct stasis_error *err)
{
    const unsigned count = stasis_option_count(option, &options->config);
    int rc = 0;

    for (unsigned i = 0; !rc && i < count; i++)
        rc = check_item(options, option, i, err);
    return rc;
}

int stasis_cli_check_descriptors(const struct stasis_options *options, struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < STASIS_CONFIG_COUNT; i++)
        rc = check_option(options, &stasis_config_options[i], err);
    return rc;
}
