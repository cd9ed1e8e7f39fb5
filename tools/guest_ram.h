/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM of an opened snapshot by guest physical address, verified before it is shown.
 */
#ifndef STASIS_TOOLS_RAM_H
#define STASIS_TOOLS_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/snap.h"

/* The range of RAM that `gpa` lies in; false if there is none. */
bool stasis_inspect_ram_region(const struct stasis_snap *snap, uint64_t gpa,
                               struct stasis_snap_region *ret_region);

/* Where the zero chunks that begin with that of gpa end, in one step: gpa if that is not zero, or
 * if there is no RAM. At most the end of the range. */
uint64_t stasis_inspect_ram_zero_end(const struct stasis_snap *snap, uint64_t gpa);

/* The chunk that `gpa` lies in; false if there is no RAM. */
bool stasis_inspect_ram_find(const struct stasis_snap *snap, uint64_t gpa, uint64_t *ret_chunk);

/* How many of `len` bytes from gpa on are RAM without a gap. */
uint64_t stasis_inspect_ram_extent(const struct stasis_snap *snap, uint64_t gpa, uint64_t len);

/* A reader of pages here and there, which keeps the chunks it read lately. */
struct stasis_inspect_ram {
    const struct stasis_snap *snap;
    struct stasis_inspect_ram_slot *slots;
};

/* The snapshot stays the caller's. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_inspect_ram_init(struct stasis_inspect_ram *ram,
                                              const struct stasis_snap *snap,
                                              struct stasis_error *err);
void stasis_inspect_ram_fini(struct stasis_inspect_ram *ram); /* fine for one that is all zero */

/* STASIS_ERR_NOT_FOUND: part of it is no RAM; and the errors of stasis_snap_read_chunk(). */
STASIS_MUST_CHECK int stasis_inspect_ram_read(struct stasis_inspect_ram *ram, uint64_t gpa,
                                              void *bytes, size_t len, struct stasis_error *err);

/* Whether something of a chunk, or of all RAM, is compressed in the file or what it lies on. */
bool stasis_inspect_chunk_is_compressed(const struct stasis_snap *snap, uint64_t chunk);
bool stasis_inspect_is_compressed(const struct stasis_snap *snap);

#endif
