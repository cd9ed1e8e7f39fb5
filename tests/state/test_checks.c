/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The rules between fields. A case changes a good state in one respect; what it says must name it.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/state.h"

/* Sets up *s good; runs each `change` on a copy of it and wants `text` in the message, or none. */
#define CASE(name, s, change, text)                                                                \
    do {                                                                                           \
        static struct stasis_##name##_state copy;                                                  \
        struct stasis_error err = {0};                                                             \
        int rc;                                                                                    \
        copy = *(s);                                                                               \
        {                                                                                          \
            struct stasis_##name##_state *const x = &copy;                                         \
            change;                                                                                \
        }                                                                                          \
        rc = stasis_state_check(&stasis_##name##_schema, &copy, &err);                             \
        expect(#change, rc, &err, text);                                                           \
    } while (0)

#define GOOD NULL

static void expect(const char *change, int rc, const struct stasis_error *err, const char *text)
{
    if (!text && rc)
        fail_msg("%s: refused: %s", change, err->msg);
    if (text && (rc != STASIS_ERR_RANGE || !strstr(err->msg, text)))
        fail_msg("%s: rc %d, \"%s\" lacks \"%s\"", change, rc, err->msg, text);
}

static void set(char *dst, const char *str)
{
    memcpy(dst, str, strlen(str) + 1);
}

static void serial(void **state)
{
    struct stasis_serial_state s;

    (void)state;
    stasis_state_init(&stasis_serial_schema, &s);
    CASE(serial, &s, x->rx_fifo_len = x->tx_fifo_len = 1, GOOD);
    CASE(serial, &s, x->rx_fifo_len = 2, "rx_fifo is off");
    CASE(serial, &s, x->tx_fifo_len = 2, "tx_fifo is off");
    CASE(serial, &s, x->fcr = 0x40, "bit 0 should enable");
    CASE(serial, &s, x->thre_pending = 1, "thre_pending");
    CASE(serial, &s, x->thre_pending = 1; x->ier = 2, GOOD);
    s.fcr = 0xc1;
    s.ier = 0x0f;
    CASE(serial, &s, x->rx_fifo_len = x->tx_fifo_len = 64, GOOD);
    CASE(serial, &s, x->thre_pending = 1; x->tx_fifo_len = 1, "thre_pending");
    CASE(serial, &s, x->rx_breaks = 2, "rx_breaks");
    CASE(serial, &s, x->rx_breaks = 2; x->rx_fifo_len = 1, "rx_breaks");
    CASE(serial, &s, x->rx_breaks = 2; x->rx_fifo_len = 2, GOOD);
    CASE(serial, &s, x->rx_breaks = 1; x->rx_fifo_len = 2, "rx_breaks");
    CASE(serial, &s, x->rx_breaks = ~UINT64_C(1); x->rx_fifo_len = 64, GOOD);
    CASE(serial, &s, x->rx_breaks = UINT64_C(1) << 63; x->rx_fifo_len = 63, "rx_breaks");
}

static void i8042(void **state)
{
    struct stasis_i8042_state s;

    (void)state;
    stasis_state_init(&stasis_i8042_schema, &s);
    CASE(i8042, &s, x->output_full = 1, GOOD);
    CASE(i8042, &s, x->output_full = x->timeout = 1; x->output = 0xfe, GOOD);
    CASE(i8042, &s, x->output = 1, "output");
    CASE(i8042, &s, x->timeout = 1, "timeout");
    CASE(i8042, &s, x->pending_command = 0x20; x->last_was_command = 1, "takes no data");
    CASE(i8042, &s, x->pending_command = 0xd4; x->last_was_command = 1, "takes no data");
    CASE(i8042, &s, x->pending_command = 0x60, "the last write was data");
    CASE(i8042, &s, x->pending_command = 0x60; x->last_was_command = 1, GOOD);
    CASE(i8042, &s, x->pending_command = 0xd3; x->last_was_command = 1, GOOD);
    CASE(i8042, &s, x->output_port = 0x02, "output_port");
}

static void mc146818(void **state)
{
    const uint64_t year_2500 = UINT64_C(16725225600) * 1000000000;
    struct stasis_mc146818_state s;

    (void)state;
    stasis_state_init(&stasis_mc146818_schema, &s);
    CASE(mc146818, &s, x->counter_ns = year_2500 - 1, GOOD);
    CASE(mc146818, &s, x->counter_ns = year_2500, "the year 2499");
    CASE(mc146818, &s, x->ram[0x0b] = 0x80; x->counter_ns = 999999999, GOOD);
    CASE(mc146818, &s, x->ram[0x0b] = 0x80; x->counter_ns = 1000000000, "a second");
    CASE(mc146818, &s, x->ram[0x0a] = 0x60; x->counter_ns = 1000000000, "a second");
    CASE(mc146818, &s, x->ram[0x0a] = 0x40; x->counter_ns = 1000000000, GOOD);
    CASE(mc146818, &s, x->ram[0x0a] = 0x80, "do not keep");
    CASE(mc146818, &s, x->ram[0x0c] = 0x80, "do not keep");
    CASE(mc146818, &s, x->ram[0x0c] = 0x01, "do not keep");
    CASE(mc146818, &s, x->ram[0x0d] = 0x80, "do not keep");
    CASE(mc146818, &s, x->ram[0x0c] = 0x70, GOOD);
    CASE(mc146818, &s, x->ram[0x32] = 1, "though the clock runs");
    CASE(mc146818, &s, x->ram[0x00] = 1, "though the clock runs");
    CASE(mc146818, &s, x->ram[0x01] = 1, GOOD);
    CASE(mc146818, &s, x->ram[0x09] = 1; x->ram[0x0b] = 0x80, GOOD);
}

static void pl031(void **state)
{
    const uint64_t period = (UINT64_C(1) << 32) * 1000000000;
    struct stasis_pl031_state s;

    (void)state;
    stasis_state_init(&stasis_pl031_schema, &s);
    CASE(pl031, &s, x->counter_ns = period - 1, GOOD);
    CASE(pl031, &s, x->counter_ns = period, "counter_ns");
    CASE(pl031, &s, x->counter_ns = UINT64_MAX, "counter_ns");
}

static void board(void **state)
{
    static struct stasis_board_state s;

    (void)state;
    stasis_state_init(&stasis_board_schema, &s);
    s.ram_count = 2;
    s.ram[0].size = 0x100000;
    s.ram[1].gpa = 0x100000;
    s.ram[1].size = 0x1000;
    s.devices_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        stasis_state_init(&stasis_board_device_schema, &s.devices[i]);
        set(s.devices[i].type, "stasis.serial");
        set(s.devices[i].instance, i ? "com2" : "com1");
        s.devices[i].base = 0x3f8;
        s.devices[i].size = 8;
    }
    CASE(board, &s, (void)x, GOOD);
    CASE(board, &s, x->vcpus = 0, "vCPU");
    CASE(board, &s, x->ram_count = 0, "without RAM");
    CASE(board, &s, x->ram[1].gpa = 0xff000, "ram[1]");
    CASE(board, &s, x->ram[0].size = 0, "ram[0]");
    CASE(board, &s, x->ram[1].gpa = ~UINT64_C(0xfff); x->ram[1].size = 0x2000, "ram[1]");
    CASE(board, &s, set(x->devices[1].instance, "com1"), "stasis.serial com1");
    CASE(board, &s, set(x->devices[1].instance, "com1"); set(x->devices[1].type, "y"), GOOD);
}

static void board_device(void **state)
{
    struct stasis_board_device_state s;

    (void)state;
    stasis_state_init(&stasis_board_device_schema, &s);
    set(s.type, "stasis.serial");
    set(s.instance, "com1");
    s.base = 0xfff8;
    s.size = 8;
    CASE(board_device, &s, (void)x, GOOD);
    CASE(board_device, &s, x->type[0] = '\0', "without type");
    CASE(board_device, &s, x->instance[0] = '\0', "without type or instance");
    CASE(board_device, &s, x->size = 0, "com1");
    CASE(board_device, &s, x->size = 9, "com1");
    CASE(board_device, &s, x->size = 9; x->bus = STASIS_BUS_MMIO, GOOD);
    CASE(board_device, &s, x->base = UINT64_MAX; x->bus = STASIS_BUS_MMIO, "com1");
}

static void xsave(void **state)
{
    static struct stasis_x86_xsave_state s;

    (void)state;
    stasis_state_init(&stasis_x86_xsave_schema, &s);
    CASE(x86_xsave, &s, x->xstate_bv = 0x203; x->st_len = 128; x->xmm_len = 256;
         x->pkru_len = 8, GOOD);
    CASE(x86_xsave, &s, x->xstate_bv = 0x100, "xstate_bv");
    CASE(x86_xsave, &s, x->xstate_bv = 0x400, "xstate_bv");
    CASE(x86_xsave, &s, x->st_len = 128, "st has 128");
    CASE(x86_xsave, &s, x->xstate_bv = 1; x->st_len = 112, "st has 112");
    for (unsigned bit = 0; bit < 10; bit++) {
        static const char *const names[] = {"st",     "xmm",      "ymm_high",  "bndregs", "bndcsr",
                                            "opmask", "zmm_high", "zmm_16_31", NULL,      "pkru"};

        if (names[bit])
            CASE(x86_xsave, &s, x->xstate_bv = UINT64_C(1) << bit, names[bit]);
    }
}

static void lists_of_the_cpu_ascend(void **state)
{
    static struct stasis_x86_msrs_state msrs;
    static struct stasis_x86_cpuid_state cpuid;

    (void)state;
    stasis_state_init(&stasis_x86_msrs_schema, &msrs);
    stasis_state_init(&stasis_x86_cpuid_schema, &cpuid);
    msrs.msrs_count = cpuid.leaves_count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        msrs.msrs[i].index = 0x10 + i;
        cpuid.leaves[i].function = 4;
        cpuid.leaves[i].index = i;
    }
    CASE(x86_msrs, &msrs, (void)x, GOOD);
    CASE(x86_msrs, &msrs, x->msrs[2].index = 0x11, "msrs[2]");
    CASE(x86_msrs, &msrs, x->msrs[1].index = 0, "msrs[1]");
    CASE(x86_cpuid, &cpuid, (void)x, GOOD);
    CASE(x86_cpuid, &cpuid, x->leaves[2].function = 5; x->leaves[2].index = 0, GOOD);
    CASE(x86_cpuid, &cpuid, x->leaves[2].index = 1, "leaves[2]");
    CASE(x86_cpuid, &cpuid, x->leaves[1].function = 3; x->leaves[1].index = 9, "leaves[1]");
}

static void single_values_of_the_cpu(void **state)
{
    struct stasis_x86_xcrs_state xcrs;
    struct stasis_x86_mp_state_state mp;
    struct stasis_x86_tsc_state tsc;
    struct stasis_x86_pit_state pit;

    (void)state;
    stasis_state_init(&stasis_x86_xcrs_schema, &xcrs);
    stasis_state_init(&stasis_x86_mp_state_schema, &mp);
    stasis_state_init(&stasis_x86_tsc_schema, &tsc);
    stasis_state_init(&stasis_x86_pit_schema, &pit);
    CASE(x86_xcrs, &xcrs, x->xcr0 = 7, GOOD);
    CASE(x86_xcrs, &xcrs, x->xcr0 = 6, "xcr0");
    CASE(x86_mp_state, &mp, x->mp_state = 4, GOOD);
    CASE(x86_mp_state, &mp, x->mp_state = 5, "mp_state");
    CASE(x86_tsc, &tsc, x->khz = 1, GOOD);
    CASE(x86_tsc, &tsc, x->khz = 0, "khz");
    CASE(x86_pit, &pit, x->channels_count = 3, GOOD);
    CASE(x86_pit, &pit, x->channels_count = 2, "channels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serial),
        cmocka_unit_test(i8042),
        cmocka_unit_test(mc146818),
        cmocka_unit_test(pl031),
        cmocka_unit_test(board),
        cmocka_unit_test(board_device),
        cmocka_unit_test(xsave),
        cmocka_unit_test(lists_of_the_cpu_ascend),
        cmocka_unit_test(single_values_of_the_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
