/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What options have to agree on with each other.
 */
#include "vmm/cmd/cli_internal.h"

#include <string.h>

#include "stasis/migrate.h"

static int check_source(const struct stasis_cli_given *given, struct stasis_error *err)
{
    const uint32_t fresh_only =
        STASIS_CLI_BIT(STASIS_CLI_KERNEL) | STASIS_CLI_BIT(STASIS_CLI_DEMO) |
        STASIS_CLI_BIT(STASIS_CLI_INITRD) | STASIS_CLI_BIT(STASIS_CLI_MEMORY) |
        STASIS_CLI_BIT(STASIS_CLI_VCPU) | STASIS_CLI_BIT(STASIS_CLI_CPU) |
        STASIS_CLI_BIT(STASIS_CLI_BOARD);
    const uint32_t thaw_only =
        STASIS_CLI_BIT(STASIS_CLI_IGNORE) | STASIS_CLI_BIT(STASIS_CLI_DRY_RUN);
    uint32_t seen = given->options;
    bool restore = seen & STASIS_CLI_BIT(STASIS_CLI_RESTORE);

    for (int i = 0; restore && i < STASIS_CLI_COUNT; i++)
        if (seen & fresh_only & STASIS_CLI_BIT(i))
            return stasis_fail(err, STASIS_ERR_ARG,
                               "--%s does not go with --restore: a thawed guest brings its own; "
                               "leave out --%s",
                               stasis_cli_options[i].name, stasis_cli_options[i].name);
    if (seen & STASIS_CLI_BIT(STASIS_CLI_KERNEL) && seen & STASIS_CLI_BIT(STASIS_CLI_DEMO))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "--kernel does not go with --demo; leave out one of them");
    if (!restore && !(seen & (STASIS_CLI_BIT(STASIS_CLI_KERNEL) | STASIS_CLI_BIT(STASIS_CLI_DEMO))))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "nothing to run; give --kernel FILE, --demo or --restore FILE");
    for (int i = 0; !restore && i < STASIS_CLI_COUNT; i++)
        if (seen & thaw_only & STASIS_CLI_BIT(i))
            return stasis_fail(err, STASIS_ERR_ARG,
                               "--%s is for thawing; give --restore FILE, or leave out --%s",
                               stasis_cli_options[i].name, stasis_cli_options[i].name);
    return 0;
}

/* Standard input and output cannot carry both a snapshot and the guest's serial port. */
static int check_streams(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    bool out = stasis_config_freezes_to_stream(config);

    if (out && config->snapshot.then == STASIS_VMM_THEN_RESUME)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "--snapshot-out -: a stream takes one snapshot; leave out then=resume");
    if ((out || stasis_config_thaws_from_stream(config)) &&
        config->serial.kind == STASIS_VMM_SERIAL_STDIO)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "--%s - needs standard %s for itself; add --serial none, or --serial "
                           "file:PATH",
                           out ? "snapshot-out" : "restore", out ? "output" : "input");
    return 0;
}

static int check_release(const char *option, const char *name, struct stasis_error *err)
{
    const struct stasis_release *release;
    int rc = name ? stasis_release_get(name, &release, err) : 0;

    return rc ? stasis_wrap(err, rc, "%s", option) : 0;
}

static int check_releases(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    int rc = check_release("--board", config->board_release, err);

    if (!rc)
        rc = check_release("--snapshot-out", config->snapshot.save.target, err);
    if (!rc && config->snapshot.save.drop == STASIS_VMM_DROP_ALLOW && !config->snapshot.save.target)
        rc = stasis_fail(err, STASIS_ERR_ARG,
                         "--snapshot-out: drop=allow goes with target=RELEASE; leave it out");
    return rc;
}

int stasis_cli_check(const struct stasis_vmm_config *config, const struct stasis_cli_given *given,
                     struct stasis_error *err)
{
    int rc = check_source(given, err);

    if (!rc)
        rc = stasis_cli_serial_check(config, given, err);
    if (!rc)
        rc = check_releases(config, err);
    return rc ? rc : check_streams(config, err);
}
