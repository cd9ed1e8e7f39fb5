/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM in memory of every kind, shared and of huge pages: loaded in every mode over what it held
 * before, and saved.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/ram_io.h"

#define POOL "/proc/sys/vm/nr_hugepages"

/* built_large() in whole huge pages. */
#define POOL_PAGES 4

static long pool_before = -1;

static long pool_size(void)
{
    FILE *file = fopen(POOL, "re");
    char text[32] = "-1";

    if (file && !fgets(text, sizeof(text), file))
        text[0] = '-';
    if (file)
        fclose(file);
    return strtol(text, NULL, 10);
}

static void pool_resize(long size)
{
    FILE *file = fopen(POOL, "we");

    if (file) {
        fprintf(file, "%ld\n", size);
        fclose(file);
    }
}

static bool is_available(enum rig_memory kind)
{
    void *pages;

    if (kind < RIG_HUGE)
        return true;
    pages = mmap(NULL, POOL_PAGES * STASIS_HUGE_PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    munmap(pages, POOL_PAGES * STASIS_HUGE_PAGE);
    return true;
}

static int setup(void **state)
{
    (void)state;
    if (is_available(RIG_HUGE))
        return 0;
    pool_before = pool_size();
    if (pool_before >= 0)
        pool_resize(pool_before + POOL_PAGES);
    if (!is_available(RIG_HUGE))
        print_message("left out: memory of huge pages, of which there is no pool here\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (pool_before >= 0)
        pool_resize(pool_before);
    return 0;
}

/* Memory whose content cannot be discarded is copied to, in every mode, zeros too. */
static void every_kind_is_loaded(void **state)
{
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    for (enum rig_memory kind = RIG_SHARED; kind <= RIG_HUGE_MEMFD; kind++) {
        for (size_t m = 0; m < RIG_MODES && is_available(kind); m++) {
            const struct stasis_ram_opts opts = {.mode = rig_modes[m]};
            struct stasis_error err = {0};
            struct rig rig;

            if (rig_try_in(&rig, fd, kind, opts, &err))
                fail_msg("%s", err.msg);
            assert_int_equal(stasis_ram_mode(rig.ram), STASIS_RAM_COPY);
            if (rig_modes[m] == STASIS_RAM_COPY)
                assert_null(stasis_ram_reason(rig.ram));
            else
                assert_non_null(strstr(stasis_ram_reason(rig.ram), "not private anonymous memory"));
            assert_same(&rig, &built);
            assert_true(rig_metrics(&rig).complete);
            assert_int_equal(rig.failures, 0);
            rig_fini(&rig);
        }
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void every_kind_is_filled_by_place(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "test", NULL, &snap, &err), 0);
    for (enum rig_memory kind = RIG_USED; kind <= RIG_HUGE_MEMFD; kind++) {
        for (uint32_t r = 0; r < built.region_count && is_available(kind); r++) {
            size_t mapped;
            uint8_t *host = rig_memory_new(built.size[r], kind, &mapped);

            if (stasis_snap_get_ram(snap, built.gpa[r], host, built.size[r], NULL, NULL, &err))
                fail_msg("%s", err.msg);
            assert_memory_equal(host, built.ram[r], built.size[r]);
            munmap(host, mapped);
        }
    }
    stasis_snap_free(snap);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* The same snapshot as of ordinary memory; pages that nobody touched are zero in every kind. */
static void every_kind_is_saved(void **state)
{
    struct built plain;
    struct image expected;

    (void)state;
    built_large(&plain);
    expected = image_of(&plain);
    image_wipe_identity(&expected);
    for (enum rig_memory kind = RIG_SHARED; kind <= RIG_HUGE_MEMFD; kind++) {
        struct built built;
        struct image image;

        if (!is_available(kind))
            continue;
        built_init(&built);
        for (uint32_t r = 0; r < plain.region_count; r++) {
            uint8_t *host = rig_memory_new(plain.size[r], kind, &built.size[r]);

            memcpy(host, plain.ram[r], plain.size[r]);
            built.ram[built.region_count++] = host;
            assert_int_equal(
                stasis_snap_add_ram(built.snap, plain.gpa[r], host, plain.size[r], NULL), 0);
        }
        image = image_of(&built);
        image_wipe_identity(&image);
        assert_int_equal(image.len, expected.len);
        assert_memory_equal(image.bytes, expected.bytes, image.len);
        image_fini(&image);
        built_fini(&built);
    }
    image_fini(&expected);
    built_fini(&plain);
}

/* Another mapping of the memfd, another process's say, sees what was loaded. */
static void shared_memory_loaded_is_seen_by_others(void **state)
{
    const struct stasis_ram_opts opts = {.size = sizeof(opts), .mode = STASIS_RAM_LAZY};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct stasis_ram *ram = NULL;
    struct built built;
    struct image image;
    size_t size[2] = {(1 << 20) + 8192, 5 << 20};
    int memfd = memfd_create("stasis-test", MFD_CLOEXEC);
    uint8_t *ours, *others;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(ftruncate(memfd, (off_t)(size[0] + size[1])), 0);
    ours = mmap(NULL, size[0] + size[1], PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    others = mmap(NULL, size[0] + size[1], PROT_READ, MAP_SHARED, memfd, 0);
    assert_true(ours != MAP_FAILED && others != MAP_FAILED);
    assert_int_equal(stasis_snap_open_fd(fd, "test", NULL, &snap, &err), 0);
    if (stasis_ram_attach(snap, (void *[]){ours, ours + size[0]}, &opts, &ram, &err))
        fail_msg("%s", err.msg);
    assert_memory_equal(others, built.ram[0], size[0]);
    assert_memory_equal(others + size[0], built.ram[1], size[1]);
    stasis_ram_free(ram);
    stasis_snap_free(snap);
    munmap(ours, size[0] + size[1]);
    munmap(others, size[0] + size[1]);
    close(memfd);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_loaded),
        cmocka_unit_test(every_kind_is_filled_by_place),
        cmocka_unit_test(every_kind_is_saved),
        cmocka_unit_test(shared_memory_loaded_is_seen_by_others),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
