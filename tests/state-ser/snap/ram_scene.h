/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest whose RAM is loaded from a file, and saved while that is under way.
 */
#ifndef STASIS_TESTS_RAM_SCENE_H
#define STASIS_TESTS_RAM_SCENE_H

#include "tests/state-ser/snap/ram_rig.h"

struct ram_scene {
    struct built built;
    char in[128], out[128];
    size_t last; /* offset in the file of the last chunk's last byte */
    char place[64];
};

void ram_scene_init(struct ram_scene *scene);
void ram_scene_fini(struct ram_scene *scene);

/* Flips a bit of the last chunk in the file. */
void ram_scene_damage(const struct ram_scene *scene);

void ram_scene_attach(const struct ram_scene *scene, struct rig *rig, enum stasis_ram_mode mode,
                      bool background);

/* A snapshot of the memory, which knows what loads it. */
struct stasis_snap *ram_scene_snap(const struct rig *rig);

void ram_scene_assert_whole(const char *path);

#endif
