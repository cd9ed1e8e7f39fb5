/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The device types this release can put on a board: one row each in device_types[], and the glue
 * from the models of core/ to the machine.
 */
#include "vmm/machine/device.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/i8042.h"
#include "stasis/pl031.h"
#include "stasis/serial.h"
#include "vmm/machine/machine.h"

/* What every glue instance begins with. */
struct wiring {
    struct stasis_machine *machine;
    uint32_t gsi;
};

static void wire_irq(void *ctx, bool level)
{
    const struct wiring *wiring = ctx;

    stasis_machine_irq(wiring->machine, wiring->gsi, level);
}

static struct wiring wiring_of(struct stasis_machine *machine,
                               const struct stasis_board_device_state *row)
{
    return (struct wiring){.machine = machine, .gsi = row->gsi};
}

/* ---- serial ---- */

struct serial_instance {
    struct wiring wiring; /* first: wire_irq() gets a pointer to the whole */
    struct stasis_serial dev;
};

static size_t serial_tx(void *ctx, const uint8_t *bytes, size_t len)
{
    const struct stasis_device_host *host = ((struct wiring *)ctx)->machine->host;

    return host->serial_tx(host->ctx, bytes, len);
}

static void serial_note(void *ctx, enum stasis_serial_note note)
{
    const struct stasis_device_host *host = ((struct wiring *)ctx)->machine->host;

    if (note == STASIS_SERIAL_RX_READY)
        host->serial_rx_ready(host->ctx);
}

static const struct stasis_serial_ops serial_ops = {wire_irq, serial_tx, serial_note};

static int serial_init(void *instance, struct stasis_machine *machine,
                       const struct stasis_board_device_state *row, struct stasis_error *err)
{
    struct serial_instance *serial = instance;

    (void)err;
    serial->wiring = wiring_of(machine, row);
    stasis_serial_init(&serial->dev, &serial_ops, serial);
    return 0;
}

/* The chip is 8 bits wide: a wider access is several, as on ISA. */
static uint64_t serial_read(void *ctx, uint64_t offset, unsigned len)
{
    struct serial_instance *serial = ctx;
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)stasis_serial_read(&serial->dev, offset + i) << 8 * i;
    return value;
}

static void serial_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct serial_instance *serial = ctx;

    for (unsigned i = 0; i < len; i++)
        stasis_serial_write(&serial->dev, offset + i, (uint8_t)(value >> 8 * i));
}

static void serial_save(const void *instance, void *ret_state)
{
    stasis_serial_save(&((const struct serial_instance *)instance)->dev, ret_state);
}

static int serial_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_serial_restore(&((struct serial_instance *)instance)->dev, state, err);
}

static void serial_sync(void *instance)
{
    struct serial_instance *serial = instance;

    stasis_serial_sync_irq(&serial->dev);
    stasis_serial_tx_drain(&serial->dev);
}

/* ---- i8042 ---- */

struct i8042_instance {
    struct wiring wiring;
    struct stasis_i8042 dev;
};

static void i8042_reset(void *ctx)
{
    stasis_machine_end(((struct wiring *)ctx)->machine, STASIS_END_RESET, NULL);
}

static const struct stasis_i8042_ops i8042_ops = {i8042_reset, wire_irq};

static int i8042_init(void *instance, struct stasis_machine *machine,
                      const struct stasis_board_device_state *row, struct stasis_error *err)
{
    struct i8042_instance *i8042 = instance;

    (void)err;
    i8042->wiring = wiring_of(machine, row);
    stasis_i8042_init(&i8042->dev, &i8042_ops, i8042);
    return 0;
}

static uint64_t i8042_read(void *ctx, uint64_t offset, unsigned len)
{
    struct i8042_instance *i8042 = ctx;
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)stasis_i8042_read(&i8042->dev, offset + i) << 8 * i;
    return value;
}

static void i8042_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct i8042_instance *i8042 = ctx;

    for (unsigned i = 0; i < len; i++)
        stasis_i8042_write(&i8042->dev, offset + i, (uint8_t)(value >> 8 * i));
}

static void i8042_save(const void *instance, void *ret_state)
{
    stasis_i8042_save(&((const struct i8042_instance *)instance)->dev, ret_state);
}

static int i8042_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_i8042_restore(&((struct i8042_instance *)instance)->dev, state, err);
}

static void i8042_sync(void *instance)
{
    stasis_i8042_sync_irq(&((struct i8042_instance *)instance)->dev);
}

/* ---- pl031 ---- */

struct pl031_instance {
    struct wiring wiring;
    struct stasis_pl031 dev;
};

static uint64_t pl031_now(void *ctx)
{
    const struct stasis_device_host *host = ((struct wiring *)ctx)->machine->host;

    return host->rtc_now_ns(host->ctx);
}

static void pl031_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    const struct stasis_device_host *host = ((struct wiring *)ctx)->machine->host;

    host->rtc_arm(host->ctx, on, deadline_ns);
}

static const struct stasis_pl031_ops pl031_ops = {pl031_now, wire_irq, pl031_arm, NULL};

static int pl031_init(void *instance, struct stasis_machine *machine,
                      const struct stasis_board_device_state *row, struct stasis_error *err)
{
    struct pl031_instance *pl031 = instance;

    (void)err;
    pl031->wiring = wiring_of(machine, row);
    stasis_pl031_init(&pl031->dev, &pl031_ops, pl031);
    stasis_pl031_set_time(&pl031->dev, pl031_now(pl031));
    return 0;
}

static uint64_t pl031_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_pl031_read(&((struct pl031_instance *)ctx)->dev, offset, len);
}

static void pl031_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    stasis_pl031_write(&((struct pl031_instance *)ctx)->dev, offset, len, (uint32_t)value);
}

static void pl031_save(const void *instance, void *ret_state)
{
    stasis_pl031_save(&((const struct pl031_instance *)instance)->dev, ret_state);
}

static int pl031_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_pl031_restore(&((struct pl031_instance *)instance)->dev, state, err);
}

static void pl031_sync(void *instance)
{
    stasis_pl031_sync_irq(&((struct pl031_instance *)instance)->dev);
}

/* ---- the table ---- */

static const struct stasis_device_type device_types[] = {
    {
        .schema = &stasis_serial_schema,
        .version = 1,
        .size = sizeof(struct serial_instance),
        .bus = {serial_read, serial_write},
        .init = serial_init,
        .save = serial_save,
        .restore = serial_restore,
        .sync = serial_sync,
    },
    {
        .schema = &stasis_i8042_schema,
        .version = 1,
        .size = sizeof(struct i8042_instance),
        .bus = {i8042_read, i8042_write},
        .init = i8042_init,
        .save = i8042_save,
        .restore = i8042_restore,
        .sync = i8042_sync,
    },
    {
        .schema = &stasis_pl031_schema,
        .version = 1,
        .size = sizeof(struct pl031_instance),
        .bus = {pl031_read, pl031_write},
        .init = pl031_init,
        .save = pl031_save,
        .restore = pl031_restore,
        .sync = pl031_sync,
    },
};

int stasis_device_type_find(const struct stasis_board_device_state *row,
                            const struct stasis_device_type **ret_type, struct stasis_error *err)
{
    for (size_t i = 0; i < sizeof(device_types) / sizeof(device_types[0]); i++) {
        const struct stasis_device_type *type = &device_types[i];

        if (strcmp(row->type, type->schema->type) != 0)
            continue;
        if (row->version < 1 || row->version > type->version)
            return stasis_fail(err, STASIS_ERR_VERSION,
                               "device %s is of version %u, this release builds %s up to %u; use a "
                               "newer release",
                               row->instance, row->version, row->type, type->version);
        *ret_type = type;
        return 0;
    }
    return stasis_fail(err, STASIS_ERR_VERSION,
                       "device %s is a %s, which this release does not have; use a newer release",
                       row->instance, row->type);
}

/* ---- all devices of a board ---- */

static int attach(struct stasis_machine *machine, const struct stasis_board_device_state *row,
                  struct stasis_error *err)
{
    struct stasis_device *device = &machine->devices[machine->device_count];
    struct stasis_bus *bus = row->bus == STASIS_BUS_PIO ? &machine->pio : &machine->mmio;
    int rc = stasis_device_type_find(row, &device->type, err);

    if (rc)
        return rc;
    device->row = row;
    device->instance = calloc(1, device->type->size);
    if (!device->instance)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for device %s", row->instance);
    machine->device_count++;
    rc = device->type->init(device->instance, machine, row, err);
    if (rc)
        return rc;
    return stasis_bus_add(bus, row->base, row->size, &device->type->bus, device->instance,
                          row->instance, err);
}

int stasis_devices_attach(struct stasis_machine *machine, struct stasis_error *err)
{
    _Static_assert(sizeof(machine->devices) / sizeof(machine->devices[0]) ==
                       sizeof(machine->board.devices) / sizeof(machine->board.devices[0]),
                   "a board holds as many devices as a machine");

    for (uint32_t i = 0; i < machine->board.devices_count; i++) {
        int rc = attach(machine, &machine->board.devices[i], err);

        if (rc)
            return rc;
    }
    return 0;
}

void stasis_devices_detach(struct stasis_machine *machine)
{
    for (uint32_t i = 0; i < machine->device_count; i++)
        free(machine->devices[i].instance);
    machine->device_count = 0;
}

struct stasis_device *stasis_device_find(struct stasis_machine *machine,
                                         const struct stasis_schema *schema)
{
    for (uint32_t i = 0; i < machine->device_count; i++) {
        if (machine->devices[i].type->schema == schema)
            return &machine->devices[i];
    }
    return NULL;
}

/* ---- the outside's way in ---- */

static struct stasis_serial *console(struct stasis_machine *machine)
{
    struct stasis_device *device = stasis_device_find(machine, &stasis_serial_schema);

    return device ? &((struct serial_instance *)device->instance)->dev : NULL;
}

size_t stasis_device_serial_room(struct stasis_machine *machine)
{
    struct stasis_serial *serial = console(machine);

    return serial ? stasis_serial_rx_room(serial) : 0;
}

void stasis_device_serial_input(struct stasis_machine *machine, const uint8_t *bytes, size_t len)
{
    struct stasis_serial *serial = console(machine);

    if (serial)
        (void)stasis_serial_rx_push(serial, bytes, len);
}

void stasis_device_serial_drain(struct stasis_machine *machine)
{
    struct stasis_serial *serial = console(machine);

    if (serial)
        stasis_serial_tx_drain(serial);
}

size_t stasis_device_serial_unsent(struct stasis_machine *machine, uint8_t *buf, size_t size)
{
    struct stasis_serial *serial = console(machine);
    struct stasis_serial_state state;
    size_t len;

    if (!serial)
        return 0;
    stasis_serial_save(serial, &state);
    len = state.tx_fifo_len < size ? state.tx_fifo_len : size;
    memcpy(buf, state.tx_fifo, len);
    return len;
}

void stasis_device_alarm(struct stasis_machine *machine)
{
    struct stasis_device *device = stasis_device_find(machine, &stasis_pl031_schema);

    if (device)
        stasis_pl031_alarm(&((struct pl031_instance *)device->instance)->dev);
}
