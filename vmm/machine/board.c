/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/board.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/machine/device.h"
#include "vmm/machine/memory.h"

/* The default boards, a row each: what, its name, behaviour version, bus, address, size, GSI.
 * Addresses and lines are a PC's; the PL031 has the first page of the MMIO gap and the line that
 * a PC's clock has. Once released, a board stays what it is. */
static const struct stasis_board_device_state devices_0_1_0[] = {
    {"stasis.serial", "com1", 1, STASIS_BUS_PIO, 0x3f8, 8, 4},
    {"stasis.i8042", "kbd", 1, STASIS_BUS_PIO, 0x60, 5, 1},
    {"stasis.pl031", "rtc", 1, STASIS_BUS_MMIO, STASIS_MMIO_GAP_START, 0x1000, 8},
};

struct default_board {
    const char *release; /* first that had it */
    const struct stasis_board_device_state *devices;
    uint32_t count;
};

#define BOARD(release, devices)                                                                    \
    {                                                                                              \
        (release), (devices), sizeof(devices) / sizeof((devices)[0])                               \
    }

/* Newest first. */
static const struct default_board boards[] = {
    BOARD("0.1.0", devices_0_1_0),
};

static const struct default_board *find_board(const char *release)
{
    for (size_t i = 0; release && i < sizeof(boards) / sizeof(boards[0]); i++) {
        if (!strcmp(boards[i].release, release))
            return &boards[i];
    }
    return release ? NULL : &boards[0];
}

/* Three pages for KVM's own use on Intel CPUs without unrestricted guest, and one for its identity
 * map (KVM api.rst, 4.36 and 4.60): in the gap, below where firmware would be. */
#define TSS_ADDR          UINT64_C(0xfffbd000)
#define IDENTITY_MAP_ADDR UINT64_C(0xfffbc000)

/* What this release supports; more come with the work on several vCPUs. */
#define VCPU_MAX 1u

int stasis_board_default(const struct stasis_board_options *options,
                         struct stasis_board_state *ret_board, struct stasis_error *err)
{
    const struct default_board *from = find_board(options->release);
    struct stasis_board_state board;
    int rc;

    if (!from)
        return stasis_fail(err, STASIS_ERR_ARG, "release %s has no board", options->release);
    stasis_state_init(&stasis_board_schema, &board);
    snprintf(board.name, sizeof(board.name), "%s", "microvm");
    snprintf(board.release, sizeof(board.release), "%s",
             options->release ? options->release : STASIS_VERSION);
    snprintf(board.cpu_model, sizeof(board.cpu_model), "%s", options->cpu_model);
    board.vcpus = options->vcpus;
    board.tss_addr = TSS_ADDR;
    board.identity_map_addr = IDENTITY_MAP_ADDR;
    memcpy(board.devices, from->devices, from->count * sizeof(board.devices[0]));
    board.devices_count = from->count;
    rc = stasis_memory_layout(options->memory_bytes, &board, err);
    if (rc)
        return rc;
    *ret_board = board;
    return 0;
}

int stasis_board_check(const struct stasis_board_state *board, struct stasis_error *err)
{
    if (board->vcpus > VCPU_MAX)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "the board has %" PRIu32 " vCPUs, this release builds %u", board->vcpus,
                           VCPU_MAX);
    if (strcmp(board->cpu_model, "host") != 0 && strcmp(board->cpu_model, "baseline") != 0)
        return stasis_fail(err, STASIS_ERR_VERSION, "the board has the unknown CPU model \"%s\"",
                           board->cpu_model);
    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct stasis_device_type *type;
        int rc = stasis_device_type_find(&board->devices[i], &type, err);

        if (rc)
            return rc;
    }
    return 0;
}
