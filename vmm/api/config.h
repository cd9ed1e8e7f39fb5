/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The configuration of stasis/vmm.h: copies of it, and what the parts of a VM make of it.
 */
#ifndef STASIS_VMM_API_CONFIG_H
#define STASIS_VMM_API_CONFIG_H

#include "stasis/vmm.h"
#include "stasis/vmm_config.h"
#include "vmm/api/config_table.h"
#include "vmm/boot/loader.h"
#include "vmm/host/serial_sink.h"
#include "vmm/snapshot/thaw.h"

/* Copies strings and notes too; the copy is to be freed with stasis_vmm_config_fini().
 * STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_config_copy(const struct stasis_vmm_config *config,
                                         struct stasis_vmm_config *ret_copy,
                                         struct stasis_error *err);

/* The board of a new guest. STASIS_ERR_ARG, STASIS_ERR_NOT_FOUND. */
STASIS_MUST_CHECK int stasis_config_board(const struct stasis_vmm_config *config,
                                          struct stasis_board_state *ret_board,
                                          struct stasis_error *err);

/* What to load into a new guest, how to thaw one, and where its serial output goes. The strings
 * stay the config's. */
struct stasis_boot_options stasis_config_boot(const struct stasis_vmm_config *config);
struct stasis_thaw_options stasis_config_thaw(const struct stasis_vmm_config *config);
struct stasis_serial_sink_options stasis_config_serial(const struct stasis_vmm_config *config);

/* The snapshot is written to standard output, or read from standard input. */
bool stasis_config_freezes_to_stream(const struct stasis_vmm_config *config);
/* The 32 bytes of a root that has been checked. */
void stasis_config_read_root(const char *text, uint8_t ret_root[32]);

/* Puts the 32 bytes of restore.root there and returns ret_root, or NULL: any root will do. */
const uint8_t *stasis_config_root(const struct stasis_vmm_config *config, uint8_t ret_root[32]);

bool stasis_config_thaws_from_stream(const struct stasis_vmm_config *config);

/* STASIS_ERR_ARG: it is no name of a device on the board, which `member` gives. */
STASIS_MUST_CHECK int stasis_config_check_id(const char *member, const char *id,
                                             struct stasis_error *err);

/* ---- config_disks.c ---- */

/* How many disks it has, and the name of one, given or the default. */
unsigned stasis_config_disks(const struct stasis_vmm_config *config);
const char *stasis_config_disk_id(const struct stasis_vmm_config *config, unsigned index);

/* Whether a list of struct stasis_vmm_allow has that id. */
bool stasis_config_allows(const char *const list[STASIS_VMM_BLOCKS_MAX], const char *id);

/* STASIS_ERR_ARG: disks without a file, with bad or equal names, or names that no disk has. */
STASIS_MUST_CHECK int stasis_config_check_disks(const struct stasis_vmm_config *config,
                                                struct stasis_error *err);
/* STASIS_ERR_ARG: with its disks the guest may not run on after a snapshot. */
STASIS_MUST_CHECK int stasis_config_check_resume(const struct stasis_vmm_config *config,
                                                 struct stasis_error *err);

/* ---- config_target.c ---- */

/* Whether the older release that a snapshot is for, if it is, can have a guest with this board.
 * STASIS_ERR_ARG names what it lacks. */
STASIS_MUST_CHECK int stasis_config_check_target(const struct stasis_board_state *board,
                                                 const struct stasis_vmm_save *save,
                                                 struct stasis_error *err);
/* The same for the snapshot of the configuration; the message names that member. */
STASIS_MUST_CHECK int stasis_config_check_own_target(const struct stasis_vmm_config *config,
                                                     const struct stasis_board_state *board,
                                                     struct stasis_error *err);

/* ---- config_net.c ---- */

/* Whether it has a network, and the name of that, given or the default. */
bool stasis_config_has_net(const struct stasis_vmm_config *config);
const char *stasis_config_net_id(const struct stasis_vmm_config *config);

/* Six numbers of two hexadecimal digits, of one station. STASIS_ERR_ARG: the message is the remedy.
 */
STASIS_MUST_CHECK int stasis_config_net_mac(const char *text, uint8_t ret_mac[6],
                                            struct stasis_error *err);

/* STASIS_ERR_ARG: a network that is connected to nothing, or to several, or with bad values. */
STASIS_MUST_CHECK int stasis_config_check_net(const struct stasis_vmm_config *config,
                                              struct stasis_error *err);

/* ---- config_vsock.c ---- */

/* The name of its sockets, given or the default. */
const char *stasis_config_vsock_id(const struct stasis_vmm_config *config);

/* STASIS_ERR_ARG: sockets without a path, or with bad values. */
STASIS_MUST_CHECK int stasis_config_check_vsock(const struct stasis_vmm_config *config,
                                                struct stasis_error *err);

#endif
