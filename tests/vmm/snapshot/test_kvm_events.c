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
    stasis_device_acpi_pm_power_button(stasis_device_acpi_pm_find(&guest.machine.devices));
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
    assert_prints("01");
    press();
    assert_prints("0101");
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(button_is_heard_each_time),
        KVM_CASE(button_before_a_freeze_is_heard_after_the_thaw),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
