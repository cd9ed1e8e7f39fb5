/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a thread gives up for good, and each thread that it starts from then on: call these before
 * there are others.
 */
#ifndef STASIS_VMM_SANDBOX_PRIVILEGES_H
#define STASIS_VMM_SANDBOX_PRIVILEGES_H

#include "stasis/error.h"

/* No program that is run can gain rights (prctl(2), PR_SET_NO_NEW_PRIVS): what the kernel asks for
 * before it lets an ordinary user limit itself. */
STASIS_MUST_CHECK int stasis_sandbox_no_new_privileges(struct stasis_error *err);

/* No core dumps, and no more descriptors than the limit of now. */
STASIS_MUST_CHECK int stasis_sandbox_limit(struct stasis_error *err);

enum stasis_sandbox_keep {
    STASIS_SANDBOX_KEEP_NONE,
    /* What opening a VM can use: files of others, userfaultfd(2), the priority of the thread that
     * loads memory, another root folder. */
    STASIS_SANDBOX_KEEP_OPENING,
    STASIS_SANDBOX_KEEP_ROOT, /* another root folder alone */
};

/* Gives up the capabilities of root (capabilities(7)). Harmless for who has none. */
STASIS_MUST_CHECK int stasis_sandbox_drop_capabilities(enum stasis_sandbox_keep keep,
                                                       struct stasis_error *err);

#endif
