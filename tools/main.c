/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/inspect.h"
#include "tools/streams.h"

int main(int argc, char **argv)
{
    struct stasis_error err;

    if (stasis_inspect_streams(&err))
        return stasis_inspect_say(&err);
    return stasis_inspect_main(argc, argv);
}
