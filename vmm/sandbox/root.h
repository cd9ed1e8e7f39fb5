/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A root folder that holds nothing of the host: names lead nowhere. Descriptors of folders that are
 * open still lead up (".."): what can be opened there Landlock says (files.h), whatever the root
 * is.
 */
#ifndef STASIS_VMM_SANDBOX_ROOT_H
#define STASIS_VMM_SANDBOX_ROOT_H

#include "stasis/error.h"

/* The right to change it: root has it, anybody else has it in a user namespace of his own, in which
 * all users but himself, and all groups, have the number 65534, and user 65534 has 65533. Before
 * there is another thread. STASIS_ERR_UNAVAILABLE: there is none. */
STASIS_MUST_CHECK int stasis_sandbox_root_begin(struct stasis_error *err);

/* Changes it, for all threads, and the working directory with it: to the same (NULL), or, for who
 * holds folders, to *descriptors, which is /proc/self/fd, so that what is open can be named
 * (stasis/fd_path.h). *descriptors is not closed. After an error both may be as before. */
STASIS_MUST_CHECK int stasis_sandbox_root_change(const int *descriptors, struct stasis_error *err);

#endif
