/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * --dry-run: says on standard output whether a snapshot would be thawed here.
 */
#ifndef STASIS_VMM_DRY_RUN_H
#define STASIS_VMM_DRY_RUN_H

#include <stdio.h>

#include "vmm/api/preflight.h"
#include "vmm/cmd/cli.h"

/* Text for people, or JSON; returns the exit status that --restore would have. */
int stasis_dry_run(const struct stasis_options *options, FILE *to);

/* What is printed. */
void stasis_dry_run_print(const struct stasis_options *options,
                          const struct stasis_preflight *preflight, FILE *to);

#endif
