/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * pvpanic: the guest's accesses, resets, and freezes in between.
 */
#include "device.h"

#include "stasis/pvpanic.h"

struct port {
    struct stasis_pvpanic dev;
    unsigned panics, errors;
};

static void on_panicked(void *ctx)
{
    ((struct port *)ctx)->panics++;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    FUZZ_ASSERT(error == STASIS_GUEST_ERROR_BAD_COMMAND);
    ((struct port *)ctx)->errors++;
}

static const struct stasis_pvpanic_ops ops = {on_panicked, on_error};

static void save(const struct port *port, struct stasis_pvpanic_state *ret_state)
{
    memset(ret_state, 0, sizeof(*ret_state));
    stasis_pvpanic_save(&port->dev, ret_state);
}

static void refreeze(struct port *port)
{
    struct stasis_pvpanic_state state, thawed;

    save(port, &state);
    fuzz_through_file(&stasis_pvpanic_schema, &state, &thawed);
    stasis_pvpanic_init(&port->dev, &ops, port);
    FUZZ_ASSERT(!stasis_pvpanic_restore(&port->dev, &thawed, NULL));
}

static uint8_t happen(struct port *port, struct fuzz_events *events)
{
    uint8_t kind = fuzz_u8(events), value = fuzz_u8(events);

    switch (kind % 4) {
    case 0:
        return stasis_pvpanic_read(&port->dev);
    case 1:
        stasis_pvpanic_reset(&port->dev);
        break;
    default:
        stasis_pvpanic_write(&port->dev, value);
        break;
    }
    return 0;
}

static void compare(const struct port *one, const struct port *two)
{
    struct stasis_pvpanic_state first, second;

    save(one, &first);
    save(two, &second);
    FUZZ_ASSERT(!memcmp(&first, &second, sizeof(first)));
    FUZZ_ASSERT(one->panics == two->panics && one->errors == two->errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_events events = {bytes, bytes + len};
    struct port both[2] = {{.panics = 0}, {.panics = 0}};

    for (unsigned i = 0; i < 2; i++)
        stasis_pvpanic_init(&both[i].dev, &ops, &both[i]);
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
