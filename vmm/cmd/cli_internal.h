/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * All options of vmm: what the parser accepts and --help prints.
 */
#ifndef STASIS_VMM_CLI_INTERNAL_H
#define STASIS_VMM_CLI_INTERNAL_H

#include <sys/stat.h>

#include "vmm/cmd/cli.h"

/* Places of options: those of the configuration (enum stasis_config_option), then these. */
enum stasis_cli_own_option {
    STASIS_CLI_CONFIG = STASIS_CONFIG_COUNT,
    STASIS_CLI_PRINT_CONFIG,
    STASIS_CLI_DRY_RUN,
    STASIS_CLI_CONTROL,
    STASIS_CLI_SANDBOX,
    STASIS_CLI_HELP,
    STASIS_CLI_VERSION,
    STASIS_CLI_COUNT
};

/* The option at a place below STASIS_CLI_COUNT. It fills the configuration, or struct
 * stasis_options where the place is none of the configuration's. */
const struct stasis_option *stasis_cli_option(unsigned place);

/* cli_config.c: adds the file of --config to *config and *given, and fills *ret_file, which says
 * which file it was. STASIS_ERR_ARG: it cannot be opened, is no regular file, too long, or holds
 * what stasis_config_read() refuses; STASIS_ERR_READ; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_cli_read_config(const char *path, struct stasis_vmm_config *config,
                                             struct stasis_config_given *given,
                                             struct stat *ret_file, struct stasis_error *err);
/* STASIS_ERR_ARG: an output of the configuration is that file. */
STASIS_MUST_CHECK int stasis_cli_check_outputs(const struct stasis_vmm_config *config,
                                               const char *path, const struct stat *file,
                                               struct stasis_error *err);

#endif
