/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "stasis/cpu_models.h"
#include "stasis/kvm_irq.h"
#include "stasis/migrate.h"
#include "vmm/arch/arch.h"
#include "vmm/machine/board.h"
#include "stasis/kvm_memory.h"

static void make(struct stasis_board_state *board)
{
    const struct stasis_board_options options = {
        .memory_bytes = 64 << 20, .vcpus = 1, .cpu_model = "baseline"};

    assert_int_equal(stasis_board_default(&options, board, NULL), 0);
}

static void default_passes_every_check(void **state)
{
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    make(&board);
    assert_int_equal(stasis_state_check(&stasis_board_schema, &board, &err), 0);
    assert_int_equal(stasis_board_check(&board, &err), 0);
    assert_string_equal(board.cpu_model, "baseline");
    assert_string_equal(board.release, STASIS_VERSION);
    assert_int_equal(board.vcpus, 1);
    assert_int_equal(board.ram_count, 1);
    assert_int_equal(board.ram[0].size, 64 << 20);
}

static void assert_vcpus_refused(const char *release, uint32_t vcpus)
{
    const struct stasis_board_options options = {
        .memory_bytes = 64 << 20, .vcpus = vcpus, .cpu_model = "host", .release = release};
    struct stasis_board_state board;
    struct stasis_error err;

    assert_int_equal(stasis_board_default(&options, &board, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "leave out board.release"));
}

static void vcpus_of_this_release(void **state)
{
    struct stasis_board_options options = {
        .memory_bytes = 64 << 20, .vcpus = 254, .cpu_model = "host"};
    struct stasis_board_state board;

    (void)state;
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    assert_int_equal(board.vcpus, 254);
    assert_int_equal(stasis_board_check(&board, NULL), 0);
    assert_vcpus_refused(NULL, 0);
    assert_vcpus_refused(NULL, 255);
}

/* Those that the release knows, and no other. */
static void assert_cpu_models(const struct stasis_release *release)
{
    size_t count;
    const struct stasis_cpu_model *models = stasis_cpu_model_all(&count);

    for (size_t i = 0; i < count; i++) {
        const struct stasis_board_options options = {.memory_bytes = 64 << 20,
                                                     .vcpus = 1,
                                                     .cpu_model = models[i].name,
                                                     .release = release->name};
        bool is_newer = stasis_cpu_model_is_newer(models[i].name, release->cpu_models);
        struct stasis_board_state board;
        struct stasis_error err;

        assert_int_equal(stasis_board_default(&options, &board, &err),
                         is_newer ? STASIS_ERR_ARG : 0);
        if (is_newer)
            assert_non_null(strstr(err.msg, "give host or baseline, or leave out board.release"));
    }
}

/* Every release has its board, which is what the release table says it knows. */
static void boards_of_all_releases(void **state)
{
    size_t count;
    const struct stasis_release *all = stasis_release_all(&count);

    (void)state;
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        const struct stasis_board_options options = {.memory_bytes = 64 << 20,
                                                     .vcpus = all[i].vcpus,
                                                     .cpu_model = "host",
                                                     .release = all[i].name};
        struct stasis_board_state board;

        assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
        assert_string_equal(board.release, all[i].name);
        assert_vcpus_refused(all[i].name, 0);
        assert_vcpus_refused(all[i].name, all[i].vcpus + 1);
        assert_cpu_models(&all[i]);
        for (uint32_t d = 0; d < board.devices_count; d++) {
            const struct stasis_release_record *row =
                stasis_release_record_find(&all[i], board.devices[d].type);

            assert_non_null(row);
            assert_true(row->behaviour >= board.devices[d].version);
        }
    }
}

static void a_release_without_a_board(void **state)
{
    const struct stasis_board_options options = {
        .memory_bytes = 64 << 20, .vcpus = 1, .cpu_model = "host", .release = "0.0.0"};
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_board_default(&options, &board, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "release 0.0.0 has no board");
}

/* A guest's drivers depend on these addresses: a new default is a new board. */
static void default_devices(void **state)
{
    static const struct stasis_board_device_state expected[] = {
        {"stasis.serial", "com1", 1, 0, 0x3f8, 8, 4},
        {"stasis.i8042", "kbd", 1, 0, 0x60, 5, 1},
        {"stasis.mc146818", "rtc", 1, 0, 0x70, 2, 8},
        {"stasis.acpi_pm", "pm", 1, 0, 0x600, 10, 9},
        {"stasis.vmgenid", "vmgenid", 1, 1, 0xef000, 0x1000, UINT32_MAX}, /* RAM */
        {"stasis.virtio_rng", "rng", 1, 1, 0xd0001000, 0x1000, 16},
        {"stasis.pvpanic", "pvpanic", 1, 0, 0x505, 1, UINT32_MAX},
        {"stasis.acpi_timer", "timer", 1, 0, 0x60c, 4, UINT32_MAX},
    };
    static const struct stasis_board_device_state of_0_1_0[] = {
        {"stasis.serial", "com1", 1, 0, 0x3f8, 8, 4},
        {"stasis.i8042", "kbd", 1, 0, 0x60, 5, 1},
        {"stasis.pl031", "rtc", 1, 1, 0xd0000000, 0x1000, 8},
    };
    struct stasis_board_options options = {
        .memory_bytes = 64 << 20, .vcpus = 1, .cpu_model = "host", .release = "0.1.0"};
    struct stasis_board_state board;

    (void)state;
    make(&board);
    assert_int_equal(board.devices_count, sizeof(expected) / sizeof(expected[0]));
    assert_memory_equal(board.devices, expected, sizeof(expected));
    assert_true(stasis_board_has(&board, "stasis.acpi_timer", "timer")); /* the last one */
    assert_false(stasis_board_has(&board, "stasis.acpi_timer", "rng"));
    assert_false(stasis_board_has(&board, "stasis.serial", "com2"));
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    assert_int_equal(board.devices_count, 3); /* for ever */
    assert_memory_equal(board.devices, of_0_1_0, sizeof(of_0_1_0));
    options.release = "0.2.0";
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    assert_int_equal(board.devices_count, 7);
    assert_memory_equal(board.devices, expected, 7 * sizeof(expected[0]));
}

static void a_pl031_is_in_place_of_the_clock(void **state)
{
    static const struct stasis_board_device_state expected = {"stasis.pl031", "rtc",  1, 1,
                                                              0xd0000000,     0x1000, 12};
    struct stasis_board_options options = {
        .memory_bytes = 64 << 20, .vcpus = 1, .cpu_model = "host", .pl031 = true};
    struct stasis_board_state board, other;

    (void)state;
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    assert_int_equal(stasis_board_check(&board, NULL), 0);
    make(&other);
    assert_int_equal(board.devices_count, other.devices_count);
    for (uint32_t i = 0; i < board.devices_count; i++) {
        const void *same = strcmp(other.devices[i].instance, "rtc") != 0 ? &other.devices[i]
                                                                         : (const void *)&expected;

        assert_memory_equal(&board.devices[i], same, sizeof(expected));
        assert_true(!i || board.devices[i].gsi != expected.gsi || i == 2);
    }
    options.release = "0.1.0";
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    assert_int_equal(board.devices_count, 3);
    assert_int_equal(board.devices[2].gsi, 8);
}

#define DEVICES 8 /* that are on every board */

static void a_disk_is_behind_the_others(void **state)
{
    static const struct stasis_board_device_state expected = {"stasis.virtio_blk", "data", 1, 1,
                                                              0xd0002000,          0x1000, 17};
    const struct stasis_board_optional disk = {stasis_virtio_blk_schema.type, "data"};
    struct stasis_board_options options = {.memory_bytes = 64 << 20,
                                           .vcpus = 1,
                                           .cpu_model = "host",
                                           .optional = &disk,
                                           .optional_count = 1};
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    assert_int_equal(board.devices_count, DEVICES + 1);
    assert_memory_equal(&board.devices[DEVICES], &expected, sizeof(expected));
    options.release = "0.1.0";
    assert_int_equal(stasis_board_default(&options, &board, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "the board of release 0.1.0 cannot have device data: leave that "
                                 "out, or leave out board.release");
}

static const struct stasis_board_optional optional[STASIS_BOARD_SLOTS + 1] = {
    {"stasis.virtio_blk", "a"}, {"stasis.virtio_blk", "b"}, {"stasis.virtio_rng", "c"},
    {"stasis.virtio_blk", "d"}, {"stasis.virtio_blk", "e"}, {"stasis.virtio_blk", "f"},
    {"stasis.virtio_blk", "g"}, {"stasis.virtio_blk", "h"}, {"stasis.virtio_blk", "i"},
    {"stasis.virtio_blk", "j"}, {"stasis.virtio_blk", "k"}, {"stasis.virtio_blk", "l"},
    {"stasis.virtio_blk", "m"},
};

static bool is_alone(const struct stasis_board_state *board, uint32_t index)
{
    const struct stasis_board_device_state *row = &board->devices[index];

    for (uint32_t i = 0; i < board->devices_count; i++)
        if (i != index &&
            (board->devices[i].gsi == row->gsi ||
             (board->devices[i].bus == row->bus && board->devices[i].base == row->base)))
            return false;
    return row->gsi < 24 && row->gsi != 2;
}

static void every_place_has_its_page_and_line(void **state)
{
    struct stasis_board_options options = {.memory_bytes = 64 << 20,
                                           .vcpus = 1,
                                           .cpu_model = "host",
                                           .optional = optional,
                                           .optional_count = STASIS_BOARD_SLOTS};
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    assert_int_equal(stasis_board_check(&board, NULL), 0);
    assert_int_equal(board.devices_count, DEVICES + STASIS_BOARD_SLOTS);
    for (uint32_t i = DEVICES; i < board.devices_count; i++) {
        assert_string_equal(board.devices[i].type, optional[i - DEVICES].type);
        assert_string_equal(board.devices[i].instance, optional[i - DEVICES].instance);
        assert_int_equal(board.devices[i].base, 0xd0002000 + (i - DEVICES) * 0x1000);
        assert_true(is_alone(&board, i));
    }
    options.optional_count++;
    assert_int_equal(stasis_board_default(&options, &board, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "the board has places for 12 disks and the like, and none for m: "
                                 "leave it out");
}

/* Of an optional device. */
static void refuse_name(const char *name, const char *message)
{
    const struct stasis_board_optional two[] = {{"stasis.virtio_blk", "a"},
                                                {"stasis.virtio_rng", name}};
    const struct stasis_board_options options = {.memory_bytes = 64 << 20,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = two,
                                                 .optional_count = 2};
    struct stasis_board_state board;
    struct stasis_error err;

    assert_int_equal(stasis_board_default(&options, &board, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, message);
}

static void every_device_has_a_name_of_its_own(void **state)
{
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    refuse_name("a", "two devices have the name a: give one of them another id");
    refuse_name("com1", "two devices have the name com1: give one of them another id");
    refuse_name("", "device name : give 1 to 32 of a-z, 0-9, ., _ and -");
    refuse_name(
        "abcdefghijklmnopqrstuvwxyz0123456",
        "device name abcdefghijklmnopqrstuvwxyz0123456: give 1 to 32 of a-z, 0-9, ., _ and -");
    refuse_name("Root", "device name Root: give 1 to 32 of a-z, 0-9, ., _ and -");
    make(&board); /* of a file */
    snprintf(board.devices[5].instance, sizeof(board.devices[5].instance), "kbd");
    assert_int_equal(stasis_board_check(&board, &err), STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "two devices have the name kbd; restore another snapshot");
    make(&board);
    board.devices[1].gsi = board.devices[0].gsi;
    assert_int_equal(stasis_board_check(&board, &err), STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "kbd and com1 are on one interrupt line, 4; restore another "
                                 "snapshot");
    board.devices[0].gsi = board.devices[1].gsi = STASIS_GSI_NONE;
    assert_int_equal(stasis_board_check(&board, &err), 0);
}

/* What KVM keeps for itself lies in the gap, and in nobody's way. */
static void kvm_pages_are_in_the_gap(void **state)
{
    struct stasis_board_state board;

    (void)state;
    make(&board);
    assert_in_range(board.tss_addr, STASIS_MMIO_GAP_START, STASIS_MMIO_GAP_END - 0x3000);
    assert_in_range(board.identity_map_addr, STASIS_MMIO_GAP_START, STASIS_MMIO_GAP_END - 0x1000);
    assert_true(board.identity_map_addr + 0x1000 <= board.tss_addr ||
                board.tss_addr + 0x3000 <= board.identity_map_addr);
    for (uint32_t i = 0; i < board.devices_count; i++) {
        const struct stasis_board_device_state *row = &board.devices[i];

        if (row->bus == STASIS_BUS_MMIO && strcmp(row->type, "stasis.vmgenid") != 0)
            assert_true(row->base >= STASIS_MMIO_GAP_START &&
                        row->base + row->size <= board.identity_map_addr);
    }
}

static void bad_memory_is_refused(void **state)
{
    struct stasis_board_options options = {.memory_bytes = 0, .vcpus = 1, .cpu_model = "host"};
    struct stasis_board_state board = {.vcpus = 77};

    (void)state;
    assert_int_equal(stasis_board_default(&options, &board, NULL), STASIS_ERR_ARG);
    assert_int_equal(board.vcpus, 77);
}

/* Both sides of each bound. */
static void memory_is_bounded(void **state)
{
    static const struct {
        uint64_t bytes;
        int rc;
    } cases[] = {{0, STASIS_ERR_ARG},
                 {4095, STASIS_ERR_ARG},
                 {4096, 0},
                 {4097, STASIS_ERR_ARG},
                 {STASIS_RAM_MAX - 4096, 0},
                 {STASIS_RAM_MAX, 0},
                 {STASIS_RAM_MAX + 4096, STASIS_ERR_ARG},
                 {2 * STASIS_RAM_MAX, STASIS_ERR_ARG}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct stasis_board_options options = {
            .memory_bytes = cases[i].bytes, .vcpus = 1, .cpu_model = "host"};
        struct stasis_board_state board;

        assert_int_equal(stasis_board_default(&options, &board, NULL), cases[i].rc);
    }
}

enum flaw { TYPE, VERSION_0, VERSION_2, VERSION_MAX, CPU_MODEL, VCPUS, FLAW_COUNT };

static void unknown_boards_are_refused(void **state)
{
    static const char *const word[FLAW_COUNT] = {"stasis.sound",       "version 0", "version 2",
                                                 "version 4294967295", "\"cray\"",  "255 vCPUs"};

    (void)state;
    for (enum flaw flaw = 0; flaw < FLAW_COUNT; flaw++) {
        struct stasis_board_state board;
        struct stasis_error err;

        make(&board);
        if (flaw == TYPE)
            snprintf(board.devices[2].type, sizeof(board.devices[2].type), "stasis.sound");
        if (flaw == VERSION_0)
            board.devices[1].version = 0;
        if (flaw == VERSION_2)
            board.devices[1].version = 2;
        if (flaw == VERSION_MAX)
            board.devices[0].version = UINT32_MAX;
        if (flaw == CPU_MODEL)
            snprintf(board.cpu_model, sizeof(board.cpu_model), "cray");
        if (flaw == VCPUS)
            board.vcpus = 255;
        assert_int_equal(stasis_board_check(&board, &err), STASIS_ERR_VERSION);
        assert_non_null(strstr(err.msg, word[flaw]));
    }
}

/* A generation id is written into RAM, which a hostile file's board may not have there. */
static void generation_id_beside_ram(void **state)
{
    static const struct {
        uint64_t base;
        int code;
    } cases[] = {
        {0, 0},
        {(64 << 20) - 16, 0},
        {(64 << 20) - 15, STASIS_ERR_CORRUPT},
        {STASIS_MMIO_GAP_START, STASIS_ERR_CORRUPT},
        {UINT64_MAX, STASIS_ERR_CORRUPT},
    };
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    make(&board);
    assert_string_equal(board.devices[4].type, "stasis.vmgenid");
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        board.devices[4].base = cases[i].base;
        assert_int_equal(stasis_board_check(&board, &err), cases[i].code);
        if (cases[i].code)
            assert_non_null(strstr(err.msg, "device vmgenid is at 0x"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_passes_every_check),
        cmocka_unit_test(default_devices),
        cmocka_unit_test(a_pl031_is_in_place_of_the_clock),
        cmocka_unit_test(a_disk_is_behind_the_others),
        cmocka_unit_test(every_place_has_its_page_and_line),
        cmocka_unit_test(every_device_has_a_name_of_its_own),
        cmocka_unit_test(kvm_pages_are_in_the_gap),
        cmocka_unit_test(bad_memory_is_refused),
        cmocka_unit_test(unknown_boards_are_refused),
        cmocka_unit_test(boards_of_all_releases),
        cmocka_unit_test(vcpus_of_this_release),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(a_release_without_a_board),
        cmocka_unit_test(generation_id_beside_ram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
