/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/board.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stasis/cpu_models.h"
#include "stasis/kvm_irq.h"
#include "vmm/arch/arch.h"
#include "vmm/machine/device.h"

/* The default boards, a row each: what, its name, behaviour version, bus, address, size, GSI.
 * Addresses and lines are a PC's; the PL031 has the first page of the MMIO gap and the line that
 * a PC's clock has. Once released, a board stays what it is. */
static const struct stasis_board_device_state devices_0_1_0[] = {
    {"stasis.serial", "com1", 1, STASIS_BUS_PIO, 0x3f8, 8, 4},
    {"stasis.i8042", "kbd", 1, STASIS_BUS_PIO, 0x60, 5, 1},
    {"stasis.pl031", "rtc", 1, STASIS_BUS_MMIO, STASIS_MMIO_GAP_START, 0x1000, 8},
};

/* The SCI is on the line that Linux expects it on; the generation id at the end of what the boot
 * loader has for ACPI tables; virtio devices have pages and lines behind all others. The board of
 * 0.2.0 is this one without the last row. */
static const struct stasis_board_device_state devices_0_3_0[] = {
    {"stasis.serial", "com1", 1, STASIS_BUS_PIO, 0x3f8, 8, 4},
    {"stasis.i8042", "kbd", 1, STASIS_BUS_PIO, 0x60, 5, 1},
    {"stasis.mc146818", "rtc", 1, STASIS_BUS_PIO, 0x70, 2, 8},
    {"stasis.acpi_pm", "pm", 1, STASIS_BUS_PIO, 0x600, 10, 9},
    {"stasis.vmgenid", "vmgenid", 1, STASIS_BUS_MMIO, STASIS_BOARD_VMGENID, 0x1000,
     STASIS_GSI_NONE},
    {"stasis.virtio_rng", "rng", 1, STASIS_BUS_MMIO, STASIS_MMIO_GAP_START + 0x1000, 0x1000, 16},
    {"stasis.pvpanic", "pvpanic", 1, STASIS_BUS_PIO, 0x505, 1, STASIS_GSI_NONE},
    {"stasis.acpi_timer", "timer", 1, STASIS_BUS_PIO, 0x60c, 4, STASIS_GSI_NONE},
};

/* In place of the clock of a PC, by option: the line is that of a PC's mouse, which has none here.
 */
static const struct stasis_board_device_state pl031_0_2_0 = {
    "stasis.pl031", "rtc", 1, STASIS_BUS_MMIO, STASIS_MMIO_GAP_START, 0x1000, 12};

/* Optional devices have the pages behind, and these lines: first those that no other device of a PC
 * had, then those that none on this board has. All are level-triggered (boot/x86/lines.h). */
#define SLOT_PAGE(i) (STASIS_MMIO_GAP_START + UINT64_C(0x2000) + (i)*UINT64_C(0x1000))
static const uint32_t slot_lines[STASIS_BOARD_SLOTS] = {17, 18, 19, 20, 21, 22,
                                                        23, 5,  6,  7,  10, 11};

struct default_board {
    const char *release; /* first that had it */
    const struct stasis_board_device_state *devices;
    uint32_t count;
    uint32_t vcpus; /* at most */
    bool has_slots;
};

#define COUNT(devices) (sizeof(devices) / sizeof((devices)[0]))

/* Newest first. What else a release's board is stands in arch/x86/cpuid_models.c. */
static const struct default_board boards[] = {
    {"0.3.0", devices_0_3_0, COUNT(devices_0_3_0), STASIS_VCPUS_MAX, true},
    {"0.2.0", devices_0_3_0, COUNT(devices_0_3_0) - 1, STASIS_VCPUS_MAX, true},
    {"0.1.0", devices_0_1_0, COUNT(devices_0_1_0), 1, false},
};

static const struct default_board *find_board(const char *release)
{
    for (size_t i = 0; release && i < sizeof(boards) / sizeof(boards[0]); i++) {
        if (!strcmp(boards[i].release, release))
            return &boards[i];
    }
    return release ? NULL : &boards[0];
}

bool stasis_board_takes_optional(const char *release)
{
    const struct default_board *board = find_board(release);

    return board && board->has_slots;
}

static int check_options(const struct default_board *from,
                         const struct stasis_board_options *options, struct stasis_error *err)
{
    char names[STASIS_CPU_MODEL_NAMES_SIZE];

    if (!options->vcpus || options->vcpus > from->vcpus)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the board of release %s has at least 1 vCPU and at most %" PRIu32
                           ", not %" PRIu32 ": change vcpu.num, or leave out board.release",
                           from->release, from->vcpus, options->vcpus);
    stasis_cpu_model_names(from->release, names, sizeof(names));
    if (stasis_cpu_model_is_newer(options->cpu_model, from->release))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the board of release %s cannot have cpu.model=%s: give %s, or leave "
                           "out board.release",
                           from->release, options->cpu_model, names);
    if (options->optional_count && !from->has_slots)
        return stasis_fail(
            err, STASIS_ERR_ARG,
            "the board of release %s cannot have device %s: leave that out, or leave out "
            "board.release",
            from->release, options->optional[0].instance);
    if (options->optional_count > STASIS_BOARD_SLOTS)
        return stasis_fail(
            err, STASIS_ERR_ARG,
            "the board has places for %d disks and the like, and none for %s: leave it out",
            STASIS_BOARD_SLOTS, options->optional[STASIS_BOARD_SLOTS].instance);
    return 0;
}

static int add_optional(const struct stasis_board_optional *optional, uint32_t slot,
                        struct stasis_board_state *board, struct stasis_error *err)
{
    struct stasis_board_device_state *row = &board->devices[board->devices_count];
    size_t len = strlen(optional->instance);

    /* As the record of its state will be named. */
    if (!len || len >= sizeof(row->instance) ||
        optional->instance[strspn(optional->instance, "abcdefghijklmnopqrstuvwxyz0123456789._-")])
        return stasis_fail(err, STASIS_ERR_ARG,
                           "device name %.60s: give 1 to %zu of a-z, 0-9, ., _ and -",
                           optional->instance, sizeof(row->instance) - 1);
    *row = (struct stasis_board_device_state){.version = 1,
                                              .bus = STASIS_BUS_MMIO,
                                              .base = SLOT_PAGE(slot),
                                              .size = 0x1000,
                                              .gsi = slot_lines[slot]};
    snprintf(row->type, sizeof(row->type), "%s", optional->type);
    memcpy(row->instance, optional->instance, len + 1);
    board->devices_count++;
    return 0;
}

/* Boards of 0.1.0 have one anyway, where it has always been. */
static void replace_clock(struct stasis_board_state *board)
{
    for (uint32_t i = 0; i < board->devices_count; i++)
        if (!strcmp(board->devices[i].type, stasis_mc146818_schema.type))
            board->devices[i] = pl031_0_2_0;
}

/* The first name that two devices have, or NULL. */
static const char *find_twin(const struct stasis_board_state *board)
{
    for (uint32_t i = 0; i < board->devices_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (!strcmp(board->devices[i].instance, board->devices[j].instance))
                return board->devices[i].instance;
    return NULL;
}

static int add_devices(const struct default_board *from, const struct stasis_board_options *options,
                       struct stasis_board_state *board, struct stasis_error *err)
{
    const char *twin;
    int rc = 0;

    memcpy(board->devices, from->devices, from->count * sizeof(board->devices[0]));
    board->devices_count = from->count;
    if (options->pl031)
        replace_clock(board);
    for (uint32_t i = 0; !rc && i < options->optional_count; i++)
        rc = add_optional(&options->optional[i], i, board, err);
    if (rc)
        return rc;
    twin = find_twin(board);
    if (twin)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "two devices have the name %s: give one of them another id", twin);
    return 0;
}

int stasis_board_set_ram(uint64_t size, struct stasis_board_state *board, struct stasis_error *err)
{
    uint64_t low = size < STASIS_MMIO_GAP_START ? size : STASIS_MMIO_GAP_START;

    if (!size || size % STASIS_MEMORY_PAGE || size > STASIS_RAM_MAX)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "memory of %" PRIu64 " bytes: give a multiple of 4 KiB up to %" PRIu64
                           " TiB, the most that a snapshot holds",
                           size, STASIS_RAM_MAX >> 40);
    board->ram[0] = (struct stasis_ram_region_state){.gpa = 0, .size = low};
    board->ram_count = 1;
    if (size > low) {
        board->ram[1] =
            (struct stasis_ram_region_state){.gpa = STASIS_MMIO_GAP_END, .size = size - low};
        board->ram_count = 2;
    }
    return 0;
}

int stasis_board_refuse_memory(int rc, const struct stasis_error *why, struct stasis_error *err)
{
    if (rc != STASIS_ERR_UNAVAILABLE) {
        if (err)
            *err = *why;
        return rc;
    }
    (void)stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                      "%s; free memory on this host, or start guests with less by "
                      "memory.size_mib",
                      why->msg);
    if (err)
        err->os_errno = why->os_errno;
    return rc;
}

int stasis_board_map_ram(const struct stasis_board_state *board, struct stasis_memory *ret_memory,
                         struct stasis_error *err)
{
    struct stasis_memory_region layout[STASIS_MEMORY_REGION_MAX];
    struct stasis_error why;
    int rc;

    _Static_assert(sizeof(board->ram) / sizeof(board->ram[0]) <= STASIS_MEMORY_REGION_MAX,
                   "a board has more regions of RAM than a machine can");
    for (uint32_t i = 0; i < board->ram_count; i++)
        layout[i] =
            (struct stasis_memory_region){.gpa = board->ram[i].gpa, .size = board->ram[i].size};
    rc = stasis_memory_init(ret_memory, layout, board->ram_count, &why);
    return rc ? stasis_board_refuse_memory(rc, &why, err) : 0;
}

int stasis_board_default(const struct stasis_board_options *options,
                         struct stasis_board_state *ret_board, struct stasis_error *err)
{
    const struct default_board *from = find_board(options->release);
    struct stasis_board_state board;
    int rc;

    if (!from)
        return stasis_fail(err, STASIS_ERR_ARG, "release %s has no board", options->release);
    rc = check_options(from, options, err);
    if (rc)
        return rc;
    stasis_state_init(&stasis_board_schema, &board);
    snprintf(board.name, sizeof(board.name), "%s", "microvm");
    snprintf(board.release, sizeof(board.release), "%s",
             options->release ? options->release : STASIS_VERSION);
    snprintf(board.cpu_model, sizeof(board.cpu_model), "%s", options->cpu_model);
    board.vcpus = options->vcpus;
    stasis_arch_board_init(&board);
    rc = add_devices(from, options, &board, err);
    if (!rc)
        rc = stasis_board_set_ram(options->memory_bytes, &board, err);
    if (rc)
        return rc;
    *ret_board = board;
    return 0;
}

static bool is_ram(const struct stasis_board_state *board, uint64_t gpa, uint64_t len)
{
    bool is = false;

    for (uint32_t i = 0; !is && i < board->ram_count; i++)
        is = gpa >= board->ram[i].gpa && len <= board->ram[i].size &&
             gpa - board->ram[i].gpa <= board->ram[i].size - len;
    return is;
}

const struct stasis_board_device_state *stasis_board_find(const struct stasis_board_state *board,
                                                          const char *type, uint32_t bus)
{
    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct stasis_board_device_state *device = &board->devices[i];

        if (device->bus == bus && !strcmp(device->type, type))
            return device;
    }
    return NULL;
}

/* Neither range is empty, nor wraps around (stasis_check_board_device()). */
bool stasis_board_has(const struct stasis_board_state *board, const char *type,
                      const char *instance)
{
    for (uint32_t i = 0; i < board->devices_count; i++)
        if (!strcmp(board->devices[i].type, type) && !strcmp(board->devices[i].instance, instance))
            return true;
    return false;
}

static bool overlap(const struct stasis_board_device_state *a,
                    const struct stasis_board_device_state *b)
{
    return a->bus == b->bus && a->base <= b->base + (b->size - 1) &&
           b->base <= a->base + (a->size - 1);
}

/* As the bus would: but that is made behind KVM, of which this is no error. */
static int check_ranges(const struct stasis_board_state *board, struct stasis_error *err)
{
    for (uint32_t i = 0; i < board->devices_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (overlap(&board->devices[i], &board->devices[j]))
                return stasis_fail(err, STASIS_ERR_CORRUPT,
                                   "%s and %s overlap at 0x%" PRIx64 "; restore another snapshot",
                                   board->devices[i].instance, board->devices[j].instance,
                                   board->devices[i].base);
    return 0;
}

/* A line is as high as the last device on it said: two would lose each other's interrupts. */
static int check_lines(const struct stasis_board_state *board, struct stasis_error *err)
{
    for (uint32_t i = 0; i < board->devices_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (board->devices[i].gsi == board->devices[j].gsi &&
                board->devices[i].gsi != STASIS_GSI_NONE)
                return stasis_fail(
                    err, STASIS_ERR_CORRUPT,
                    "%s and %s are on one interrupt line, %" PRIu32 "; restore another snapshot",
                    board->devices[i].instance, board->devices[j].instance, board->devices[i].gsi);
    return 0;
}

int stasis_board_check(const struct stasis_board_state *board, struct stasis_error *err)
{
    const char *twin = find_twin(board);
    int rc = stasis_arch_board_check(board, err);

    if (!rc && twin)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "two devices have the name %s; restore another snapshot", twin);
    if (!rc)
        rc = check_ranges(board, err);
    if (!rc)
        rc = check_lines(board, err);
    for (uint32_t i = 0; !rc && i < board->devices_count; i++) {
        const struct stasis_device_type *type;

        rc = stasis_device_type_find(&board->devices[i], &type, err);
        if (!rc && type->ram_bytes && !is_ram(board, board->devices[i].base, type->ram_bytes))
            rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                             "device %s is at 0x%" PRIx64 ", where the board has no RAM; restore "
                             "another snapshot",
                             board->devices[i].instance, board->devices[i].base);
    }
    return rc;
}
