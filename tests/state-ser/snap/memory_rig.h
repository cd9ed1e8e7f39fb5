/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Storage in memory that transfers little at a time, fails when it is told to, and holds the engine
 * to what stasis/storage.h promises.
 */
#ifndef STASIS_TESTS_MEMORY_RIG_H
#define STASIS_TESTS_MEMORY_RIG_H

#include "tests/state-ser/snap/fixture.h"

#include <stdatomic.h>
#include <sys/types.h>

#include "stasis/storage.h"

/* What the call that fails does. */
enum memory_fault {
    MEMORY_FAILS,     /* -1 and ENOTCONN */
    MEMORY_NO_REASON, /* -1 and no errno */
    MEMORY_TOO_MUCH,  /* says it transferred more than it was asked for */
    MEMORY_NOTHING,   /* 0: reading, the end */
};

struct memory {
    struct image image;
    size_t room;       /* of image.bytes, for writing */
    size_t step;       /* transferred at a time, at most; 0: all */
    unsigned fault_at; /* number of the call that fails, from 1; 0: none */
    enum memory_fault fault;
    _Atomic unsigned calls;
    bool sequential;
    bool ended; /* the end was read */
};

/* A table for it, of the name "slot 3". */
struct stasis_storage memory_storage(struct memory *memory);

void memory_fini(struct memory *memory);

/* Saves any snapshot to a file or, streamed, to memory; the second one must not fail. */
int image_try_save(struct stasis_snap *snap, bool streamed, const struct stasis_save_opts *opts,
                   struct image *ret_image, struct stasis_error *err);
struct image image_save(struct stasis_snap *snap, bool streamed,
                        const struct stasis_save_opts *opts);

#endif
