/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/cli_descriptors.h"

#include <fcntl.h>

#include "vmm/cmd/cli_paths.h"

static int not_open(const struct stasis_options *options, const struct stasis_option *option,
                    const struct stasis_option_key *key, int fd, struct stasis_error *err)
{
    char path[STASIS_CONFIG_PATH_MAX], name[STASIS_CONFIG_PATH_MAX];

    stasis_config_path(option, key, path);
    stasis_cli_name_options(&options->by_file, true, path, name, sizeof(name));
    return stasis_fail(err, STASIS_ERR_ARG,
                       "%s: descriptor %d is not open; open it in the shell, for example by "
                       "%d<>FILE",
                       name, fd, fd);
}

static int check_option(const struct stasis_options *options, const struct stasis_option *option,
                        struct stasis_error *err)
{
    for (const struct stasis_option_key *key = option->keys; key && key->name; key++) {
        int fd = key->kind == STASIS_OPTION_FD
                     ? *(const int *)(const void *)((const char *)&options->config + key->offset)
                     : 0;

        if (fd && fcntl(fd, F_GETFD) < 0)
            return not_open(options, option, key, fd, err);
    }
    return 0;
}

int stasis_cli_check_descriptors(const struct stasis_options *options, struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < STASIS_CONFIG_COUNT; i++)
        rc = check_option(options, &stasis_config_options[i], err);
    return rc;
}
