/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Refusals by the library, with the errno that the kernel would give.
 */
#ifndef STASIS_VMM_KVM_FAIL_H
#define STASIS_VMM_KVM_FAIL_H

#include <errno.h>

#include "stasis/error.h"

static inline int stasis_refused(struct stasis_error *err, int number, int rc)
{
    errno = number;
    if (err)
        err->os_errno = number;
    return rc;
}

/* stasis_fail() with an errno of ours, whose text would say nothing that the message does not:
 * return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG, ...). */
#define STASIS_REFUSE(err, number, code, ...)                                                      \
    stasis_refused(err, number, stasis_fail(err, code, __VA_ARGS__))

#endif
