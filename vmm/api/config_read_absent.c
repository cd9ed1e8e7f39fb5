/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * In place of what reads a configuration from JSON, with STASIS_JSON=OFF.
 */
#include "vmm/api/config.h"

int stasis_config_read(const char *text, size_t len, struct stasis_vmm_config *config,
                       struct stasis_config_given *given, struct stasis_error *err)
{
    (void)text;
    (void)len;
    (void)config;
    (void)given;
    return stasis_fail_absent(err, "configuration as JSON", "STASIS_JSON");
}

int stasis_vmm_config_read(const char *text, size_t len, struct stasis_vmm_config *ret_config,
                           struct stasis_error *err)
{
    (void)text;
    (void)len;
    (void)ret_config;
    return stasis_fail_absent(err, "configuration as JSON", "STASIS_JSON");
}
