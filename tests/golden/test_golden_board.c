/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A board that was released stays what it is: for every golden guest this release still builds the
 * board, the CPUID tables of each vCPU, and the firmware's tables, that the guest was started with.
 */
#include "support/cmocka_all.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "stasis/migrate.h"
#include "stasis/snap.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/boot/x86/acpi.h"
#include "vmm/boot/x86/layout.h"
#include "vmm/boot/x86/mptable.h"
#include "vmm/machine/board.h"

#define RAM ((size_t)2 << 20) /* of each guest that make.sh runs */

static unsigned boards, cpus, tables;

static void get(struct stasis_snap *snap, const struct stasis_schema *schema, const char *instance,
                void *state)
{
    struct stasis_error err;

    if (stasis_records_get(stasis_snap_records(snap), schema, instance, state, &err))
        fail_msg("%s", err.msg);
}

/* The default board of the golden one's release, with what that was asked for. */
static void make_like(const struct stasis_board_state *golden, struct stasis_board_state *ret_board)
{
    struct stasis_board_optional optional[STASIS_BOARD_SLOTS];
    struct stasis_board_options options = {
        .vcpus = golden->vcpus,
        .cpu_model = golden->cpu_model,
        .release = golden->release,
        .optional = optional,
        .pl031 = stasis_board_find(golden, stasis_pl031_schema.type, STASIS_BUS_MMIO) != NULL};
    struct stasis_error err;

    for (uint32_t i = 0; i < golden->ram_count; i++)
        options.memory_bytes += golden->ram[i].size;
    if (stasis_board_default(&options, ret_board, &err))
        fail_msg("%s", err.msg);
    for (uint32_t i = ret_board->devices_count; i < golden->devices_count; i++)
        optional[options.optional_count++] =
            (struct stasis_board_optional){golden->devices[i].type, golden->devices[i].instance};
    if (stasis_board_default(&options, ret_board, &err))
        fail_msg("%s", err.msg);
}

static void check_cpus(struct stasis_snap *snap, const struct stasis_board_state *board)
{
    static struct stasis_x86_cpuid_state golden, made;
    char name[16];

    for (uint32_t i = 0; i < board->vcpus; i++) {
        snprintf(name, sizeof(name), "cpu%u", i);
        get(snap, &stasis_x86_cpuid_schema, name, &golden);
        stasis_state_init(&stasis_x86_cpuid_schema, &made);
        assert_true(stasis_x86_cpuid_fixed(board->cpu_model, board->release, &made));
        assert_int_equal(stasis_x86_cpuid_for_vcpu(&made, board, i, NULL), 0);
        assert_memory_equal(&made, &golden, sizeof(made));
        cpus++;
    }
}

/* Of a guest that was loaded as Linux is, and has left the tables alone. */
static void check_tables(struct stasis_snap *snap, const struct stasis_board_state *board)
{
    static uint8_t ram[RAM], made[STASIS_BOOT_MPTABLE_SIZE];
    struct stasis_error err;
    uint64_t rsdp;

    assert_int_equal(stasis_snap_region_at(snap, 0).size, sizeof(ram));
    if (stasis_snap_load_ram(snap, 0, ram, 2, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    if (memcmp(ram + STASIS_BOOT_MPTABLE, "_MP_", 4) != 0)
        return;
    memset(made, 0, sizeof(made));
    assert_int_equal(stasis_mptable_build(board, STASIS_BOOT_MPTABLE, made, sizeof(made), NULL), 0);
    assert_memory_equal(made, ram + STASIS_BOOT_MPTABLE, sizeof(made));
    memset(made, 0, sizeof(made));
    assert_int_equal(
        stasis_acpi_build(board, STASIS_BOOT_ACPI, made, STASIS_BOOT_ACPI_SIZE, &rsdp, NULL), 0);
    assert_memory_equal(made, ram + STASIS_BOOT_ACPI, STASIS_BOOT_ACPI_SIZE);
    tables++;
}

static void check_guest(const char *path)
{
    struct stasis_board_state golden, made;
    struct stasis_snap *snap = NULL;
    struct stasis_error err;

    if (stasis_snap_open(path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    get(snap, &stasis_board_schema, "vm", &golden);
    make_like(&golden, &made);
    assert_memory_equal(&made, &golden, sizeof(made));
    check_cpus(snap, &golden);
    check_tables(snap, &golden);
    stasis_snap_free(snap);
    boards++;
}

static void check_release(const char *release)
{
    char folder[512], path[1024];
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof(folder), STASIS_GOLDEN_DIR "/%s", release);
    dir = opendir(folder);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);

        if (len < 8 || strcmp(entry->d_name + len - 7, ".expect") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%.*s.snap", folder, (int)len - 7, entry->d_name);
        check_guest(path);
    }
    closedir(dir);
}

static void released_boards_stay_what_they_are(void **state)
{
    size_t count;
    const struct stasis_release *all = stasis_release_all(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        check_release(all[i].name);
    assert_true(boards >= 3 * count);
    print_message("%u boards, %u vCPUs, %u sets of tables\n", boards, cpus, tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(released_boards_stay_what_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
