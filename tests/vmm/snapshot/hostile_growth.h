/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether a guest makes its host grow: descriptors, threads, mappings and bytes of the heap.
 */
#ifndef STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_GROWTH_H
#define STASIS_TESTS_VMM_SNAPSHOT_HOSTILE_GROWTH_H

#include <stddef.h>

/* Of a process whose machine is paused and has been thawed. */
struct hostile_size {
    unsigned descriptors, threads, mappings;
    size_t heap; /* bytes; 0 with musl, which does not count them */
};

struct hostile_size hostile_size(void);

/* Fails if more is in use than then, so many rounds ago, but for what allocators take on their own.
 */
void hostile_assert_no_growth(const struct hostile_size *then, unsigned rounds);

#endif
