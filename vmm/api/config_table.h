/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The options of struct stasis_vmm_config, as text and as JSON, and what they have to agree on.
 */
#ifndef STASIS_VMM_CONFIG_TABLE_H
#define STASIS_VMM_CONFIG_TABLE_H

#include "stasis/vmm.h"
#include "vmm/api/options.h"

enum stasis_config_option {
    STASIS_CONFIG_KERNEL,
    STASIS_CONFIG_DEMO,
    STASIS_CONFIG_RESTORE,
    STASIS_CONFIG_INITRD,
    STASIS_CONFIG_MEMORY,
    STASIS_CONFIG_VCPU,
    STASIS_CONFIG_CPU,
    STASIS_CONFIG_BOARD,
    STASIS_CONFIG_RTC,
    STASIS_CONFIG_BALLOON,
    STASIS_CONFIG_BLOCK,
    STASIS_CONFIG_ALLOW,
    STASIS_CONFIG_NET,
    STASIS_CONFIG_VSOCK,
    STASIS_CONFIG_PAUSED,
    STASIS_CONFIG_READY_FD,
    STASIS_CONFIG_KVM,
    STASIS_CONFIG_ON_RESET,
    STASIS_CONFIG_ON_CRASH,
    STASIS_CONFIG_SERIAL,
    STASIS_CONFIG_SNAPSHOT,
    STASIS_CONFIG_IGNORE,
    STASIS_CONFIG_GUEST_ERRORS,
    STASIS_CONFIG_LOG,
    STASIS_CONFIG_METRICS,
    STASIS_CONFIG_COUNT
};

extern const struct stasis_option stasis_config_options[STASIS_CONFIG_COUNT];

/* Keys that were given, by place in the table of each option; bit 0 for one without keys. */
struct stasis_config_given {
    uint32_t keys[STASIS_CONFIG_COUNT];
};

/* ---- JSON ---- */

/* Sets in *config what the text says, and notes it in *given. On failure both hold what came before
 * the fault. STASIS_ERR_ARG names the key by its path, or the line; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_config_read(const char *text, size_t len,
                                         struct stasis_vmm_config *config,
                                         struct stasis_config_given *given,
                                         struct stasis_error *err);

/* Writes the path of a key in JSON, "serial.rate", or that of an option if key is NULL. Of an item
 * the first: "block[].path", and the second: "block[1].path". */
#define STASIS_CONFIG_PATH_MAX 64
void stasis_config_path(const struct stasis_option *option, const struct stasis_option_key *key,
                        char ret_path[STASIS_CONFIG_PATH_MAX]);
void stasis_config_item_path(const struct stasis_option *option, unsigned index,
                             const struct stasis_option_key *key,
                             char ret_path[STASIS_CONFIG_PATH_MAX]);

/* Whether no option before this place has the same object. */
bool stasis_config_is_first(unsigned place);

/* ---- checks ---- */

/* What was given of two sources: `over` wins, key by key, over what *config already has of *given,
 * before it is set. Of the guests (kernel, demo, restore) one in `over` replaces another one, and
 * with it what is for the other sort of guest. */
void stasis_config_give_way(struct stasis_vmm_config *config, struct stasis_config_given *given,
                            const struct stasis_config_given *over);

/* STASIS_ERR_ARG: members contradict each other or are out of range, nothing is opened. With what
 * was given, if that is known (else NULL), also keys that are for another guest or another output,
 * and options whose first key is missing. Messages name members by their path in JSON. */
STASIS_MUST_CHECK int stasis_config_check(const struct stasis_vmm_config *config,
                                          const struct stasis_config_given *given,
                                          struct stasis_error *err);

/* The same for how a snapshot is written. */
STASIS_MUST_CHECK int stasis_config_check_save(const struct stasis_vmm_save *save,
                                               struct stasis_error *err);

#endif
