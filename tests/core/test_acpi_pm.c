/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/acpi_pm.h"

#include "random.h"

enum { STS = 0, EN = 2, CNT = 4, GPE_STS = 8, GPE_EN = 9 };

#define PWRBTN 0x0100

struct rig {
    struct stasis_acpi_pm dev;
    unsigned power_offs;
    unsigned irqs;
    bool line;
    unsigned errors[STASIS_GUEST_ERROR_COUNT];
};

static struct rig rig;

static void on_power_off(void *ctx)
{
    ((struct rig *)ctx)->power_offs++;
}

static void on_irq(void *ctx, bool level)
{
    struct rig *r = ctx;

    r->irqs++;
    r->line = level;
}

static void on_guest_error(void *ctx, enum stasis_guest_error error)
{
    ((struct rig *)ctx)->errors[error]++;
}

static const struct stasis_acpi_pm_ops ops = {on_power_off, on_irq, on_guest_error};

static int setup(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    stasis_acpi_pm_init(&rig.dev, &ops, &rig);
    return 0;
}

static uint8_t rd8(uint64_t offset)
{
    return stasis_acpi_pm_read(&rig.dev, offset);
}

static void wr8(uint64_t offset, uint8_t value)
{
    stasis_acpi_pm_write(&rig.dev, offset, value);
}

static unsigned rd16(uint64_t offset)
{
    return rd8(offset) | (unsigned)rd8(offset + 1) << 8;
}

static void wr16(uint64_t offset, unsigned value)
{
    wr8(offset, (uint8_t)value);
    wr8(offset + 1, (uint8_t)(value >> 8));
}

static void new_block_is_quiet_and_in_acpi_mode(void **state)
{
    (void)state;
    assert_int_equal(rd16(STS), 0);
    assert_int_equal(rd16(EN), 0);
    assert_int_equal(rd16(CNT), 1); /* SCI_EN */
    assert_int_equal(rd8(GPE_STS), 0);
    assert_int_equal(rd8(GPE_EN), 0);
    assert_int_equal(rig.irqs, 0);
}

/* ACPICA reads back what it has enabled, and gives up an event whose bit does not hold. */
static void enable_bits_hold_and_others_do_not(void **state)
{
    (void)state;
    wr16(EN, 0xffff);
    assert_int_equal(rd16(EN), 0x0721);
    wr16(EN, 0);
    assert_int_equal(rd16(EN), 0);
    wr8(GPE_EN, 0xa5);
    assert_int_equal(rd8(GPE_EN), 0xa5);
    wr16(CNT, 0xffff & ~0x2000u);
    assert_int_equal(rd16(CNT), 0x1c03); /* SCI_EN cannot be cleared, GBL_RLS reads as 0 */
    wr16(CNT, 0);
    assert_int_equal(rd16(CNT), 1);
    assert_int_equal(rig.power_offs, 0);
}

static void button_interrupts_until_its_status_is_cleared(void **state)
{
    (void)state;
    wr16(EN, PWRBTN);
    stasis_acpi_pm_power_button(&rig.dev);
    assert_true(rig.line);
    assert_int_equal(rd16(STS), PWRBTN);
    stasis_acpi_pm_power_button(&rig.dev);
    assert_int_equal(rig.irqs, 1);
    wr16(STS, ~(unsigned)PWRBTN); /* of other events */
    assert_true(rig.line);
    wr16(STS, PWRBTN);
    assert_false(rig.line);
    assert_int_equal(rd16(STS), 0);
    assert_int_equal(rig.irqs, 2);
}

static void button_waits_until_it_is_enabled(void **state)
{
    (void)state;
    stasis_acpi_pm_power_button(&rig.dev);
    assert_int_equal(rig.irqs, 0);
    wr16(EN, 0x0621);
    assert_int_equal(rig.irqs, 0);
    wr16(EN, PWRBTN);
    assert_true(rig.line);
    wr16(EN, 0);
    assert_false(rig.line);
}

static void each_general_purpose_event_has_its_bit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STASIS_ACPI_PM_GPES; i++) {
        setup(NULL);
        wr8(GPE_EN, (uint8_t) ~(1u << i));
        stasis_acpi_pm_event(&rig.dev, i);
        assert_int_equal(rd8(GPE_STS), 1u << i);
        assert_false(rig.line);
        wr8(GPE_EN, (uint8_t)(1u << i));
        assert_true(rig.line);
        wr8(GPE_STS, (uint8_t) ~(1u << i));
        assert_true(rig.line);
        wr8(GPE_STS, (uint8_t)(1u << i));
        assert_false(rig.line);
        assert_int_equal(rd8(GPE_STS), 0);
    }
}

/* The line is one: it goes down with the last of its reasons. */
static void button_and_event_share_the_line(void **state)
{
    (void)state;
    wr16(EN, PWRBTN);
    wr8(GPE_EN, 1);
    stasis_acpi_pm_power_button(&rig.dev);
    stasis_acpi_pm_event(&rig.dev, 0);
    wr8(GPE_STS, 1);
    assert_true(rig.line);
    wr16(STS, PWRBTN);
    assert_false(rig.line);
    assert_int_equal(rig.irqs, 2);
}

static void only_s5_with_slp_en_powers_off(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 8; type++) {
        setup(NULL);
        wr16(CNT, type << 10);
        assert_int_equal(rig.power_offs, 0);
        assert_int_equal(rd16(CNT), type << 10 | 1);
        wr16(CNT, type << 10 | 0x2000);
        assert_int_equal(rig.power_offs, type == 5);
        assert_int_equal(rig.errors[STASIS_GUEST_ERROR_BAD_COMMAND], type != 5);
        assert_int_equal(rd16(CNT), type << 10 | 1); /* SLP_EN is write-only */
    }
}

static void offsets_without_a_register(void **state)
{
    static const uint64_t offsets[] = {6, 7, 10, 255, UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        wr8(offsets[i], 0xff);
        assert_int_equal(rd8(offsets[i]), 0xff);
        assert_int_equal(rig.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 2 * (i + 1));
    }
    assert_int_equal(rig.power_offs + rig.irqs, 0);
}

static void reset_forgets_all(void **state)
{
    (void)state;
    wr16(EN, PWRBTN);
    wr16(CNT, 0x1402);
    wr8(GPE_EN, 3);
    stasis_acpi_pm_event(&rig.dev, 1);
    stasis_acpi_pm_power_button(&rig.dev);
    stasis_acpi_pm_reset(&rig.dev);
    assert_false(rig.line);
    new_block_is_quiet_and_in_acpi_mode((rig.irqs = 0, NULL));
}

static void state_goes_round(void **state)
{
    const struct stasis_acpi_pm_state saved = {PWRBTN, 0x0520, 0x1402, 0x81, 0x7e};
    struct stasis_acpi_pm_state again;

    (void)state;
    assert_int_equal(stasis_acpi_pm_restore(&rig.dev, &saved, NULL), 0);
    assert_int_equal(rig.irqs, 0); /* the interrupt controller may not be there yet */
    stasis_acpi_pm_save(&rig.dev, &again);
    assert_memory_equal(&again, &saved, sizeof(saved));
    stasis_acpi_pm_apply_outputs(&rig.dev);
    assert_int_equal(rig.irqs, 1);
    assert_true(rig.line);
    wr16(STS, PWRBTN);
    assert_false(rig.line); /* no enabled event is left */
    stasis_acpi_pm_apply_outputs(&rig.dev);
    assert_int_equal(rig.irqs, 3);
    assert_false(rig.line);
}

static void impossible_states_are_refused(void **state)
{
    struct stasis_error err;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct stasis_acpi_pm_state saved = {0};

        saved.pm1_sts = i == 0 ? 0x8000 : 0;
        saved.pm1_en = i == 1 ? 0x0002 : 0;
        saved.pm1_cnt = i == 2 ? 0x2000 : 0;
        assert_int_equal(stasis_acpi_pm_restore(&rig.dev, &saved, &err), STASIS_ERR_RANGE);
        assert_int_equal(rd16(STS) | rd16(EN) | rd16(CNT), 1);
    }
}

/* Whatever is written, the state can be saved and restored, and the line is what it says. */
static void random_accesses_keep_the_invariants(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t draw = next_random(&seed);
        struct stasis_acpi_pm_state now;

        if (draw & 1 << 16)
            wr8(draw % 12, (uint8_t)(draw >> 24));
        else if (draw & 1 << 17)
            stasis_acpi_pm_event(&rig.dev, draw >> 20 & 7);
        else
            stasis_acpi_pm_power_button(&rig.dev);
        stasis_acpi_pm_save(&rig.dev, &now);
        assert_int_equal(stasis_state_check(&stasis_acpi_pm_schema, &now, NULL), 0);
        assert_int_equal(rig.line, (now.pm1_sts & now.pm1_en) || (now.gpe0_sts & now.gpe0_en));
    }
    assert_true(rig.power_offs > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(new_block_is_quiet_and_in_acpi_mode, setup),
        cmocka_unit_test_setup(enable_bits_hold_and_others_do_not, setup),
        cmocka_unit_test_setup(button_interrupts_until_its_status_is_cleared, setup),
        cmocka_unit_test_setup(button_waits_until_it_is_enabled, setup),
        cmocka_unit_test_setup(each_general_purpose_event_has_its_bit, setup),
        cmocka_unit_test_setup(button_and_event_share_the_line, setup),
        cmocka_unit_test_setup(only_s5_with_slp_en_powers_off, setup),
        cmocka_unit_test_setup(offsets_without_a_register, setup),
        cmocka_unit_test_setup(reset_forgets_all, setup),
        cmocka_unit_test_setup(state_goes_round, setup),
        cmocka_unit_test_setup(impossible_states_are_refused, setup),
        cmocka_unit_test_setup(random_accesses_keep_the_invariants, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
