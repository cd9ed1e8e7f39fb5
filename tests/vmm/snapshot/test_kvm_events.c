/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * ACPI events reach a guest by their interrupt, once each, also over a snapshot (kvm_events.S).
 */
#include "vmm/kvm_guest.h"

#include <string.h>

extern const uint8_t kvm_events_begin[], kvm_events_end[];

static struct kvm_guest guest;

static size_t printed(void)
{
    size_t len;

    pthread_mutex_lock(&guest.machine.lock);
    len = guest.out_len;
    pthread_mutex_unlock(&guest.machine.lock);
    return len;
}

static void assert_prints(const char *text)
{
    kvm_wait(printed() >= strlen(text));
    pthread_mutex_lock(&guest.machine.lock);
    assert_int_equal(guest.out_len, strlen(text));
    assert_memory_equal(guest.out, text, strlen(text));
    pthread_mutex_unlock(&guest.machine.lock);
}

static void press(void)
{
    pthread_mutex_lock(&guest.machine.lock);
    stasis_device_acpi_pm_power_button(
        stasis_device_find_only(&guest.machine.devices, &stasis_acpi_pm_schema));
    pthread_mutex_unlock(&guest.machine.lock);
}

static void begin(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, kvm_events_begin, (size_t)(kvm_events_end - kvm_events_begin));
    kvm_guest_start(&guest);
    assert_prints("R");
}

/* Each press is heard, so the line went down in between. */
static void button_is_heard_each_time(void)
{
    begin();
    press();
    assert_prints("R01");
    press();
    assert_prints("R0101");
    kvm_guest_fini(&guest);
}

/* The vCPU stood still when it came. */
static void button_before_a_freeze_is_heard_after_the_thaw(void)
{
    struct stasis_snap *snap;

    begin();
    stasis_machine_pause(&guest.machine);
    press();
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    stasis_snap_free(snap);
    kvm_guest_start(&guest);
    assert_prints("11"); /* and the new generation id */
    press();
    assert_prints("1101");
    kvm_guest_fini(&guest);
}

/* What the guest reads; the device has the same. */
static void read_id(uint8_t id[16])
{
    const struct stasis_device *device =
        stasis_device_find(&guest.machine.devices, &stasis_vmgenid_schema, "vmgenid");
    struct stasis_vmgenid_state state;

    assert_non_null(device);
    device->type->save(device->instance, &state);
    memcpy(id, kvm_guest_ram(&guest, STASIS_BOARD_VMGENID, 16), 16);
    assert_memory_equal(id, state.id, 16);
}

/* Two guests of one file, and each of several generations: no id comes again, and each is told. */
static void generation_id_is_new_after_each_thaw(void)
{
    static uint8_t ids[6][16];
    struct stasis_snap *snap, *next;
    struct stasis_error err;

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, kvm_events_begin, (size_t)(kvm_events_end - kvm_events_begin));
    kvm_ok(stasis_devices_begin(&guest.machine.devices, STASIS_DEVICE_NEW, &err), &err);
    kvm_guest_start(&guest);
    assert_prints("R"); /* a first id is no change */
    stasis_machine_pause(&guest.machine);
    read_id(ids[0]);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    for (unsigned i = 1; i < 6; i++) {
        kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
        kvm_guest_start(&guest);
        assert_prints("10");
        stasis_machine_pause(&guest.machine);
        read_id(ids[i]);
        for (unsigned before = 0; before < i; before++)
            assert_memory_not_equal(ids[i], ids[before], 16);
        next = i % 2 ? NULL : kvm_freeze(&guest, NULL);
        kvm_guest_fini(&guest);
        if (next) {
            stasis_snap_free(snap);
            snap = next;
        }
    }
    stasis_snap_free(snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(button_is_heard_each_time),
        KVM_CASE(button_before_a_freeze_is_heard_after_the_thaw),
        KVM_CASE(generation_id_is_new_after_each_thaw),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
