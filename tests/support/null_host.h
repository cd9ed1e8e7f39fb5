/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What devices need of the outside, where nobody is there: output is lost, time stands still.
 */
#ifndef STASIS_TESTS_NULL_HOST_H
#define STASIS_TESTS_NULL_HOST_H

#include "vmm/machine/device.h"

/* Takes half of what the serial port sends at a time, so that the port has to keep the rest. */
extern const struct stasis_device_host null_host;

#endif
