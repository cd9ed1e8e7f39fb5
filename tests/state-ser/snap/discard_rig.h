/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory out of a file, of which parts are given back, and what it must have then.
 */
#ifndef STASIS_TESTS_DISCARD_RIG_H
#define STASIS_TESTS_DISCARD_RIG_H

#include "tests/state-ser/snap/ram_rig.h"

#define PAGE  ((size_t)4096)
#define CHUNK ((size_t)STASIS_CHUNK_SIZE)
#define MIB   ((size_t)1 << 20)

struct scene {
    struct built built; /* what the memory must have */
    struct image image;
    int fd;
};

/* 6 MiB and two pages, of which the second MiB is zero. */
void scene_init(struct scene *scene);
void scene_fini(struct scene *scene);

uint8_t *host_of(const struct rig *rig, size_t at);

/* Gives a part back. */
void take(const struct rig *rig, const struct built *built, size_t at, size_t len);

/* Pages, runs within and across chunks, whole chunks and huge pages, the short chunk at the end,
 * what is zero anyway, and some of it twice. */
#define PIECES 11
extern const struct piece {
    size_t at, len;
} pieces[PIECES];

void take_all(const struct rig *rig, const struct built *built);

#endif
