/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A root folder that holds nothing of the host: names lead nowhere. Descriptors of folders that are
 * open still lead up (".."), so this is for a process that holds none.
 */
#ifndef STASIS_VMM_SANDBOX_ROOT_H
#define STASIS_VMM_SANDBOX_ROOT_H

#include "stasis/error.h"

/* The right to change it: root has it, anybody else has it in a user namespace of his own, in which
 * all users but himself, and all groups, have the number 65534. Before there is another thread.
 * STASIS_ERR_UNAVAILABLE: there is none. */
STASIS_MUST_CHECK int stasis_sandbox_root_begin(struct stasis_error *err);

/* Changes it, for all threads, and the working directory with it. */
STASIS_MUST_CHECK int stasis_sandbox_root_change(struct stasis_error *err);

#endif
