/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Freeze, thaw, freeze: everything is equal but a named list (kvm_compare.c), each within a bound.
 */
#include "vmm/kvm_pattern.h"

#include <stdio.h>

#include "vmm/base/clock.h"

static struct kvm_guest guest;

static void load(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, kvm_spinning, sizeof(kvm_spinning));
    kvm_pattern_load(&guest);
}

static void every_record_of_the_board_is_there(void)
{
    static const char *const expected[] = {
        "stasis.acpi_pm pm",     "stasis.acpi_timer timer", "stasis.board vm",
        "stasis.i8042 kbd",      "stasis.machine vm",       "stasis.mc146818 rtc",
        "stasis.pl031 pl031",    "stasis.pvpanic pvpanic",  "stasis.serial com1",
        "stasis.virtio_rng rng", "stasis.vmgenid vmgenid",  "x86.clock kvmclock",
        "x86.cpuid cpu0",        "x86.debugregs cpu0",      "x86.events cpu0",
        "x86.ioapic ioapic",     "x86.lapic cpu0",          "x86.mp_state cpu0",
        "x86.msrs cpu0",         "x86.pic master",          "x86.pic slave",
        "x86.pit pit",           "x86.regs cpu0",           "x86.sregs cpu0",
        "x86.tsc cpu0",          "x86.xcrs cpu0",           "x86.xsave cpu0",
    };
    struct stasis_snap *snap;
    struct stasis_records *records;

    load();
    snap = kvm_freeze(&guest, NULL);
    records = stasis_snap_records(snap);
    assert_int_equal(stasis_records_count(records), sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);
        char name[80];

        snprintf(name, sizeof(name), "%s %s", record.type, record.instance);
        assert_string_equal(name, expected[i]);
    }
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
}

/* Taking a snapshot changes nothing, not even for the next one. */
static void freezing_twice(void)
{
    uint64_t start = stasis_realtime_ns();
    struct stasis_snap *first, *second;

    load();
    first = kvm_freeze(&guest, NULL);
    guest.generation++; /* as the session counts */
    second = kvm_freeze(&guest, NULL);
    kvm_assert_same(first, second, stasis_realtime_ns() - start);
    stasis_snap_free(first);
    stasis_snap_free(second);
    kvm_guest_fini(&guest);
}

static void patterns_survive_five_generations(bool run_between)
{
    uint64_t start = stasis_realtime_ns();
    struct stasis_snap *before, *now;

    load();
    before = kvm_freeze(&guest, NULL);
    kvm_pattern_check(before);
    kvm_guest_fini(&guest);
    for (unsigned i = 0; i < 5; i++) {
        kvm_thaw(&guest, before, STASIS_CLOCK_CONTINUE);
        if (run_between) {
            kvm_guest_start(&guest);
            kvm_sleep_us(3000);
            stasis_machine_pause(&guest.machine);
        }
        now = kvm_freeze(&guest, NULL);
        kvm_guest_fini(&guest);
        kvm_pattern_check(now);
        kvm_assert_same(before, now, stasis_realtime_ns() - start);
        stasis_snap_free(before);
        before = now;
    }
    stasis_snap_free(before);
}

static void never_run(void)
{
    patterns_survive_five_generations(false);
}

static void run_between_generations(void)
{
    patterns_survive_five_generations(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(every_record_of_the_board_is_there),
        KVM_CASE(freezing_twice),
        KVM_CASE(never_run),
        KVM_CASE(run_between_generations),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
