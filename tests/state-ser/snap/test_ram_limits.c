/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What becomes of a mode that cannot be, and what others than the guest must not see of its RAM.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    for (size_t m = 0; m < RIG_MODES; m++) {
        struct rig rig;

        if (!rig_can(rig_modes[m]))
            continue;
        rig_attach(&rig, fd, rig_modes[m], false);
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
        cmocka_unit_test(too_many_pieces_to_map_become_lazy),
        cmocka_unit_test(without_userfaultfd_it_is_copied),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(memory_is_kept_out_of_core_dumps),
        cmocka_unit_test(a_child_process_sees_no_zeros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
