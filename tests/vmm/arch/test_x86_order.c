/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The order in which the chips and the clock are written, by its reasons (chips.c). A wrong one is
 * seen by a guest only when a timer fires between two calls.
 */
#include "vmm/arch/arch.h"

#include <string.h>

#include "support/cmocka_all.h"

static size_t position(const char *instance)
{
    for (size_t i = 0; stasis_arch_vm_records[i].schema; i++) {
        if (strcmp(stasis_arch_vm_records[i].instance, instance) == 0)
            return i;
    }
    fail_msg("no row %s", instance);
    return 0;
}

/* Its timer may raise IRQ 0 at once, and a controller that is set overwrites what is pending. */
static void pit_comes_after_the_interrupt_controllers(void **state)
{
    static const char *const controllers[] = {"master", "slave", "ioapic"};

    (void)state;
    for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
        assert_true(position("pit") > position(controllers[i]));
}

/* And so it is read first. */
static void clock_comes_last(void **state)
{
    size_t clock = position("kvmclock");

    (void)state;
    assert_null(stasis_arch_vm_records[clock + 1].schema);
    assert_ptr_equal(stasis_arch_vm_clock(), &stasis_arch_vm_records[clock]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pit_comes_after_the_interrupt_controllers),
        cmocka_unit_test(clock_comes_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
