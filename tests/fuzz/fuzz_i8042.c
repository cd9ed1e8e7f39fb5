/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The keyboard controller: the guest's accesses, resets of the machine, and freezes in between.
 */
#include "device.h"

#include "stasis/i8042.h"

struct controller {
    struct stasis_i8042 dev;
    bool line, thawing;
    unsigned resets, errors;
};

static void on_reset(void *ctx)
{
    ((struct controller *)ctx)->resets++;
}

static void on_irq(void *ctx, bool level)
{
    struct controller *controller = ctx;

    FUZZ_ASSERT(controller->thawing || level != controller->line);
    controller->line = level;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    FUZZ_ASSERT(error == STASIS_GUEST_ERROR_UNKNOWN_REGISTER ||
                error == STASIS_GUEST_ERROR_BAD_COMMAND);
    ((struct controller *)ctx)->errors++;
}

static const struct stasis_i8042_ops ops = {on_reset, on_irq, on_error};

static void save(const struct controller *controller, struct stasis_i8042_state *ret_state)
{
    stasis_i8042_save(&controller->dev, ret_state);
}

static void refreeze(struct controller *controller)
{
    struct stasis_i8042_state state, thawed;

    save(controller, &state);
    fuzz_through_file(&stasis_i8042_schema, &state, &thawed);
    stasis_i8042_init(&controller->dev, &ops, controller);
    FUZZ_ASSERT(!stasis_i8042_restore(&controller->dev, &thawed, NULL));
    controller->thawing = true;
    stasis_i8042_apply_outputs(&controller->dev);
    controller->thawing = false;
}

static uint8_t happen(struct controller *controller, struct fuzz_events *events)
{
    uint8_t kind = fuzz_u8(events), value = fuzz_u8(events);

    if (kind < 0x40)
        return stasis_i8042_read(&controller->dev, kind % 8);
    if (kind == 0x40)
        stasis_i8042_reset(&controller->dev);
    else
        stasis_i8042_write(&controller->dev, kind % 8, value);
    return 0;
}

static void compare(const struct controller *one, const struct controller *two)
{
    struct stasis_i8042_state first, second;

    save(one, &first);
    save(two, &second);
    FUZZ_ASSERT(fuzz_same(&stasis_i8042_schema, &first, &second));
    FUZZ_ASSERT(one->line == two->line && one->resets == two->resets && one->errors == two->errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_events events = {bytes, bytes + len};
    struct controller both[2] = {{.line = false}, {.line = false}};

    for (unsigned i = 0; i < 2; i++)
        stasis_i8042_init(&both[i].dev, &ops, &both[i]);
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
