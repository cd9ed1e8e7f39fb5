/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The network of a configuration.
 */
#include <string.h>

#include "vmm/api/config.h"

bool stasis_config_has_net(const struct stasis_vmm_config *config)
{
    return config->net.tap || config->net.passt || config->net.fd;
}

const char *stasis_config_net_id(const struct stasis_vmm_config *config)
{
    return config->net.id ? config->net.id : STASIS_VMM_NET_ID_DEFAULT;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int stasis_config_net_mac(const char *text, uint8_t ret_mac[6], struct stasis_error *err)
{
    bool ok = strlen(text) == 17;
    uint8_t any = 0;

    for (unsigned i = 0; ok && i < 6; i++) {
        int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

        ok = high >= 0 && low >= 0 && (i == 5 || text[3 * i + 2] == ':');
        ret_mac[i] = (uint8_t)(ok ? high << 4 | low : 0);
        any |= ret_mac[i];
    }
    if (ok && any && !(ret_mac[0] & 1))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "give the address of one station, whose first byte is even, such as "
                       "02:00:00:00:00:01");
}

/* ---- checks ---- */

static int check_mac(const char *mac, struct stasis_error *err)
{
    uint8_t bytes[6];
    int rc = mac ? stasis_config_net_mac(mac, bytes, err) : 0;

    return rc ? stasis_wrap(err, rc, "net.mac=%.60s", mac) : 0;
}

static int check_numbers(const struct stasis_vmm_net *net, struct stasis_error *err)
{
    const bool is_mtu =
        !net->mtu || (net->mtu >= STASIS_VMM_NET_MTU_MIN && net->mtu <= STASIS_VMM_NET_MTU_MAX);
    const bool is_rate = !net->bandwidth || (net->bandwidth >= STASIS_VMM_NET_BANDWIDTH_MIN &&
                                             net->bandwidth <= STASIS_VMM_NET_BANDWIDTH_MAX);

    if (is_mtu && is_rate)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the configuration's net.%s is out of range; see stasis/vmm.h",
                       is_mtu ? "bandwidth" : "mtu");
}

int stasis_config_check_net(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct stasis_vmm_net *net = &config->net;
    int rc;

    if (!!net->tap + !!net->passt + !!net->fd > 1)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "net.tap, net.passt and net.fd exclude each other; give one of them");
    if ((net->id || net->mac || net->mtu || net->bandwidth) && !stasis_config_has_net(config))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the network is not connected to anything; set net.tap, net.passt or "
                           "net.fd");
    rc = stasis_config_check_id("net.id", stasis_config_net_id(config), err);
    if (!rc)
        rc = check_mac(net->mac, err);
    return rc ? rc : check_numbers(net, err);
}
