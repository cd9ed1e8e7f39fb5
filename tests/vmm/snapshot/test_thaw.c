/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A machine from a file alone: its RAM, its board, its devices, its clocks.
 */
#include "vmm/kvm_pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/arch/x86/x86.h"

static struct kvm_guest guest;
static const struct stasis_thaw_options as_it_was = {.clock = STASIS_CLOCK_CONTINUE};

static void begin(const struct stasis_board_state *board)
{
    kvm_guest_init(&guest, board);
    kvm_guest_real(&guest, kvm_spinning, sizeof(kvm_spinning));
}

/* ---- what comes back ---- */

/* First and last page of each region, one in the middle, all else zero. */
static void paint(bool check)
{
    const struct stasis_memory *memory = &guest.machine.memory;

    for (uint32_t i = 0; i < memory->region_count; i++) {
        const uint64_t last = memory->regions[i].size - 4096;
        const uint64_t pages[] = {0, last / 2 & ~UINT64_C(4095), last};

        for (size_t p = i == 0; p < 3; p++) {
            uint8_t *page = memory->regions[i].host + pages[p];

            for (unsigned at = 0; at < 4096; at++) {
                uint8_t value = (uint8_t)(at * 31 + p * 7 + i * 100 + 1);

                if (check)
                    assert_int_equal(page[at], value);
                page[at] = value;
            }
        }
    }
}

static void file_round_trip(void)
{
    char folder[] = "/tmp/stasis-test-XXXXXX", path[64];
    const struct stasis_save_opts opts = {.size = sizeof(opts), .no_sync = true};
    struct stasis_save_stats stats;
    struct stasis_board_state board;
    struct stasis_snap *snap = NULL;
    struct stasis_error err;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/guest.snap", folder);
    kvm_board(&board, STASIS_MMIO_GAP_START + (UINT64_C(8) << 20));
    /* A gap of its own, so that a small machine has two regions. */
    board.ram[0].size = UINT64_C(4) << 20;
    begin(&board);
    paint(false);
    kvm_ok(stasis_freeze(&guest.machine, guest.generation, &snap, &err), &err);
    kvm_ok(stasis_snap_save(snap, path, &opts, &stats, &err), &err);
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
    assert_in_range(stats.stored_bytes, 6 * STASIS_CHUNK_SIZE, 7 * STASIS_CHUNK_SIZE);

    kvm_ok(stasis_snap_open(path, NULL, &snap, &err), &err);
    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    stasis_snap_free(snap);
    assert_int_equal(guest.machine.memory.region_count, 2);
    assert_int_equal(guest.generation, 1);
    paint(true);
    assert_memory_equal(kvm_guest_ram(&guest, KVM_ENTRY, sizeof(kvm_spinning)), kvm_spinning,
                        sizeof(kvm_spinning));
    assert_int_equal(kvm_guest_regs(&guest).rip, KVM_ENTRY);
    kvm_guest_start(&guest);
    stasis_machine_pause(&guest.machine);
    kvm_guest_fini(&guest);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* A later release may have another default board; this file's guest keeps the one it knows. */
static void board_is_the_files_own(void)
{
    struct stasis_board_state board;
    struct stasis_snap *snap;

    kvm_board(&board, KVM_RAM);
    snprintf(board.name, sizeof(board.name), "of old");
    snprintf(board.release, sizeof(board.release), "0.0.0");
    memset(&board.devices[2], 0, (board.devices_count - 2) * sizeof(board.devices[2]));
    board.devices_count = 2; /* no RTC */
    board.devices[0].bus = 1;
    board.devices[0].base = 0xd0020000;
    board.devices[0].gsi = 11;
    board.pit_speaker_dummy = 0;
    begin(&board);
    stasis_bus_write(&guest.machine.mmio, 0xd0020007, 1, 0x42);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);

    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    stasis_snap_free(snap);
    assert_memory_equal(&guest.machine.board, &board, sizeof(board));
    assert_int_equal(guest.machine.devices.count, 2);
    assert_int_equal(stasis_bus_read(&guest.machine.mmio, 0xd0020007, 1), 0x42);
    assert_int_equal(stasis_bus_read(&guest.machine.pio, 0x3ff, 1), 0xff);
    assert_int_equal(stasis_bus_read(&guest.machine.mmio, 0xd0000000, 4), 0xffffffff);
    kvm_guest_fini(&guest);
}

/* What devices do to the outside when they come back: lines, alarms, unsent bytes. */
static void devices_wake_up(void)
{
    struct stasis_x86_ioapic_state ioapic;
    struct stasis_snap *snap;

    begin(NULL);
    guest.sink_blocked = true;
    stasis_bus_write(&guest.machine.pio, 0x3fa, 1, 7);
    stasis_bus_write(&guest.machine.pio, 0x3f8, 1, 'u');
    stasis_bus_write(&guest.machine.pio, 0x3f9, 1, 1);
    stasis_device_serial_input(
        stasis_device_find(&guest.machine.devices, &stasis_serial_schema, "com1"),
        (const uint8_t *)"i", 1);
    stasis_bus_write(&guest.machine.mmio, 0xd0000004, 4, 1700000060);
    stasis_bus_write(&guest.machine.mmio, 0xd0000010, 4, 1);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    guest.sink_blocked = false;
    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    assert_int_equal(guest.out_len, 1);
    assert_int_equal(guest.out[0], 'u');
    assert_true(guest.rtc_armed);
    assert_int_equal(guest.rtc_deadline_ns, UINT64_C(1700000060) * 1000000000);
    stasis_snap_free(snap);
    snap = kvm_freeze(&guest, NULL);
    kvm_record(snap, &stasis_x86_ioapic_schema, "ioapic", &ioapic);
    assert_true(ioapic.irr & 1 << 4);
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
}

/* Asking for the wall clock has KVM write to the guest's RAM, at the time of the asking: not again
 * at the thaw, where something else may lie there by now (KVM msr.rst). */
static void wall_clock_does_not_touch_ram(void)
{
    enum { WALL_CLOCK = 0x4b564d00, AT = 0x5000, LEN = 12 };
    static struct stasis_x86_msrs_state msrs = {.msrs_count = 1, .msrs = {{WALL_CLOCK, AT}}};
    static const uint8_t zero[LEN], own[LEN] = "guest's own";
    struct stasis_snap *snap;
    struct stasis_error err;

    begin(NULL);
    kvm_ok(stasis_x86_msrs_part.set(&guest.machine.vcpus[0], &msrs, &err), &err);
    assert_memory_equal(kvm_guest_ram(&guest, AT, LEN), zero, LEN);
    memcpy(kvm_guest_ram(&guest, AT, LEN), own, LEN);
    snap = kvm_freeze(&guest, NULL);
    assert_int_equal(kvm_record_msr(snap, WALL_CLOCK), AT);
    kvm_guest_fini(&guest);
    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    stasis_snap_free(snap);
    assert_memory_equal(kvm_guest_ram(&guest, AT, LEN), own, LEN);
    kvm_guest_fini(&guest);
}

/* ---- clocks ---- */

struct clocks {
    uint64_t kvmclock_ns, tsc_us, rtc_ns;
};

static struct clocks read_clocks(struct stasis_snap *snap)
{
    struct stasis_x86_clock_state clock;
    struct stasis_x86_tsc_state tsc;
    struct stasis_pl031_state rtc;

    kvm_record(snap, &stasis_x86_clock_schema, "kvmclock", &clock);
    kvm_record(snap, &stasis_x86_tsc_schema, "cpu0", &tsc);
    kvm_record(snap, &stasis_pl031_schema, "pl031", &rtc);
    return (struct clocks){clock.clock_ns, kvm_record_msr(snap, STASIS_MSR_TSC) / (tsc.khz / 1000),
                           rtc.counter_ns};
}

#define HOUR_NS UINT64_C(3600000000000)

/* So long ago that no delay of this test can be taken for it; or so far ahead. */
static bool frozen_an_hour_off(void *ctx, const struct stasis_schema *schema, const char *instance,
                               void *state)
{
    (void)instance;
    if (schema == &stasis_machine_schema)
        ((struct stasis_machine_state *)state)->frozen_realtime_ns += *(const uint64_t *)ctx;
    if (schema == &stasis_x86_clock_schema)
        ((struct stasis_x86_clock_state *)state)->realtime_ns += *(const uint64_t *)ctx;
    return true;
}

/* What the clocks moved by over a thaw, less what the test itself took at most. */
static struct clocks step(enum stasis_clock_policy policy, uint64_t shift_ns, uint64_t *ret_took_ns)
{
    const struct kvm_tamper tamper = {.record = frozen_an_hour_off, .ctx = &shift_ns};
    uint64_t start = stasis_realtime_ns();
    struct clocks first, second;
    struct stasis_snap *snap;

    begin(NULL);
    snap = kvm_freeze(&guest, &tamper);
    kvm_guest_fini(&guest);
    first = read_clocks(snap);
    kvm_thaw(&guest, snap, policy);
    stasis_snap_free(snap);
    snap = kvm_freeze(&guest, NULL);
    second = read_clocks(snap);
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
    *ret_took_ns = stasis_realtime_ns() - start + 1000000;
    return (struct clocks){second.kvmclock_ns - first.kvmclock_ns, second.tsc_us - first.tsc_us,
                           second.rtc_ns - first.rtc_ns};
}

static void assert_step(struct clocks moved, uint64_t at_least_ns, uint64_t took_ns)
{
    assert_in_range(moved.kvmclock_ns, at_least_ns, at_least_ns + took_ns);
    assert_in_range(moved.rtc_ns, at_least_ns, at_least_ns + took_ns);
    if (!kvm_tsc_is_settable())
        kvm_case_skip("the TSC alone, which need not step: this KVM does not set it");
    assert_in_range(moved.tsc_us, at_least_ns / 1000 - at_least_ns / 1000000,
                    (at_least_ns + took_ns) / 1000 + at_least_ns / 1000000);
}

static void clock_continue(void)
{
    uint64_t took_ns;
    struct clocks moved = step(STASIS_CLOCK_CONTINUE, -HOUR_NS, &took_ns);

    assert_int_equal(moved.rtc_ns, 0); /* this test's clock stands still */
    assert_step(moved, 0, took_ns);
}

static void clock_advance(void)
{
    uint64_t took_ns;
    struct clocks moved = step(STASIS_CLOCK_ADVANCE, -HOUR_NS, &took_ns);

    assert_step(moved, HOUR_NS, took_ns);
}

/* The host's clock was set back meanwhile: time does not run backwards for the guest. */
static void clock_advance_into_the_past(void)
{
    uint64_t took_ns;
    struct clocks moved = step(STASIS_CLOCK_ADVANCE, HOUR_NS, &took_ns);

    assert_step(moved, 0, took_ns);
}

/* The time of the thaw does not count either: the RTC goes on from what it showed. */
static void rtc_does_not_follow_the_host(void)
{
    struct stasis_thaw_options options = as_it_was;
    struct stasis_pl031_state rtc;
    struct stasis_snap *snap;
    struct stasis_error err;

    begin(NULL);
    guest.rtc_ns += 5000000000; /* 5 s later */
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    kvm_ok(kvm_try_thaw(&guest, snap, &options, &err), &err);
    stasis_snap_free(snap);
    snap = kvm_freeze(&guest, NULL);
    kvm_record(snap, &stasis_pl031_schema, "pl031", &rtc);
    assert_int_equal(rtc.counter_ns, UINT64_C(1700000005) * 1000000000);
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(file_round_trip),
        KVM_CASE(board_is_the_files_own),
        KVM_CASE(devices_wake_up),
        KVM_CASE(wall_clock_does_not_touch_ram),
        KVM_CASE(clock_continue),
        KVM_CASE(clock_advance),
        KVM_CASE(clock_advance_into_the_past),
        KVM_CASE(rtc_does_not_follow_the_host),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
