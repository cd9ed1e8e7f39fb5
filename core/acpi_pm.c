/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * ACPI power management registers, after ACPI 6.4, chapter 4.8; register names are its. The timer
 * is in acpi_timer.c. Not modelled: the sleep button, the global lock and the alarm of the clock,
 * whose status bits stay 0; sleep states but S5.
 */
#include "stasis/acpi_pm.h"

#include <assert.h>

enum {
    PM1_STS = STASIS_ACPI_PM_EVT_OFFSET,
    PM1_EN = STASIS_ACPI_PM_EVT_OFFSET + 2,
    PM1_CNT = STASIS_ACPI_PM_CNT_OFFSET,
    GPE0_STS = STASIS_ACPI_PM_GPE_OFFSET,
    GPE0_EN = STASIS_ACPI_PM_GPE_OFFSET + 1,
};

/* 4.8.3.1.1: what PM1_STS can hold; 4.8.3.1.2: GBL, PWRBTN, SLPBTN, RTC and TMR of PM1_EN. */
#define PWRBTN      0x0100u
#define PM1_EN_MASK 0x0721u

/* 4.8.3.2.1 */
#define CNT_SCI_EN    0x0001u
#define CNT_KEPT      0x1c02u /* BM_RLD, SLP_TYP; GBL_RLS and SLP_EN read as 0 */
#define CNT_SLP_EN    0x2000u
#define CNT_TYP_SHIFT 10

static void guest_error(const struct stasis_acpi_pm *dev, enum stasis_guest_error error)
{
    if (dev->ops->guest_error)
        dev->ops->guest_error(dev->ctx, error);
}

static bool sci_level(const struct stasis_acpi_pm *dev)
{
    return (dev->regs.pm1_sts & dev->regs.pm1_en) || (dev->regs.gpe0_sts & dev->regs.gpe0_en);
}

static void update_irq(struct stasis_acpi_pm *dev)
{
    bool level = sci_level(dev);

    if (level == dev->irq_level)
        return;
    dev->irq_level = level;
    dev->ops->irq(dev->ctx, level);
}

/* ---- registers: those of 16 bits by bytes ---- */

static uint8_t byte_of(unsigned value, uint64_t offset)
{
    return (uint8_t)(value >> 8 * (offset & 1));
}

uint8_t stasis_acpi_pm_read(struct stasis_acpi_pm *dev, uint64_t offset)
{
    switch (offset) {
    case PM1_STS:
    case PM1_STS + 1:
        return byte_of(dev->regs.pm1_sts, offset);
    case PM1_EN:
    case PM1_EN + 1:
        return byte_of(dev->regs.pm1_en, offset);
    case PM1_CNT:
    case PM1_CNT + 1:
        return byte_of(dev->regs.pm1_cnt | CNT_SCI_EN, offset);
    case GPE0_STS:
        return dev->regs.gpe0_sts;
    case GPE0_EN:
        return dev->regs.gpe0_en;
    default:
        guest_error(dev, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        return 0xff;
    }
}

/* `old` with the byte at `offset` replaced. */
static unsigned put_byte(unsigned old, uint64_t offset, uint8_t value)
{
    unsigned shift = 8 * (offset & 1);

    return (old & ~(0xffu << shift)) | (unsigned)value << shift;
}

static void write_cnt(struct stasis_acpi_pm *dev, uint64_t offset, uint8_t value)
{
    unsigned cnt = put_byte(dev->regs.pm1_cnt, offset, value);

    dev->regs.pm1_cnt = cnt & CNT_KEPT;
    if (!(cnt & CNT_SLP_EN))
        return;
    if ((cnt >> CNT_TYP_SHIFT & 7) == STASIS_ACPI_PM_S5)
        dev->ops->power_off(dev->ctx);
    else
        guest_error(dev, STASIS_GUEST_ERROR_BAD_COMMAND);
}

/* Status bits are cleared by writing ones. */
void stasis_acpi_pm_write(struct stasis_acpi_pm *dev, uint64_t offset, uint8_t value)
{
    switch (offset) {
    case PM1_STS:
    case PM1_STS + 1:
        dev->regs.pm1_sts &= (uint16_t)~put_byte(0, offset, value);
        break;
    case PM1_EN:
    case PM1_EN + 1:
        dev->regs.pm1_en = put_byte(dev->regs.pm1_en, offset, value) & PM1_EN_MASK;
        break;
    case PM1_CNT:
    case PM1_CNT + 1:
        write_cnt(dev, offset, value);
        break;
    case GPE0_STS:
        dev->regs.gpe0_sts &= (uint8_t)~value;
        break;
    case GPE0_EN:
        dev->regs.gpe0_en = value;
        break;
    default:
        guest_error(dev, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        break;
    }
    update_irq(dev);
}

/* ---- events ---- */

void stasis_acpi_pm_power_button(struct stasis_acpi_pm *dev)
{
    dev->regs.pm1_sts |= PWRBTN;
    update_irq(dev);
}

void stasis_acpi_pm_event(struct stasis_acpi_pm *dev, unsigned number)
{
    assert(number < STASIS_ACPI_PM_GPES);
    dev->regs.gpe0_sts |= (uint8_t)(1u << number);
    update_irq(dev);
}

/* ---- life ---- */

void stasis_acpi_pm_init(struct stasis_acpi_pm *dev, const struct stasis_acpi_pm_ops *ops,
                         void *ctx)
{
    assert(ops->power_off && ops->irq);
    *dev = (struct stasis_acpi_pm){.ops = ops, .ctx = ctx};
    stasis_state_init(&stasis_acpi_pm_schema, &dev->regs);
}

void stasis_acpi_pm_reset(struct stasis_acpi_pm *dev)
{
    stasis_state_init(&stasis_acpi_pm_schema, &dev->regs);
    update_irq(dev);
}

void stasis_acpi_pm_save(const struct stasis_acpi_pm *dev, struct stasis_acpi_pm_state *ret_state)
{
    *ret_state = dev->regs;
}

int stasis_acpi_pm_restore(struct stasis_acpi_pm *dev, const struct stasis_acpi_pm_state *state,
                           struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_acpi_pm_schema, state, err);

    if (rc)
        return rc;
    dev->regs = *state;
    dev->irq_level = sci_level(dev);
    return 0;
}

void stasis_acpi_pm_apply_outputs(struct stasis_acpi_pm *dev)
{
    dev->ops->irq(dev->ctx, dev->irq_level);
}
