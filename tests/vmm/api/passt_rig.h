/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A passt that does what the test wants, at the other end of a socket in a folder of its own.
 */
#ifndef STASIS_TESTS_PASST_RIG_H
#define STASIS_TESTS_PASST_RIG_H

#include "support/cmocka_all.h"

extern char passt_rig_path[64];
extern int passt_rig_listener, passt_rig_peer; /* -1: there is none */

void passt_rig_init(void); /* makes the folder, and listens */
void passt_rig_fini(void);

void passt_rig_listen(void); /* again */
void passt_rig_accept(void); /* the connection that is there */
void passt_rig_hang_up(void);
void passt_rig_end(void); /* hangs up, and listens no more */

/* A frame of len bytes, the first of which is `first`; and whether the next one is that. */
void passt_rig_say(uint8_t first, uint32_t len);
void passt_rig_hear(uint8_t first, uint32_t len);

#endif
