/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Real tap devices, in a network namespace of the test's own.
 */
#ifndef STASIS_TESTS_TAP_RIG_H
#define STASIS_TESTS_TAP_RIG_H

#include <stdbool.h>

#include "support/cmocka_all.h"

/* False: this user cannot make a namespace, or this host has no tap devices. */
bool tap_rig_enter(void);

/* Makes a tap device, which is down. */
void tap_rig_make(const char *name);

/* Removes an interface, and returns when it is gone. */
void tap_rig_remove(const char *name);

#endif
