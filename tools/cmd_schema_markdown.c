/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/inspect.h"

int stasis_inspect_schema_markdown(const struct stasis_inspect_args *args, FILE *out,
                                   struct stasis_error *err)
{
    (void)args;
    (void)err;
    stasis_schema_markdown(out);
    return 0;
}
