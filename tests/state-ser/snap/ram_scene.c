/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/ram_scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void ram_scene_init(struct ram_scene *scene)
{
    struct stasis_snap_chunk chunk;
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    const char *folder = folder_make();
    uint64_t last;

    snprintf(scene->in, sizeof(scene->in), "%s/in.snap", folder);
    snprintf(scene->out, sizeof(scene->out), "%s/out.snap", folder);
    built_init(&scene->built);
    built_add(&scene->built, 0, 16 << 20);
    fill_random(scene->built.ram[0], 16 << 20, 1);
    if (stasis_snap_save(scene->built.snap, scene->in, NULL, NULL, &err) ||
        stasis_snap_open(scene->in, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    last = stasis_snap_chunk_count(snap) - 1;
    chunk = stasis_snap_chunk_at(snap, last);
    scene->last = chunk.offset + chunk.stored_len - 1;
    snprintf(scene->place, sizeof(scene->place), "chunk %u,", (unsigned)last);
    stasis_snap_free(snap);
}

void ram_scene_fini(struct ram_scene *scene)
{
    folder_remove();
    built_fini(&scene->built);
}

void ram_scene_damage(const struct ram_scene *scene)
{
    int fd = open(scene->in, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)scene->last), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)scene->last), 1);
    close(fd);
}

void ram_scene_attach(const struct ram_scene *scene, struct rig *rig, enum stasis_ram_mode mode,
                      bool background)
{
    int fd = open(scene->in, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    rig_attach(rig, fd, mode, background);
    close(fd);
}

struct stasis_snap *ram_scene_snap(const struct rig *rig)
{
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err = {0};

    assert_non_null(snap);
    stasis_snap_set_ram_source(snap, rig->ram);
    if (stasis_snap_add_ram(snap, 0, rig->host[0], rig->size[0], &err))
        fail_msg("%s", err.msg);
    return snap;
}

void ram_scene_assert_whole(const char *path)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};

    if (stasis_snap_open(path, NULL, &snap, &err) || stasis_snap_verify(snap, 0, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}
