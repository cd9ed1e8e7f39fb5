/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * In place of ctl.c, with STASIS_JSON=OFF.
 */
#include "vmm/cmd/ctl.h"

#include "vmm/cmd/say.h"

int stasis_ctl_main(int argc, char *const *argv)
{
    struct stasis_error err;

    (void)argc;
    (void)argv;
    (void)stasis_fail_absent(&err, "vmm ctl", "STASIS_JSON");
    return stasis_say_error(false, &err);
}
