/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM in every mode: whole, as it was, out of files and streams, and into the next snapshot.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_mode(struct built *built, int fd, enum stasis_ram_mode mode, bool background)
{
    struct rig rig;

    rig_attach(&rig, fd, mode, background);
    assert_same(&rig, built);
    if (background || mode == STASIS_RAM_COPY) {
        struct stasis_ram_metrics metrics;

        rig_wait(&rig);
        metrics = rig_metrics(&rig);
        assert_true(metrics.complete && !metrics.failed);
        assert_int_equal(metrics.verified_bytes, metrics.stored_bytes);
        if (mode != STASIS_RAM_MAP)
            assert_int_equal(metrics.populated_bytes, metrics.stored_bytes);
        assert_same(&rig, built);
    }
    assert_int_equal(rig.failures, 0);
    rig_fini(&rig);
}

static void every_mode(struct built *built, int fd)
{
    for (size_t m = 0; m < RIG_MODES; m++)
        for (unsigned background = 0; background < 2; background++)
            if (rig_can(rig_modes[m]))
                check_mode(built, fd, rig_modes[m], background);
}

static void memory_is_as_it_was(void **state)
{
    void (*const build[])(struct built *) = {built_small, built_large};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct built built;
        struct image file, stream;
        int fd, child;

        build[i](&built);
        file = image_of(&built);
        stream = image_of_stream(&built);
        fd = image_fd(&file);
        every_mode(&built, fd);
        close(fd);
        for (size_t m = 0; m < RIG_MODES; m++) {
            if (!rig_can(rig_modes[m]))
                continue;
            fd = image_pipe(&stream, &child);
            check_mode(&built, fd, rig_modes[m], true);
            close(fd);
            child_wait(child);
        }
        image_fini(&file);
        image_fini(&stream);
        built_fini(&built);
    }
}

static void compressed_memory(void **state)
{
    const struct stasis_save_opts save = {.size = sizeof(save), .zlib_level = 1};
    struct stasis_error err = {0};
    char path[128];
    struct built built;
    struct rig rig;
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/ram.snap", folder_make());
    built_large(&built);
    memset(built.ram[1] + (1 << 20), 'x', 3 << 20);
    if (stasis_snap_save(built.snap, path, &save, NULL, &err))
        fail_msg("%s", err.msg);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    check_mode(&built, fd, STASIS_RAM_COPY, true);
    if (has_lazy()) {
        const struct stasis_ram_opts map = {.mode = STASIS_RAM_MAP};

        check_mode(&built, fd, STASIS_RAM_LAZY, false);
        check_mode(&built, fd, STASIS_RAM_LAZY, true);
        assert_int_equal(rig_try(&rig, fd, map, &err), 0);
        assert_int_equal(stasis_ram_mode(rig.ram), STASIS_RAM_LAZY);
        assert_non_null(strstr(stasis_ram_reason(rig.ram), "compressed"));
        assert_same(&rig, &built);
        rig_fini(&rig);
    }
    close(fd);
    folder_remove();
    built_fini(&built);
}

static void a_guest_without_a_stored_byte(void **state)
{
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 4 << 20);
    image = image_of(&built);
    fd = image_fd(&image);
    every_mode(&built, fd);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* An emulator that loads again into the memory it has. Bytes of before would be seen where the file
 * has zeros. */
static void memory_in_use_is_replaced(void **state)
{
    struct stasis_error err;
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    for (size_t m = 0; m < RIG_MODES; m++) {
        const struct stasis_ram_opts opts = {.mode = rig_modes[m]};

        if (!rig_can(rig_modes[m]))
            continue;
        for (enum rig_memory kind = RIG_USED; kind <= RIG_LOCKED; kind++) {
            struct rig rig;

            if (rig_try_in(&rig, fd, kind, opts, &err))
                fail_msg("%s", err.msg);
            assert_int_equal(stasis_ram_mode(rig.ram),
                             kind == RIG_USED ? rig_modes[m] : STASIS_RAM_COPY);
            assert_true(kind == RIG_USED || rig_modes[m] == STASIS_RAM_COPY ||
                        strstr(stasis_ram_reason(rig.ram), "not private anonymous memory"));
            assert_same(&rig, &built);
            rig_fini(&rig);
        }
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* The file's pages are in the memory, and a guest has written over them and beside them. */
static void memory_that_was_mapped_is_replaced(void **state)
{
    const struct stasis_ram_opts opts = {.size = sizeof(opts), .mode = STASIS_RAM_MAP};
    struct stasis_error err;
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_MAP, true);
    rig_wait(&rig);
    stasis_ram_free(rig.ram);
    for (uint32_t r = 0; r < rig.region_count; r++)
        memset(rig.host[r], 0xa5, rig.size[r]);
    if (stasis_snap_open_fd(fd, "test", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    if (stasis_ram_attach(snap, rig.host, &opts, &rig.ram, &err))
        fail_msg("%s", err.msg);
    assert_same(&rig, &built);
    stasis_snap_free(snap);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* ---- a snapshot of what comes from a snapshot, onto the file it comes from ---- */

static void save_again(const struct rig *rig, const struct built *built, const char *path)
{
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err = {0};

    assert_non_null(snap);
    for (uint32_t r = 0; r < rig->region_count; r++)
        assert_int_equal(stasis_snap_add_ram(snap, built->gpa[r], rig->host[r], rig->size[r], &err),
                         0);
    if (stasis_snap_save(snap, path, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

static void generations_onto_one_file(void **state)
{
    struct built built;
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/ram.snap", folder_make());
    built_large(&built);
    for (unsigned g = 0; g < 18; g++) {
        struct stasis_error err = {0};
        struct rig rig;
        int fd;

        if (!g && stasis_snap_save(built.snap, path, NULL, NULL, &err))
            fail_msg("%s", err.msg);
        if (!rig_can(rig_modes[g / 2 % RIG_MODES]))
            continue;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        rig_attach(&rig, fd, rig_modes[g / 2 % RIG_MODES], g % 2);
        close(fd);
        memset((uint8_t *)rig.host[1] + 0x7000 * (size_t)g, (int)g + 1, 100);
        memset(built.ram[1] + 0x7000 * (size_t)g, (int)g + 1, 100);
        save_again(&rig, &built, path);
        assert_same(&rig, &built);
        assert_int_equal(rig.failures, 0);
        rig_fini(&rig);
    }
    folder_remove();
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_as_it_was),
        cmocka_unit_test(compressed_memory),
        cmocka_unit_test(a_guest_without_a_stored_byte),
        cmocka_unit_test(memory_in_use_is_replaced),
        cmocka_unit_test(memory_that_was_mapped_is_replaced),
        cmocka_unit_test(generations_onto_one_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
