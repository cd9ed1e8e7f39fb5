/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the crash tests share: a folder with an old snapshot in it (or none), a guest to be saved
 * over it, and the one question that is asked after every accident: what is there now?
 */
#ifndef STASIS_TESTS_CRASH_SCENE_H
#define STASIS_TESTS_CRASH_SCENE_H

#include "tests/state-ser/snap/fixture.h"

#define CRASH_TARGET "snap" /* the target's name in its folder */

struct crash_scene {
    struct built built;       /* to be saved: differs from what the old file holds */
    struct stasis_snap *base; /* what it lies on, or NULL */
    uint64_t *dirty;          /* pages of its first range */
    char folder[64];
    char path[96];
    struct image old; /* the old file, byte for byte; no bytes: there was none */
};

void crash_scene_init(struct crash_scene *scene, void (*build)(struct built *built), bool with_old);
void crash_scene_fini(struct crash_scene *scene);

/* Guests: 8 MiB, stored in many runs; 1 MiB and 3 MiB of which every other chunk is stored, the
 * larger enough for three workers. */
void crash_guest_large(struct built *built);
void crash_guest_striped(struct built *built);
void crash_guest_wide(struct built *built);

/* From here on the guest is saved as a layer on a file that is elsewhere: of its first range, every
 * fourth page was written to since. */
void crash_scene_lay(struct crash_scene *scene);

/* Empties the folder and puts the old file back. */
void crash_scene_reset(struct crash_scene *scene);

enum crash_found { CRASH_NOTHING, CRASH_OLD, CRASH_NEW };

/* What bears the target's name: the old file, byte for byte; the new one, verified and holding the
 * RAM that was to be saved; nothing, where there was nothing. Anything else fails the test, as does
 * any name in the folder but the target's and temporary ones, which are counted. */
enum crash_found crash_scene_look(struct crash_scene *scene, unsigned *ret_temporary);

/* Fails unless the one temporary file there holds what was to be saved, whole. */
void crash_scene_assert_temporary_whole(struct crash_scene *scene);

/* stasis_snap_save() to the target. */
int crash_scene_save(struct crash_scene *scene, unsigned threads, struct stasis_error *err);

unsigned crash_open_fds(void);

/* From here on this thread, and those it makes, cannot open with O_TMPFILE. */
int crash_forbid_tmpfile(void);

/* xorshift: the same numbers for the same seed, which is printed. */
uint32_t crash_random(uint32_t *seed);

#endif
