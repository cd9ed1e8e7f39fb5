/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vmm ctl SOCK METHOD [key=value]...: a client of the control socket.
 */
#ifndef STASIS_VMM_CTL_H
#define STASIS_VMM_CTL_H

/* `argv` begins with "ctl". Returns the exit status. */
int stasis_ctl_main(int argc, char *const *argv);

#endif
