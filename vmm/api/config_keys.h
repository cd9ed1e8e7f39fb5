/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The keys of each option of config_table.c: what they set, the values that they take, and what is
 * said of another one. Each list ends with a row without a name.
 */
#ifndef STASIS_VMM_CONFIG_KEYS_H
#define STASIS_VMM_CONFIG_KEYS_H

#include "vmm/api/options.h"

extern const struct stasis_option_key stasis_config_kernel_keys[];
extern const struct stasis_option_key stasis_config_restore_keys[];
extern const struct stasis_option_key stasis_config_initrd_keys[];
extern const struct stasis_option_key stasis_config_memory_keys[];
extern const struct stasis_option_key stasis_config_vcpu_keys[];
extern const struct stasis_option_key stasis_config_cpu_keys[];
extern const struct stasis_option_key stasis_config_rtc_keys[];
extern const struct stasis_option_key stasis_config_board_keys[];
extern const struct stasis_option_key stasis_config_block_keys[];
extern const struct stasis_option_key stasis_config_allow_keys[];
extern const struct stasis_option_key stasis_config_net_keys[];
extern const struct stasis_option_key stasis_config_vsock_keys[];
extern const struct stasis_option_key stasis_config_balloon_keys[];
extern const struct stasis_option_key stasis_config_serial_keys[];
extern const struct stasis_option_key stasis_config_snapshot_keys[];
extern const struct stasis_option_key stasis_config_metrics_keys[];
extern const struct stasis_option_key stasis_config_log_keys[];
extern const struct stasis_option_key stasis_config_guest_error_keys[];
extern const struct stasis_option_key stasis_config_on_reset_keys[];
extern const struct stasis_option_key stasis_config_on_crash_keys[];
extern const struct stasis_option_key stasis_config_ready_keys[];
extern const struct stasis_option_key stasis_config_kvm_keys[];
extern const struct stasis_option_key stasis_config_ignore_keys[];

#endif
