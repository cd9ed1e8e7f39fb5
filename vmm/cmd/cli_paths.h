/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Options in place of the paths of keys in messages of the library: "give more by memory.size_mib"
 * becomes "give more by --memory".
 */
#ifndef STASIS_VMM_CLI_PATHS_H
#define STASIS_VMM_CLI_PATHS_H

#include "vmm/api/config_table.h"

/* Room for any message of the library. */
#define STASIS_CLI_TEXT_MAX (2 * STASIS_ERROR_MSG_MAX)

/* Copies the message, cut to `size`, with options in place of paths, but of keys that the file
 * gave. `everywhere`: the message quotes nothing, such as one of stasis_config_check(), but a value
 * behind its key and a colon. Else only where messages have paths, so that names of files stay.
 * Async-signal-safe. */
void stasis_cli_name_options(const struct stasis_config_given *by_file, bool everywhere,
                             const char *message, char *ret_text, size_t size);

/* The same in an error, whose message has paths. */
void stasis_cli_name_options_in(const struct stasis_config_given *by_file, bool everywhere,
                                struct stasis_error *err);

#endif
