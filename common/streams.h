/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The standard streams of the programs.
 */
#ifndef STASIS_COMMON_STREAMS_H
#define STASIS_COMMON_STREAMS_H

#include "stasis/error.h"

/* Opens /dev/null in place of closed descriptors 0, 1 and 2, so that no other file gets their
 * numbers; for the wrong direction, so that what is sent there fails instead of being lost. Call it
 * first in main. STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_streams_fill(struct stasis_error *err);

/* Writes what stdio still holds for standard output and reports whether all was written.
 * STASIS_ERR_WRITE. */
STASIS_MUST_CHECK int stasis_streams_flush(struct stasis_error *err);

#endif
