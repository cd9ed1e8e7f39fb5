/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The power management registers: the guest's accesses, the power button and other events, and
 * freezes in between.
 */
#include "device.h"

#include "stasis/acpi_pm.h"

struct registers {
    struct stasis_acpi_pm dev;
    bool line, thawing;
    unsigned power_offs, errors;
};

static void on_power_off(void *ctx)
{
    ((struct registers *)ctx)->power_offs++;
}

static void on_irq(void *ctx, bool level)
{
    struct registers *regs = ctx;

    FUZZ_ASSERT(regs->thawing || level != regs->line);
    regs->line = level;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    FUZZ_ASSERT(error == STASIS_GUEST_ERROR_UNKNOWN_REGISTER ||
                error == STASIS_GUEST_ERROR_BAD_COMMAND);
    ((struct registers *)ctx)->errors++;
}

static const struct stasis_acpi_pm_ops ops = {on_power_off, on_irq, on_error};

static void save(const struct registers *regs, struct stasis_acpi_pm_state *ret_state)
{
    stasis_acpi_pm_save(&regs->dev, ret_state);
}

static void refreeze(struct registers *regs)
{
    struct stasis_acpi_pm_state state, thawed;

    save(regs, &state);
    fuzz_through_file(&stasis_acpi_pm_schema, &state, &thawed);
    stasis_acpi_pm_init(&regs->dev, &ops, regs);
    FUZZ_ASSERT(!stasis_acpi_pm_restore(&regs->dev, &thawed, NULL));
    regs->thawing = true;
    stasis_acpi_pm_apply_outputs(&regs->dev);
    regs->thawing = false;
}

static uint8_t happen(struct registers *regs, struct fuzz_events *events)
{
    uint8_t kind = fuzz_u8(events), value = fuzz_u8(events);

    switch (kind >> 4) {
    case 0:
    case 1:
        return stasis_acpi_pm_read(&regs->dev, kind % 16);
    case 2:
        stasis_acpi_pm_power_button(&regs->dev);
        break;
    case 3:
        stasis_acpi_pm_event(&regs->dev, value % STASIS_ACPI_PM_GPES);
        break;
    case 4:
        stasis_acpi_pm_reset(&regs->dev);
        break;
    default:
        stasis_acpi_pm_write(&regs->dev, kind % 16, value);
        break;
    }
    return 0;
}

static void compare(const struct registers *one, const struct registers *two)
{
    struct stasis_acpi_pm_state first, second;

    save(one, &first);
    save(two, &second);
    FUZZ_ASSERT(fuzz_same(&stasis_acpi_pm_schema, &first, &second));
    FUZZ_ASSERT(one->line == two->line && one->power_offs == two->power_offs &&
                one->errors == two->errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_events events = {bytes, bytes + len};
    struct registers both[2] = {{.line = false}, {.line = false}};

    for (unsigned i = 0; i < 2; i++)
        stasis_acpi_pm_init(&both[i].dev, &ops, &both[i]);
    while (events.at < events.end) {
        struct fuzz_events again = events;

        if (*events.at == 0xff) {
            events.at++;
            refreeze(&both[1]);
        } else {
            FUZZ_ASSERT(happen(&both[0], &events) == happen(&both[1], &again));
        }
        compare(&both[0], &both[1]);
    }
    return 0;
}
