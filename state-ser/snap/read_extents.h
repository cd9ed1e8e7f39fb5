/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Chunks of a layer, whose bytes are in several places of several files.
 */
#ifndef STASIS_SNAP_READ_EXTENTS_H
#define STASIS_SNAP_READ_EXTENTS_H

#include "object.h"

/* Reads chunk `first` into `host`, and those behind it up to `end` that are stored in full behind
 * one another in one file, all of kind STASIS_CHUNK_EXTENTS and of one region; the number of the
 * next one in *ret_next. What is read is checked before it is unpacked or put in place; but a chunk
 * that is stored in full is read where it belongs, so `host` holds anything on failure.
 * STASIS_ERR_CORRUPT names the chunk and the file; STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_extents_read(const struct stasis_snap *snap, uint64_t first, uint64_t end, uint8_t *host,
                        uint64_t *ret_next, struct stasis_error *err);

/* Checksum, and digest if there is one, of the stored bytes of extent k of chunk i.
 * STASIS_ERR_CORRUPT. */
int stasis_extents_check(const struct stasis_snap *snap, uint64_t i,
                         const struct stasis_index_extents *extents, unsigned k,
                         const uint8_t *bytes, struct stasis_error *err);

#endif
