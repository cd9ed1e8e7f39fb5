/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The 16550A serial port (core/serial.c) on a board.
 */
#include <string.h>

#include "stasis/serial.h"
#include "vmm/machine/adapter.h"

struct instance {
    struct stasis_adapter adapter;
    struct stasis_serial dev;
};

static size_t serial_tx(void *ctx, const uint8_t *bytes, size_t len)
{
    const struct stasis_device_output *out = &stasis_adapter_env(ctx)->host->serial_out;
    size_t taken = out->write(out->ctx, bytes, len);

    stasis_counter_add(&stasis_adapter_counters(ctx)->out_bytes, taken);
    return taken;
}

static void serial_event(void *ctx, enum stasis_serial_event event)
{
    const struct instance *serial = ctx;
    const struct stasis_device_host *host = stasis_adapter_env(ctx)->host;

    if (event == STASIS_SERIAL_RX_READY)
        host->serial_rx_ready(host->ctx, serial->adapter.device);
    else if (event == STASIS_SERIAL_TX_LOST)
        stasis_counter_add(&stasis_adapter_counters(ctx)->lost_bytes, 1);
}

static const struct stasis_serial_ops serial_ops = {stasis_adapter_raise_irq, serial_tx,
                                                    serial_event, stasis_adapter_guest_error};

static void serial_init(void *instance, const struct stasis_device *device)
{
    struct instance *serial = instance;

    serial->adapter.device = device;
    stasis_serial_init(&serial->dev, &serial_ops, serial);
}

/* The chip is 8 bits wide: a wider access is several, as on ISA. */
static uint64_t serial_read(void *ctx, uint64_t offset, unsigned len)
{
    struct instance *serial = ctx;
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)stasis_serial_read(&serial->dev, offset + i) << 8 * i;
    return value;
}

static void serial_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *serial = ctx;

    for (unsigned i = 0; i < len; i++)
        stasis_serial_write(&serial->dev, offset + i, (uint8_t)(value >> 8 * i));
}

static void serial_save(const void *instance, void *ret_state)
{
    stasis_serial_save(&((const struct instance *)instance)->dev, ret_state);
}

static int serial_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_serial_restore(&((struct instance *)instance)->dev, state, err);
}

static void serial_post_restore(void *instance)
{
    struct instance *serial = instance;

    stasis_serial_apply_outputs(&serial->dev);
    stasis_serial_tx_drain(&serial->dev);
}

const struct stasis_device_type stasis_device_serial_type = {
    .schema = &stasis_serial_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {serial_read, serial_write},
    .init = serial_init,
    .save = serial_save,
    .restore = serial_restore,
    .post_restore = serial_post_restore,
};

/* ---- the outside's way in ---- */

static struct stasis_serial *model(const struct stasis_device *serial)
{
    assert(serial->type == &stasis_device_serial_type);
    return &((struct instance *)serial->instance)->dev;
}

size_t stasis_device_serial_room(const struct stasis_device *serial)
{
    return serial ? stasis_serial_rx_room(model(serial)) : 0;
}

void stasis_device_serial_input(struct stasis_device *serial, const uint8_t *bytes, size_t len)
{
    if (serial)
        stasis_counter_add(&serial->counters->in_bytes,
                           stasis_serial_rx_push(model(serial), bytes, len));
}

void stasis_device_serial_drain(struct stasis_device *serial)
{
    if (serial)
        stasis_serial_tx_drain(model(serial));
}

size_t stasis_device_serial_unsent(const struct stasis_device *serial, uint8_t *buf, size_t size)
{
    struct stasis_serial_state state;
    size_t len;

    if (!serial)
        return 0;
    stasis_serial_save(model(serial), &state);
    len = state.tx_fifo_len < size ? state.tx_fifo_len : size;
    memcpy(buf, state.tx_fifo, len);
    return len;
}
