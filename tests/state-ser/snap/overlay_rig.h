/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An overlay on a disk that loses its power, fails, or is full; and what the guest believes that
 * the disk holds. Its files are real ones, which stand for the page cache: what a sync has not
 * confirmed may be on the disk or not, by sectors, and two names that changed places may be back.
 */
#ifndef STASIS_TESTS_OVERLAY_RIG_H
#define STASIS_TESTS_OVERLAY_RIG_H

#include <semaphore.h>
#include <sys/types.h>

#include "stasis/overlay.h"
#include "tests/state-ser/snap/fixture.h"

#define RIG_SECTOR 512u
#define RIG_PAGE   4096u
#define RIG_PAGES  45u                           /* the last chunk has 13 */
#define RIG_BYTES  (RIG_PAGES * RIG_PAGE - 1536) /* the last page is short */

#define RIG_FILES 8u

struct rig_write {
    unsigned file;
    uint64_t offset;
    size_t len;
    uint8_t *bytes;
};

struct rig {
    char folder[64];
    char path[96];
    uint8_t base[RIG_BYTES];
    uint8_t content[RIG_BYTES]; /* what the guest has written */
    struct stasis_overlay_base opts;
    struct stasis_overlay *overlay; /* or NULL */
    uint32_t seed;

    /* The disk below the page cache. Files are known by their inodes. */
    struct image stable[RIG_FILES];
    ino_t inodes[RIG_FILES];
    unsigned file_count;
    char exchanged[96]; /* the name that the overlay's changed places with, until the folder's sync
                         */
    struct rig_write *pending;
    unsigned count, room;

    /* What is to go wrong; all 0: nothing. */
    unsigned write_fails, sync_fails; /* one in so many */
    unsigned sync_to_fail;            /* the one of this number from now on; 0: none */
    int error;
    uint64_t room_bytes; /* offsets from here on do not fit; 0: all do */
    bool keeps_pending;  /* a sync that fails loses nothing, and tells once */
    unsigned syncs;
    bool is_plain; /* the disk below is of no interest */
    bool cannot_exchange, cannot_link;
    unsigned left; /* calls until all of them fail; 0: none does */
    /* The next fsync(2) waits for `go`, fails, and posts `gone`. */
    bool sync_hangs;
    sem_t go, gone;
};

void rig_init(struct rig *rig, uint32_t seed);
void rig_fini(struct rig *rig);
void rig_unlink_all(struct rig *rig); /* of its folder; it is closed */

/* Opens it, again. The one that fails says why. */
void rig_open(struct rig *rig);
int rig_try_open(struct rig *rig, struct stasis_error *err);
void rig_close(struct rig *rig); /* without a flush */

uint32_t rig_random(struct rig *rig, uint32_t below);

/* A write, zeroing or discarding somewhere, which `content` follows if it succeeds, page by page;
 * false: it failed, and the pages may be as before. */
bool rig_step(struct rig *rig);

/* A plain rig that is open, with a dozen steps done. */
void rig_begin_plain(struct rig *rig, uint32_t seed);
bool rig_write(struct rig *rig, uint64_t offset, size_t len);

/* Seals it, which must succeed; and the path that a file of that root has then. */
#define RIG_SEALED_PATH 160u
void rig_seal(struct rig *rig, unsigned how, uint8_t ret_root[STASIS_OVERLAY_ROOT_SIZE]);
void rig_sealed_path(const struct rig *rig, const uint8_t *root, char path[RIG_SEALED_PATH]);

/* Reads all of it, and compares with `bytes`. */
bool rig_holds(struct rig *rig, const uint8_t *bytes);
void rig_assert_holds(struct rig *rig, const uint8_t *bytes);

/* The power fails: the files become what may be left of them. Close before. */
void rig_cut_power(struct rig *rig);

/* The page cache forgets what could not be written back. */
void rig_evict(struct rig *rig);

#endif
