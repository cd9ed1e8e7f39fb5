/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/inspect.h"
#include "tools/streams.h"

int main(int argc, char **argv)
{
    stasis_inspect_streams();
    return stasis_inspect_main(argc, argv);
}
