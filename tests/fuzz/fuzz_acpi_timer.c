/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The ACPI timer: the guest's accesses, resets, time that passes, and freezes in between.
 */
#include "device.h"

#include "stasis/acpi_timer.h"

struct timer {
    struct stasis_acpi_timer dev;
    uint64_t now;
    unsigned errors;
};

static uint64_t on_now(void *ctx)
{
    return ((struct timer *)ctx)->now;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    FUZZ_ASSERT(error == STASIS_GUEST_ERROR_READ_ONLY);
    ((struct timer *)ctx)->errors++;
}

static const struct stasis_acpi_timer_ops ops = {on_now, on_error};

static void save(const struct timer *timer, struct stasis_acpi_timer_state *ret_state)
{
    memset(ret_state, 0, sizeof(*ret_state));
    stasis_acpi_timer_save(&timer->dev, ret_state);
}

/* On a host whose clock is elsewhere. */
static void refreeze(struct timer *timer)
{
    struct stasis_acpi_timer_state state, thawed;

    save(timer, &state);
    fuzz_through_file(&stasis_acpi_timer_schema, &state, &thawed);
    timer->now = ~timer->now;
    stasis_acpi_timer_init(&timer->dev, &ops, timer);
    FUZZ_ASSERT(!stasis_acpi_timer_restore(&timer->dev, &thawed, NULL));
}

static uint32_t happen(struct timer *timer, struct fuzz_events *events)
{
    uint8_t kind = fuzz_u8(events), value = fuzz_u8(events);
    unsigned size = 1u << value % 3, offset = value / 4 % (5 - size);

    switch (kind % 4) {
    case 0:
        return stasis_acpi_timer_read(&timer->dev, offset, size);
    case 1:
        stasis_acpi_timer_write(&timer->dev);
        break;
    case 2:
        stasis_acpi_timer_reset(&timer->dev);
        break;
    default:
        timer->now += UINT64_C(1) << value % 64;
        break;
    }
    return 0;
}

static void compare(const struct timer *one, const struct timer *two)
{
    struct stasis_acpi_timer_state first, second;

    save(one, &first);
    save(two, &second);
    FUZZ_ASSERT(!memcmp(&first, &second, sizeof(first)));
    FUZZ_ASSERT(one->errors == two->errors);
}

/* Two ways to let time pass for a state. */
static void advance(struct timer *both)
{
    struct stasis_acpi_timer_state state;

    both[0].now += 12345;
    save(&both[1], &state);
    stasis_acpi_timer_state_advance(&state, 12345);
    FUZZ_ASSERT(!stasis_acpi_timer_restore(&both[1].dev, &state, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_events events = {bytes, bytes + len};
    struct timer both[2] = {{.now = 1}, {.now = 1}};

    for (unsigned i = 0; i < 2; i++)
        stasis_acpi_timer_init(&both[i].dev, &ops, &both[i]);
    while (events.at < events.end) {
        struct fuzz_events again = events;

        if (*events.at >= 0xfe) {
            if (*events.at++ == 0xff)
                refreeze(&both[1]);
            else
                advance(both);
        } else {
            FUZZ_ASSERT(happen(&both[0], &events) == happen(&both[1], &again));
        }
        compare(&both[0], &both[1]);
    }
    return 0;
}
