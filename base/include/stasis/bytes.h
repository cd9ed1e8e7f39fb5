/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is asked of bytes, whatever they are.
 */
#ifndef STASIS_BYTES_H
#define STASIS_BYTES_H

#include <stdbool.h>
#include <stddef.h>

#include "stasis/compiler.h"

STASIS_BEGIN_DECLS

/* All are 0, also if there are none. */
STASIS_EXPORT bool stasis_is_zero(const void *bytes, size_t len);

STASIS_END_DECLS

#endif
