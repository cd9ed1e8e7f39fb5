/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Descriptors that options name.
 */
#ifndef STASIS_VMM_CLI_DESCRIPTORS_H
#define STASIS_VMM_CLI_DESCRIPTORS_H

#include "vmm/cmd/cli.h"

/* To be called before the program opens anything: later, a number that nobody has opened may be
 * that of a file of the program's own. STASIS_ERR_ARG names the option and the descriptor that is
 * not open. */
STASIS_MUST_CHECK int stasis_cli_check_descriptors(const struct stasis_options *options,
                                                   struct stasis_error *err);

#endif
