/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a guest can do wrong when it accesses a device. The device answers as its chip does; it
 * also tells the VMM, which may count it, raise an alarm, or stop the guest.
 */
#ifndef STASIS_GUEST_ERROR_H
#define STASIS_GUEST_ERROR_H

#include "stasis/core_version.h"

/* Devices report all but the first two, which are for whoever finds no device. */
enum stasis_guest_error {
#define STASIS_GUEST_ERROR(name, word, text) STASIS_GUEST_ERROR_##name,
#include "stasis/guest_errors.def"
#undef STASIS_GUEST_ERROR
    STASIS_GUEST_ERROR_COUNT,
};

#endif
