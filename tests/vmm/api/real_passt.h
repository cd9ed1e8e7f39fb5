/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The program passt, in a network namespace of the test's own that has one interface, and programs
 * that answer there.
 */
#ifndef STASIS_TESTS_REAL_PASST_H
#define STASIS_TESTS_REAL_PASST_H

#include <stdbool.h>

#include "support/cmocka_all.h"

/* RFC 5737: addresses of nobody. */
#define REAL_PASST_GUEST                                                                           \
    0xc6336402u /* 198.51.100.2: of the interface, which passt gives its guest */
#define REAL_PASST_GATEWAY 0xc6336401u /* stands for the host's loopback */
#define REAL_PASST_OTHER   0xcb007101u /* 203.0.113.1: on the loopback, and answers to pings */
#define REAL_PASST_PORT    7007

bool real_passt_is_installed(void);

/* Ends the case as skipped if this host permits no namespace, or has no tap devices. */
void real_passt_enter(void);

/* Until it listens at the path. */
void real_passt_start(const char *path);
void real_passt_end(void); /* kills it */

/* What listens on the loopback at REAL_PASST_PORT, and sends back what it gets. */
void real_passt_serve(void);     /* begins */
void real_passt_serve_now(void); /* what there is to do */
void real_passt_serve_end(void);

#endif
