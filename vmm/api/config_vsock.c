/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sockets of a configuration.
 */
#include <inttypes.h>

#include "vmm/api/config.h"

const char *stasis_config_vsock_id(const struct stasis_vmm_config *config)
{
    return config->vsock.id ? config->vsock.id : STASIS_VMM_VSOCK_ID_DEFAULT;
}

int stasis_config_check_vsock(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct stasis_vmm_vsock *vsock = &config->vsock;

    if ((vsock->id || vsock->cid) && !vsock->path)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "vsock.path is missing; give the path of a socket to be made");
    if (vsock->cid &&
        (vsock->cid < STASIS_VMM_VSOCK_CID_MIN || vsock->cid > STASIS_VMM_VSOCK_CID_MAX))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "vsock.cid=%" PRIu64 " is reserved; give 3 to 4294967294", vsock->cid);
    return stasis_config_check_id("vsock.id", stasis_config_vsock_id(config), err);
}
