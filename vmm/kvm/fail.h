/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Refusals by the library, with the errno that the kernel would give.
 */
#ifndef STASIS_VMM_KVM_FAIL_H
#define STASIS_VMM_KVM_FAIL_H

#include <errno.h>

#include "stasis/error.h"

/* stasis_fail_errno() with an errno of ours: return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
 * ...).
 */
#define STASIS_REFUSE(err, number, code, ...)                                                      \
    (errno = (number), stasis_fail_errno(err, code, __VA_ARGS__))

#endif
