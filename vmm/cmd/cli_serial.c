/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the option table cannot say of --serial: the path in out=KIND:PATH, and keys that go with
 * one kind only.
 */
#include "vmm/cmd/cli_internal.h"

#include <string.h>

int stasis_cli_serial_out(struct stasis_vmm_config *config, const struct stasis_cli_key *key,
                          const char *value, struct stasis_error *err)
{
    size_t len = strcspn(value, ":");
    int kind = stasis_cli_word(key->words, value, len);
    char *path = NULL;
    int rc;
    bool takes_path = kind > STASIS_VMM_SERIAL_NONE;

    if (kind < 0 || takes_path != (value[len] == ':') || (takes_path && !value[len + 1]))
        return stasis_fail(err, STASIS_ERR_ARG, "%s", key->remedy);
    config->serial.kind = (enum stasis_vmm_serial_kind)kind;
    if (!takes_path)
        return 0;
    rc = stasis_cli_copy(value + len + 1, &path, err);
    if (!rc)
        config->serial.path = path;
    return rc;
}

int stasis_cli_serial_check(const struct stasis_vmm_config *config,
                            const struct stasis_cli_given *given, struct stasis_error *err)
{
    static const struct {
        uint32_t key; /* place in the table */
        enum stasis_vmm_serial_kind kind;
        const char *remedy;
    } only[] = {
        {1, STASIS_VMM_SERIAL_FILE, "limit is for out=file:PATH; leave it out"},
        {2, STASIS_VMM_SERIAL_RING, "size is for out=ring:PATH; leave it out"},
    };

    for (size_t i = 0; i < sizeof(only) / sizeof(only[0]); i++)
        if (given->serial_keys & STASIS_CLI_BIT(only[i].key) && config->serial.kind != only[i].kind)
            return stasis_fail(err, STASIS_ERR_ARG, "--serial: %s", only[i].remedy);
    return 0;
}
