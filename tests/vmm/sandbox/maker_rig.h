/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The process that makes files, with one folder to make them in.
 */
#ifndef STASIS_TESTS_MAKER_RIG_H
#define STASIS_TESTS_MAKER_RIG_H

#include "support/cmocka_all.h"

#include "vmm/sandbox/maker.h"

extern char path[64];
extern struct stasis_sandbox_maker maker;
extern int folder_fd; /* of the path */
extern int folder;    /* the same, as the process serves it */
extern const struct stasis_sandbox_maker_opts makes;

void *maker_handle(void); /* as `maker` of stasis_sandbox_maker_open() */

int maker_set_up(void **state);
int maker_tear_down(void **state);

/* -1 with that errno. */
void assert_refused(int rc, int error);

#endif
