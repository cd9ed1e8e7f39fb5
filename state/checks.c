/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "checks.h"

#include <inttypes.h>
#include <string.h>

#include "stasis/state.h"

int stasis_check_ram_region(const void *state, struct stasis_error *err)
{
    const struct stasis_ram_region_state *region = state;

    if (!region->size || region->gpa + region->size < region->gpa)
        return stasis_fail(err, STASIS_ERR_RANGE, "RAM at 0x%" PRIx64 " is empty or wraps around",
                           region->gpa);
    return 0;
}

int stasis_check_board_device(const void *state, struct stasis_error *err)
{
    const struct stasis_board_device_state *device = state;

    if (!device->type[0] || !device->instance[0])
        return stasis_fail(err, STASIS_ERR_RANGE, "a device without type or instance");
    if (!device->size || device->base + device->size < device->base ||
        (device->bus == STASIS_BUS_PIO && device->base + device->size > 0x10000))
        return stasis_fail(err, STASIS_ERR_RANGE, "%s: address range is empty or leaves its bus",
                           device->instance);
    return 0;
}

static int check_board_ram(const struct stasis_board_state *board, struct stasis_error *err)
{
    if (!board->ram_count)
        return stasis_fail(err, STASIS_ERR_RANGE, "a board without RAM");
    for (uint32_t i = 1; i < board->ram_count; i++) {
        const struct stasis_ram_region_state *before = &board->ram[i - 1];

        if (board->ram[i].gpa < before->gpa + before->size)
            return stasis_fail(err, STASIS_ERR_RANGE,
                               "ram[%" PRIu32 "] overlaps or is not ascending", i);
    }
    return 0;
}

int stasis_check_board(const void *state, struct stasis_error *err)
{
    const struct stasis_board_state *board = state;

    if (!board->vcpus)
        return stasis_fail(err, STASIS_ERR_RANGE, "a board without vCPUs");
    for (uint32_t i = 0; i < board->devices_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (!strcmp(board->devices[i].type, board->devices[j].type) &&
                !strcmp(board->devices[i].instance, board->devices[j].instance))
                return stasis_fail(err, STASIS_ERR_RANGE, "device %s %s is on the board twice",
                                   board->devices[i].type, board->devices[i].instance);
        }
    }
    return check_board_ram(board, err);
}

/* Without FCR bit 0 there is one holding register each way (PC16550D, FIFO control register). */
static int check_serial_fifos(const struct stasis_serial_state *serial, struct stasis_error *err)
{
    uint32_t capacity = serial->fcr & 1 ? sizeof(serial->rx_fifo) : 1;

    if (serial->fcr && !(serial->fcr & 1))
        return stasis_fail(err, STASIS_ERR_RANGE, "fcr 0x%02x has bits that bit 0 should enable",
                           serial->fcr);
    if (serial->rx_fifo_len > capacity)
        return stasis_fail(err, STASIS_ERR_RANGE, "rx_fifo is off but holds %" PRIu32 " bytes",
                           serial->rx_fifo_len);
    if (serial->tx_fifo_len > capacity)
        return stasis_fail(err, STASIS_ERR_RANGE, "tx_fifo is off but holds %" PRIu32 " bytes",
                           serial->tx_fifo_len);
    return 0;
}

int stasis_check_serial(const void *state, struct stasis_error *err)
{
    const struct stasis_serial_state *serial = state;
    uint32_t len = serial->rx_fifo_len;
    uint64_t waiting = len < 64 ? (UINT64_C(1) << len) - 1 : UINT64_MAX;
    int rc = check_serial_fifos(serial, err);

    if (rc)
        return rc;
    /* A break at the top of the FIFO is shown in LSR already. */
    if (serial->rx_breaks & ~(waiting & ~UINT64_C(1)))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "rx_breaks 0x%" PRIx64 " marks bytes that do not wait behind another",
                           serial->rx_breaks);
    if (serial->thre_pending && (!(serial->ier & 2) || serial->tx_fifo_len))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "thre_pending with bytes in tx_fifo or ier bit 1 clear");
    return 0;
}

static bool i8042_command_takes_data(uint8_t command)
{
    return command == 0x60 || (command >= 0xd1 && command <= 0xd3);
}

int stasis_check_i8042(const void *state, struct stasis_error *err)
{
    const struct stasis_i8042_state *i8042 = state;

    if (!i8042->output_full && (i8042->output || i8042->timeout))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "output or timeout is set though output_full is 0");
    if (i8042->pending_command && !i8042_command_takes_data(i8042->pending_command))
        return stasis_fail(err, STASIS_ERR_RANGE, "pending_command 0x%02x takes no data byte",
                           i8042->pending_command);
    if (i8042->pending_command && !i8042->last_was_command)
        return stasis_fail(err, STASIS_ERR_RANGE, "pending_command though the last write was data");
    if (!(i8042->output_port & 1))
        return stasis_fail(err, STASIS_ERR_RANGE, "output_port holds the machine in reset");
    return 0;
}

/* SET in register B, or the divider of register A in reset. */
static bool mc146818_is_stopped(const struct stasis_mc146818_state *rtc)
{
    return rtc->ram[0x0b] & 0x80 || (rtc->ram[0x0a] & 0x60) == 0x60;
}

int stasis_check_mc146818(const void *state, struct stasis_error *err)
{
    static const uint8_t time_registers[] = {0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, 0x32};
    const struct stasis_mc146818_state *rtc = state;
    bool stopped = mc146818_is_stopped(rtc);

    if (rtc->ram[0x0a] & 0x80 || rtc->ram[0x0c] & 0x8f || rtc->ram[0x0d])
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "ram holds bits that registers A, C and D do not keep");
    for (size_t i = 0; !stopped && i < sizeof(time_registers); i++) {
        if (rtc->ram[time_registers[i]])
            return stasis_fail(err, STASIS_ERR_RANGE, "ram holds a time though the clock runs");
    }
    if (rtc->counter_ns >= (stopped ? UINT64_C(1) : UINT64_C(16725225600)) * UINT64_C(1000000000))
        return stasis_fail(err, STASIS_ERR_RANGE, "counter_ns is beyond %s",
                           stopped ? "a second" : "the year 2499");
    return 0;
}

int stasis_check_pl031(const void *state, struct stasis_error *err)
{
    const struct stasis_pl031_state *rtc = state;

    if (rtc->counter_ns / UINT64_C(1000000000) > UINT32_MAX)
        return stasis_fail(err, STASIS_ERR_RANGE, "counter_ns is beyond 2^32 seconds");
    return 0;
}

/* A component is there exactly when its XSTATE_BV bit says so. */
static int check_component(uint64_t xstate_bv, unsigned bit, uint32_t len, uint32_t full,
                           const char *name, struct stasis_error *err)
{
    uint32_t want = xstate_bv >> bit & 1 ? full : 0;

    if (len != want)
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "%s has %" PRIu32 " bytes where xstate_bv asks %" PRIu32, name, len,
                           want);
    return 0;
}

int stasis_check_x86_xsave(const void *state, struct stasis_error *err)
{
    const struct stasis_x86_xsave_state *x = state;
    const uint64_t known = 0x2ff; /* components 0 to 7 and 9 (SDM 1, 13.1) */
    int rc = 0;

#define CHECK(bit, name)                                                                           \
    (rc = check_component(x->xstate_bv, bit, x->name##_len, sizeof(x->name), #name, err))
    if (x->xstate_bv & ~known)
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "xstate_bv 0x%" PRIx64 " names unknown components", x->xstate_bv);
    if (CHECK(0, st) || CHECK(1, xmm) || CHECK(2, ymm_high) || CHECK(3, bndregs) ||
        CHECK(4, bndcsr) || CHECK(5, opmask) || CHECK(6, zmm_high) || CHECK(7, zmm_16_31) ||
        CHECK(9, pkru))
        return rc;
#undef CHECK
    return 0;
}

int stasis_check_x86_xcrs(const void *state, struct stasis_error *err)
{
    const struct stasis_x86_xcrs_state *xcrs = state;

    if (!(xcrs->xcr0 & 1))
        return stasis_fail(err, STASIS_ERR_RANGE, "xcr0 without bit 0 (SDM 1, 13.3)");
    return 0;
}

int stasis_check_x86_mp_state(const void *state, struct stasis_error *err)
{
    const struct stasis_x86_mp_state_state *mp = state;

    if (!stasis_enum_doc("MP_STATE", mp->mp_state))
        return stasis_fail(err, STASIS_ERR_RANGE, "mp_state %" PRIu32 " is not an x86 state",
                           mp->mp_state);
    return 0;
}

int stasis_check_x86_tsc(const void *state, struct stasis_error *err)
{
    const struct stasis_x86_tsc_state *tsc = state;

    if (!tsc->khz)
        return stasis_fail(err, STASIS_ERR_RANGE, "khz is 0");
    return 0;
}

int stasis_check_x86_msrs(const void *state, struct stasis_error *err)
{
    const struct stasis_x86_msrs_state *msrs = state;

    for (uint32_t i = 1; i < msrs->msrs_count; i++) {
        if (msrs->msrs[i].index <= msrs->msrs[i - 1].index)
            return stasis_fail(err, STASIS_ERR_RANGE, "msrs[%" PRIu32 "] is not ascending", i);
    }
    return 0;
}

int stasis_check_x86_cpuid(const void *state, struct stasis_error *err)
{
    const struct stasis_x86_cpuid_state *cpuid = state;

    for (uint32_t i = 1; i < cpuid->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *a = &cpuid->leaves[i - 1], *b = a + 1;

        if (b->function < a->function || (b->function == a->function && b->index <= a->index))
            return stasis_fail(err, STASIS_ERR_RANGE, "leaves[%" PRIu32 "] is not ascending", i);
    }
    return 0;
}

int stasis_check_x86_pit(const void *state, struct stasis_error *err)
{
    const struct stasis_x86_pit_state *pit = state;

    if (pit->channels_count != 3)
        return stasis_fail(err, STASIS_ERR_RANGE, "a PIT with %" PRIu32 " channels",
                           pit->channels_count);
    return 0;
}
