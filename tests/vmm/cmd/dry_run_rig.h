/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A dry run beside a KVM that runs nothing, a userfaultfd that may be forbidden, and a CPU of the
 * test's. What it printed is `text`.
 */
#ifndef STASIS_TESTS_VMM_DRY_RUN_RIG_H
#define STASIS_TESTS_VMM_DRY_RUN_RIG_H

#include "support/cmocka_all.h"

#include "vmm/cmd/cli.h"
#include "vmm/cmd/dry_run.h"

#define GOLDEN STASIS_GOLDEN_DIR "/0.1.0/demo.snap"

extern bool is_permitted;
extern bool cpu_is_poor; /* it has no feature at all; else all that it is asked for */
extern struct stasis_options options;
extern struct stasis_preflight preflight;
extern char *text;

int dry_run_setup(void **state);
int dry_run_teardown(void **state);
#define CASE(function) cmocka_unit_test_setup_teardown(function, dry_run_setup, dry_run_teardown)

/* The command line: the snapshot, an option, and the value of that, or nothing. */
void dry_run_parse(const char *path, const char *option, const char *format);
/* Another option, as in a configuration. */
void dry_run_set_option(const char *option, const char *value);
void dry_run_run(void);
/* What the lists hold. */
void dry_run_print(void);

#endif
