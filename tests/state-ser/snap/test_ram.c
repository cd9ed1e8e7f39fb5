/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM in every mode: whole, as it was, out of files and streams, and into the next snapshot.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum stasis_ram_mode modes[] = {STASIS_RAM_COPY, STASIS_RAM_MAP, STASIS_RAM_LAZY};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static bool is_possible(enum stasis_ram_mode mode)
{
    return mode != STASIS_RAM_LAZY || has_lazy();
}

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
    for (size_t m = 0; m < MODES; m++)
        for (unsigned background = 0; background < 2; background++)
            if (is_possible(modes[m]))
                check_mode(built, fd, modes[m], background);
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
        for (size_t m = 0; m < MODES; m++) {
            if (!is_possible(modes[m]))
                continue;
            fd = image_pipe(&stream, &child);
            check_mode(&built, fd, modes[m], true);
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
    for (size_t m = 0; m < MODES; m++) {
        const struct stasis_ram_opts opts = {.mode = modes[m]};

        if (!is_possible(modes[m]))
            continue;
        for (enum rig_memory kind = RIG_USED; kind <= RIG_LOCKED; kind++) {
            struct rig rig;

            if (rig_try_in(&rig, fd, kind, opts, &err))
                fail_msg("%s", err.msg);
            assert_int_equal(stasis_ram_mode(rig.ram),
                             kind == RIG_USED ? modes[m] : STASIS_RAM_COPY);
            assert_true(kind == RIG_USED || modes[m] == STASIS_RAM_COPY ||
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

/* ---- lazy: only what is touched ---- */

static void what_is_not_touched_is_not_loaded(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
    assert_int_equal(rig_metrics(&rig).populated_bytes, 0);
    assert_memory_equal((uint8_t *)rig.host[0] + 0x10000, built.ram[0] + 0x10000, 0x10000);
    assert_memory_equal((uint8_t *)rig.host[0] + 0x9fc00, built.ram[0] + 0x9fc00, 16);
    for (unsigned i = 0; i < 300000 && rig_metrics(&rig).verified_bytes < 0x20000; i++)
        usleep(1000); /* who waited is woken before it is counted */
    assert_int_equal(rig_metrics(&rig).populated_bytes, 0x20000);
    assert_int_equal(rig_metrics(&rig).verified_bytes, 0x20000);
    assert_int_equal(rig_metrics(&rig).faults, 2);
    assert_int_equal(stasis_ram_wait(rig.ram, NULL), STASIS_ERR_ARG);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void zero_ranges_are_left_to_the_kernel(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_init(&built);
    built_add(&built, 0, 16 << 20);
    built.ram[0][(2 << 20) + 5] = 1;
    built.ram[0][(16 << 20) - 1] = 1;
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
    assert_int_equal(rig_metrics(&rig).pieces, 2);
    for (size_t at = 4 << 20; at < 14 << 20; at += 4096)
        assert_int_equal(((uint8_t *)rig.host[0])[at], 0);
    assert_int_equal(rig_metrics(&rig).faults, 0);
    assert_same(&rig, &built);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

struct toucher {
    struct rig *rig;
    const struct built *built;
    uint32_t seed;
    bool bad;
};

static void *touch_about(void *arg)
{
    struct toucher *toucher = arg;
    uint32_t x = toucher->seed;

    for (unsigned i = 0; i < 400; i++) {
        size_t at;

        x = x * 1664525u + 1013904223u;
        at = (x >> 4) % (toucher->built->size[0] / 4096) * 4096 + x % 4096;
        if (((uint8_t *)toucher->rig->host[0])[at] != toucher->built->ram[0][at])
            toucher->bad = true;
    }
    return NULL;
}

/* Faults of several threads, and the fill moving huge pages in between them. */
static void many_touch_while_it_fills(void **state)
{
    struct built built;
    struct image image;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_init(&built);
    built_add(&built, 0, 24 << 20);
    fill_random(built.ram[0], 11 << 20, 1);
    fill_random(built.ram[0] + (13 << 20), 11 << 20, 2);
    image = image_of(&built);
    fd = image_fd(&image);
    for (uint32_t round = 0; round < 20; round++) {
        struct toucher touchers[4];
        pthread_t threads[4];
        struct rig rig;

        rig_attach(&rig, fd, STASIS_RAM_LAZY, true);
        for (uint32_t t = 0; t < 4; t++) {
            touchers[t] = (struct toucher){&rig, &built, round * 4 + t, false};
            assert_int_equal(pthread_create(&threads[t], NULL, touch_about, &touchers[t]), 0);
        }
        for (unsigned t = 0; t < 4; t++) {
            pthread_join(threads[t], NULL);
            assert_false(touchers[t].bad);
        }
        if (round % 2)
            rig_wait(&rig); /* else freed while it fills */
        assert_same(&rig, &built);
        assert_int_equal(rig.failures, 0);
        rig_fini(&rig);
    }
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
        if (!is_possible(modes[g / 2 % MODES]))
            continue;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        rig_attach(&rig, fd, modes[g / 2 % MODES], g % 2);
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

/* ---- what becomes of a mode that cannot be ---- */

static void too_many_pieces_to_map_become_lazy(void **state)
{
    const size_t chunks = 2 * 4097;
    struct stasis_error err = {0};
    struct built built;
    struct image image;
    struct rig rig;
    int fd;

    (void)state;
    if (!has_lazy())
        return;
    built_init(&built);
    built_add(&built, 0, chunks * STASIS_CHUNK_SIZE);
    for (size_t i = 0; i < chunks; i += 2)
        built.ram[0][i * STASIS_CHUNK_SIZE] = 1;
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(rig_try(&rig, fd, (struct stasis_ram_opts){.mode = STASIS_RAM_MAP}, &err), 0);
    assert_int_equal(stasis_ram_mode(rig.ram), STASIS_RAM_LAZY);
    assert_non_null(strstr(stasis_ram_reason(rig.ram), "memory=lazy instead of map"));
    assert_same(&rig, &built);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

/* In a child: the right is given away for good. */
static void try_without_permission(int fd, const struct built *built)
{
    struct stasis_error err = {0};
    struct rig rig;

    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) || has_lazy())
        _exit(STASIS_TEST_SKIPPED);
    for (enum stasis_ram_mode mode = STASIS_RAM_AUTO; mode <= STASIS_RAM_LAZY; mode++) {
        const struct stasis_ram_opts opts = {.mode = mode};
        const char *reason;
        bool lazy = mode == STASIS_RAM_AUTO || mode == STASIS_RAM_LAZY;

        if (rig_try(&rig, fd, opts, &err))
            _exit(1);
        reason = stasis_ram_reason(rig.ram);
        if (lazy && (stasis_ram_mode(rig.ram) != STASIS_RAM_COPY || !reason ||
                     !strstr(reason, "memory=copy instead of lazy") || strchr(reason, '\n')))
            _exit(2);
        if (!lazy && (stasis_ram_mode(rig.ram) != mode || reason))
            _exit(3);
        assert_same(&rig, built);
        rig_fini(&rig);
    }
    _exit(0);
}

static void without_userfaultfd_it_is_copied(void **state)
{
    struct built built;
    struct image image;
    int status, fd;
    pid_t child;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    child = fork();
    assert_true(child >= 0);
    if (!child)
        try_without_permission(fd, &built);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == STASIS_TEST_SKIPPED)
        print_message("left out: cannot give up the right to userfaultfd here\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void bad_arguments_are_refused(void **state)
{
    const struct stasis_ram_opts good = {.size = sizeof(good)}, sized = {.size = 1};
    struct stasis_ram *ram = NULL;
    struct built built;
    void *host[2];

    (void)state;
    built_small(&built);
    memcpy(host, built.ram, sizeof(host));
    assert_int_equal(stasis_ram_attach(built.snap, host, &sized, &ram, NULL), STASIS_ERR_ARG);
    assert_int_equal(stasis_ram_attach(built.snap, host, &good, &ram, NULL), STASIS_ERR_ARG);
    assert_null(ram);
    stasis_ram_free(NULL);
    built_fini(&built);
}

/* ---- what others must not see ---- */

/* Every mapping within the memory says "dd": not in core dumps. */
static void assert_not_dumped(const struct rig *rig)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    unsigned long from = 0, to = 0, in = 0;
    char line[512];

    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps)) {
        char *dash;
        unsigned long start = strtoul(line, &dash, 16);

        if (*dash == '-') { /* the first line of a mapping; flags stand in its last */
            from = start;
            to = strtoul(dash + 1, NULL, 16);
        }
        if (strncmp(line, "VmFlags:", 8) != 0)
            continue;
        for (uint32_t r = 0; r < rig->region_count; r++) {
            uintptr_t host = (uintptr_t)rig->host[r];

            if (to <= host || from >= host + rig->size[r])
                continue;
            in++;
            if (!strstr(line, " dd"))
                fail_msg("%lx-%lx: %s", from, to, line);
        }
    }
    fclose(smaps);
    assert_in_range(in, rig->region_count, 1000);
}

static void memory_is_kept_out_of_core_dumps(void **state)
{
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    for (size_t m = 0; m < MODES; m++) {
        struct rig rig;

        if (!is_possible(modes[m]))
            continue;
        rig_attach(&rig, fd, modes[m], false);
        assert_not_dumped(&rig);
        rig_fini(&rig);
    }
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void a_child_process_sees_no_zeros(void **state)
{
    struct built built;
    struct image image;
    struct rig rig;
    int status, fd;
    pid_t child;

    (void)state;
    if (!has_lazy())
        return;
    built_small(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    rig_attach(&rig, fd, STASIS_RAM_LAZY, false);
    child = fork();
    assert_true(child >= 0);
    if (!child)
        _exit(touch(rig.host[0]));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), SIGSEGV);
    assert_same(&rig, &built);
    rig_fini(&rig);
    close(fd);
    image_fini(&image);
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
        cmocka_unit_test(what_is_not_touched_is_not_loaded),
        cmocka_unit_test(zero_ranges_are_left_to_the_kernel),
        cmocka_unit_test(many_touch_while_it_fills),
        cmocka_unit_test(generations_onto_one_file),
        cmocka_unit_test(too_many_pieces_to_map_become_lazy),
        cmocka_unit_test(without_userfaultfd_it_is_copied),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(memory_is_kept_out_of_core_dumps),
        cmocka_unit_test(a_child_process_sees_no_zeros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
