/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The configuration of a VM as text: `key=value,key=value` as on the command line of vmm, and JSON
 * as in the file of vmm --config. vmm(1) lists the options, their keys and their paths in JSON,
 * which come of one table. kick_signal and start_us have no text. Messages of the library name keys
 * by these paths: "give more by memory.size_mib".
 *
 * Strings that these functions put into a configuration are the configuration's own, to be freed by
 * stasis_vmm_config_fini(). So a configuration is filled either by these functions, beginning with
 * one that is all zeros, or by a program that points into memory of its own; not by both.
 *
 * Threads: a configuration belongs to one thread at a time.
 */
#ifndef STASIS_VMM_CONFIG_H
#define STASIS_VMM_CONFIG_H

#include "stasis/vmm.h"

STASIS_BEGIN_DECLS

#define STASIS_VMM_CONFIG_BYTES_MAX (1u << 20) /* of JSON */

/* Sets what the text says of one option: ("serial", "file:console,limit=64K"), and ("demo", NULL)
 * for one that takes no value. A key that is not in the text keeps its value; notes replace
 * those before. The option's first key must be in the text, or have a value other than the default
 * already. On failure keys before the wrong one are set. ("block", text) adds a disk, and on
 * failure none; ("allow", text) adds to lists. STASIS_ERR_ARG names the option, the key and the
 * remedy; STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_config_set(struct stasis_vmm_config *config,
                                                          const char *option, const char *text,
                                                          struct stasis_error *err);

/* Reads a whole configuration from `len` bytes of JSON, which need no NUL. *ret_config is filled on
 * success only. STASIS_ERR_ARG: no JSON, with the line; a key that occurs twice, that there is not,
 * or whose value is of the wrong type or out of range, by its path (snapshot.notes[1]); or keys
 * that contradict each other. STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_config_read(const char *text, size_t len,
                                                           struct stasis_vmm_config *ret_config,
                                                           struct stasis_error *err);

/* The configuration as JSON that stasis_vmm_config_read() takes, of *ret_len bytes and a NUL, to be
 * freed with free(). Defaults are written, except where an option is not in use. A descriptor below
 * 3, which only a program can give, is written, and not accepted again. STASIS_ERR_ARG: a
 * string is no UTF-8, which JSON cannot hold; STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_config_write(const struct stasis_vmm_config *config,
                                                            char **ret_text, size_t *ret_len,
                                                            struct stasis_error *err);

/* The same for that of a VM. Any thread. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_config_text(const struct stasis_vmm *vmm,
                                                           char **ret_text, size_t *ret_len,
                                                           struct stasis_error *err);

/* Frees strings and notes, and sets all members to zero. */
STASIS_EXPORT void stasis_vmm_config_fini(struct stasis_vmm_config *config);

STASIS_END_DECLS

#endif
