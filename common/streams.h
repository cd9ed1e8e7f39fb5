/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The standard streams of the programs, and how many files they may have open.
 */
#ifndef STASIS_COMMON_STREAMS_H
#define STASIS_COMMON_STREAMS_H

#include "stasis/error.h"

/* Opens /dev/null in place of closed descriptors 0, 1 and 2, so that no other file gets their
 * numbers; for the wrong direction, so that what is sent there fails instead of being lost. Call it
 * first in main. STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_streams_fill(struct stasis_error *err);

/* Lets this process have as many files open as it may have at most, since a layer has one for each
 * file that it lies on. Where that is not permitted, it stays as it is. */
void stasis_streams_raise_limit(void);

/* Writes what stdio still holds for standard output and reports whether all was written.
 * STASIS_ERR_WRITE. */
STASIS_MUST_CHECK int stasis_streams_flush(struct stasis_error *err);

#endif
