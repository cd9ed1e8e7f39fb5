/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/error.h"

int stasis_fail_absent(struct stasis_error *err, const char *what, const char *option)
{
    return stasis_fail(err, STASIS_ERR_ARG, "this build has no %s; rebuild it with -D%s=ON", what,
                       option);
}
