/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory to attach snapshots to, and a way to touch what may not be there.
 */
#ifndef STASIS_TESTS_RAM_RIG_H
#define STASIS_TESTS_RAM_RIG_H

#include "tests/state-ser/snap/fixture.h"

#include <stdatomic.h>

#include "stasis/ram.h"

struct rig {
    struct stasis_ram *ram;
    uint32_t region_count;
    void *host[4];
    size_t size[4];
    size_t mapped[4];          /* whole huge pages, where it has them */
    _Atomic int failures;      /* calls of the callback */
    struct stasis_error error; /* of the first */
};

/* Maps memory for the snapshot in `fd` and attaches it; the snapshot is freed at once. */
int rig_try(struct rig *rig, int fd, struct stasis_ram_opts opts, struct stasis_error *err);

/* The same in memory that is not fresh: full of other bytes, and of a kind. */
enum rig_memory {
    RIG_FRESH,
    RIG_USED,
    RIG_SHARED,
    RIG_LOCKED,
    RIG_MEMFD,         /* shared */
    RIG_MEMFD_PRIVATE, /* what is written is not in the memfd */
    RIG_HUGE,          /* these need a pool of huge pages */
    RIG_HUGE_MEMFD,    /* shared */
};

uint8_t *rig_memory_new(size_t size, enum rig_memory kind, size_t *ret_mapped);
int rig_try_in(struct rig *rig, int fd, enum rig_memory kind, struct stasis_ram_opts opts,
               struct stasis_error *err);
int rig_try_snap(struct rig *rig, struct stasis_snap *snap, enum rig_memory kind,
                 struct stasis_ram_opts opts, struct stasis_error *err);
void rig_attach(struct rig *rig, int fd, enum stasis_ram_mode mode, bool background);
void rig_fini(struct rig *rig);

/* Reads a byte: 0, or the signal that it gave. */
int touch(const void *at);

void assert_same(const struct rig *rig, const struct built *built);
void rig_wait(struct rig *rig);

/* Until so much is verified: who touches memory is woken before what was loaded is counted. */
void rig_wait_verified(const struct rig *rig, uint64_t bytes);
struct stasis_ram_metrics rig_metrics(const struct rig *rig);

/* COPY, MAP, LAZY; and whether that one can be had here. */
#define RIG_MODES 3
extern const enum stasis_ram_mode rig_modes[RIG_MODES];
bool rig_can(enum stasis_ram_mode mode);

/* True where userfaultfd is permitted; else says that it is not. */
bool has_lazy(void);

/* True where a chunk that cannot be had gives SIGBUS; elsewhere (no UFFDIO_POISON) who touches it
 * waits. */
bool has_poison(void);

/* Offset in the file of a chunk's bytes. */
size_t chunk_offset(int fd, uint64_t chunk);
void flip_bit(int fd, size_t at, unsigned bit);

#endif
