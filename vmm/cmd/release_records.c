/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * stasis-records: prints what a release knows of each record type, for state-ser/ser/frozen. Of use
 * in a source tree only, so it is not installed.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/machine/device.h"

/* Newest behaviour of the device that the type names; 0: it names none. */
static uint32_t behaviour_of(const char *type)
{
    struct stasis_board_device_state row = {.version = 1};
    const struct stasis_device_type *device;

    snprintf(row.type, sizeof(row.type), "%s", type);
    return stasis_device_type_find(&row, &device, NULL) ? 0 : device->version;
}

int main(int argc, char **argv)
{
    const struct stasis_schema *const *all;
    size_t count;

    if (argc != 2) {
        fputs("usage: stasis-records RELEASE\n", stderr);
        return 2;
    }
    printf(
        "/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause\n"
        " *\n"
        " * Release %s: STASIS_FROZEN(record type, its version, behaviour of the device it is the "
        "state of)\n"
        " */\n",
        argv[1]);
    all = stasis_schema_all(&count);
    for (size_t i = 0; i < count; i++)
        printf("STASIS_FROZEN(\"%s\", %u, %u)\n", all[i]->type, all[i]->version,
               behaviour_of(all[i]->type));
    return fflush(stdout) || ferror(stdout) ? 7 : 0;
}
