/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The serial port: the guest's accesses, input, breaks, modem lines, an output that is full or
 * takes again, resets, and freezes in between.
 */
#include "device.h"

#include "stasis/serial.h"

struct port {
    struct stasis_serial dev;
    bool line, thawing;
    size_t room;  /* what the output takes before it is full */
    uint32_t out; /* a sum of all that it took */
    unsigned sent, lost, errors;
};

static void on_irq(void *ctx, bool level)
{
    struct port *port = ctx;

    FUZZ_ASSERT(port->thawing || level != port->line);
    port->line = level;
}

static size_t on_tx(void *ctx, const uint8_t *bytes, size_t len)
{
    struct port *port = ctx;
    size_t taken = len < port->room ? len : port->room;

    FUZZ_ASSERT(len && len <= STASIS_SERIAL_FIFO_SIZE);
    for (size_t i = 0; i < taken; i++)
        port->out = port->out * 31 + bytes[i] + 1;
    port->room -= taken;
    return taken;
}

static void on_event(void *ctx, enum stasis_serial_event event)
{
    struct port *port = ctx;

    FUZZ_ASSERT(event < STASIS_SERIAL_NOTE_COUNT);
    port->sent += event == STASIS_SERIAL_TX_SENT;
    port->lost += event == STASIS_SERIAL_TX_LOST;
}

static void on_error(void *ctx, enum stasis_guest_error error)
{
    FUZZ_ASSERT(error == STASIS_GUEST_ERROR_UNKNOWN_REGISTER ||
                error == STASIS_GUEST_ERROR_READ_ONLY);
    ((struct port *)ctx)->errors++;
}

static const struct stasis_serial_ops ops = {on_irq, on_tx, on_event, on_error};

static void save(const struct port *port, struct stasis_serial_state *ret_state)
{
    stasis_serial_save(&port->dev, ret_state);
}

static void refreeze(struct port *port)
{
    struct stasis_serial_state state, thawed;

    save(port, &state);
    fuzz_through_file(&stasis_serial_schema, &state, &thawed);
    stasis_serial_init(&port->dev, &ops, port);
    FUZZ_ASSERT(!stasis_serial_restore(&port->dev, &thawed, NULL));
    port->thawing = true;
    stasis_serial_apply_outputs(&port->dev);
    port->thawing = false;
    stasis_serial_tx_drain(&port->dev); /* as a thaw does: it may have waited */
}

static void push(struct port *port, const uint8_t *bytes, size_t len)
{
    size_t room = stasis_serial_rx_room(&port->dev);
    size_t taken = stasis_serial_rx_push(&port->dev, bytes, len);

    FUZZ_ASSERT(room <= STASIS_SERIAL_FIFO_SIZE && taken == (len < room ? len : room));
}

/* One event for one of the two; what the guest sees of it. */
static uint8_t happen(struct port *port, struct fuzz_events *events)
{
    uint8_t kind = fuzz_u8(events), value = fuzz_u8(events);
    uint8_t bytes[STASIS_SERIAL_FIFO_SIZE + 1];

    switch (kind >> 4) {
    case 0:
    case 1:
        return stasis_serial_read(&port->dev, kind);
    case 2:
        memset(bytes, value, sizeof(bytes));
        push(port, bytes, value % (sizeof(bytes) + 1));
        break;
    case 3:
        port->room = value;
        stasis_serial_tx_drain(&port->dev);
        break;
    case 4:
        return stasis_serial_rx_break(&port->dev);
    case 5:
        stasis_serial_rx_overrun(&port->dev);
        break;
    case 6:
        stasis_serial_set_modem(&port->dev, value);
        break;
    case 7:
        stasis_serial_reset(&port->dev);
        break;
    default:
        stasis_serial_write(&port->dev, kind % 16, value);
        break;
    }
    return 0;
}

static void compare(const struct port *one, const struct port *two)
{
    struct stasis_serial_state first, second;

    save(one, &first);
    save(two, &second);
    FUZZ_ASSERT(fuzz_same(&stasis_serial_schema, &first, &second));
    FUZZ_ASSERT(one->line == two->line && one->out == two->out && one->room == two->room);
    FUZZ_ASSERT(one->sent == two->sent && one->lost == two->lost && one->errors == two->errors);
    FUZZ_ASSERT(one->line == stasis_serial_intr(&one->dev));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz_events events = {bytes, bytes + len};
    struct port ports[2] = {{.room = 3}, {.room = 3}};

    for (unsigned i = 0; i < 2; i++)
        stasis_serial_init(&ports[i].dev, &ops, &ports[i]);
    while (events.at < events.end) {
        struct fuzz_events again = events;

        if (*events.at == 0xff) {
            events.at++;
            refreeze(&ports[1]);
        } else {
            FUZZ_ASSERT(happen(&ports[0], &events) == happen(&ports[1], &again));
        }
        compare(&ports[0], &ports[1]);
    }
    return 0;
}
