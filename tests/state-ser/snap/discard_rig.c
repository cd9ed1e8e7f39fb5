/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/discard_rig.h"

#include <string.h>
#include <unistd.h>

void scene_init(struct scene *scene)
{
    built_init(&scene->built);
    built_add(&scene->built, 0, 6 * MIB + 2 * PAGE);
    fill_random(scene->built.ram[0], MIB, 1);
    fill_random(scene->built.ram[0] + 2 * MIB, 4 * MIB + 2 * PAGE, 2);
    scene->image = image_of(&scene->built);
    scene->fd = image_fd(&scene->image);
}

void scene_fini(struct scene *scene)
{
    close(scene->fd);
    image_fini(&scene->image);
    built_fini(&scene->built);
}

uint8_t *host_of(const struct rig *rig, size_t at)
{
    return (uint8_t *)rig->host[0] + at;
}

void take(const struct rig *rig, const struct built *built, size_t at, size_t len)
{
    struct stasis_error err = {0};

    if (stasis_ram_discard(rig->ram, host_of(rig, at), len, &err))
        fail_msg("%s", err.msg);
    memset(built->ram[0] + at, 0, len);
}

const struct piece pieces[PIECES] = {
    {0, PAGE},
    {5 * PAGE, 3 * PAGE},
    {CHUNK - PAGE, 2 * PAGE},
    {4 * CHUNK, CHUNK},
    {9 * CHUNK + PAGE, 3 * CHUNK},
    {4 * CHUNK, 4 * PAGE},
    {MIB - PAGE, 5 * PAGE},
    {2 * MIB, 2 * MIB},
    {5 * MIB + 7 * PAGE, PAGE},
    {6 * MIB, PAGE},
    {6 * MIB + PAGE, PAGE},
};

void take_all(const struct rig *rig, const struct built *built)
{
    for (size_t i = 0; i < PIECES; i++)
        take(rig, built, pieces[i].at, pieces[i].len);
}
