/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A file that opened snapshots take bytes from. Those that lie on one another share it.
 */
#ifndef STASIS_SNAP_SOURCE_H
#define STASIS_SNAP_SOURCE_H

#include <stdatomic.h>

#include "header.h"
#include "index.h"
#include "input.h"

struct stasis_source {
    _Atomic unsigned sharers; /* owners besides the first */
    struct stasis_input input;
    struct stasis_header header; /* once it was read */
    char *name;                  /* for messages */
};

/* Without an input; NULL: no memory. */
struct stasis_source *stasis_source_new(const char *name);

/* One more owner, who frees it too. free(NULL) is fine; the last one closes the input. */
struct stasis_source *stasis_source_share(struct stasis_source *source);
void stasis_source_free(struct stasis_source *source);

/* Reads and checks header, trailer and section table. STASIS_ERR_CORRUPT, STASIS_ERR_VERSION,
 * STASIS_ERR_READ. */
int stasis_source_read_header(struct stasis_source *source, struct stasis_error *err);

/* Reads a section of at most `max` bytes, and checks its CRC; the caller frees *ret_bytes.
 * STASIS_ERR_CORRUPT, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_source_read_section(const struct stasis_source *source, enum stasis_section_type type,
                               const char *name, uint64_t max, uint8_t **ret_bytes, size_t *ret_len,
                               struct stasis_error *err);

/* Computes the root of a file of version 2 from its state and its own index (NULL: that is read
 * again), and compares it. STASIS_ERR_CORRUPT, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_source_check_root(const struct stasis_source *source, const struct stasis_index *index,
                             const uint8_t expected[STASIS_DIGEST_SIZE], struct stasis_error *err);

/* The same of a state section that was read. */
int stasis_source_compare_root(const struct stasis_source *source, const struct stasis_index *index,
                               const uint8_t *state, size_t len,
                               const uint8_t expected[STASIS_DIGEST_SIZE],
                               struct stasis_error *err);

#endif
