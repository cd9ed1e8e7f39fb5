/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The command line of vmm. Options take `key=value,key=value`; docs/vmm.1.scd is the manual.
 */
#ifndef STASIS_VMM_CLI_H
#define STASIS_VMM_CLI_H

#include <stdio.h>

#include "vmm/api/config.h"
#include "vmm/cmd/confine.h"

enum stasis_cli_dry_run { STASIS_CLI_DRY_RUN_TEXT = 0, STASIS_CLI_DRY_RUN_JSON };

/* Of the program alone: where the VM can be controlled from. Strings are the options' own. */
struct stasis_options_control {
    char *path; /* NULL: nowhere */
    char *dir;
};

struct stasis_options {
    bool help;
    bool version;
    bool print_config;
    bool dry_run;
    enum stasis_cli_dry_run dry_run_format;
    char *config_path; /* NULL: none */
    struct stasis_options_control control;
    enum stasis_confine_mode sandbox;
    struct stasis_vmm_config config;    /* whole unless help or version is set */
    struct stasis_config_given by_file; /* keys of it that are those of the file */
};

/* Parses everything after argv[0]. Fills *ret_options on success only; then it is the caller's to
 * stasis_cli_fini(). With --help or --version nothing else is checked. STASIS_ERR_ARG with one line
 * that names the option and the remedy; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_cli_parse(int argc, char *const *argv,
                                       struct stasis_options *ret_options,
                                       struct stasis_error *err);
void stasis_cli_fini(struct stasis_options *options);

/* For --help and --version. */
void stasis_cli_print_help(FILE *to);
void stasis_cli_print_version(FILE *to);

#endif
