/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A serial port wired to a recorder: what the tests of the serial port share.
 */
#ifndef STASIS_TESTS_SERIAL_RIG_H
#define STASIS_TESTS_SERIAL_RIG_H

#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/serial.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

struct rig {
    struct stasis_serial dev;
    bool line;
    unsigned rises;
    unsigned falls;
    unsigned events[STASIS_SERIAL_NOTE_COUNT];
    unsigned errors[STASIS_GUEST_ERROR_COUNT];
    size_t sink_room; /* what the sink takes before it is full */
    size_t out_len;
    unsigned tx_calls;
    uint8_t out[65536];
};

static inline void rig_irq(void *ctx, bool level)
{
    struct rig *rig = ctx;

    assert_int_not_equal(level, rig->line); /* only changes are reported */
    rig->rises += level;
    rig->falls += !level;
    rig->line = level;
}

static inline size_t rig_tx(void *ctx, const uint8_t *bytes, size_t len)
{
    struct rig *rig = ctx;
    size_t taken = len < rig->sink_room ? len : rig->sink_room;

    assert_true(len > 0);
    assert_true(rig->out_len + taken <= sizeof(rig->out));
    memcpy(rig->out + rig->out_len, bytes, taken);
    rig->out_len += taken;
    rig->sink_room -= taken;
    rig->tx_calls++;
    return taken;
}

static inline void rig_event(void *ctx, enum stasis_serial_event event)
{
    ((struct rig *)ctx)->events[event]++;
}

static inline void rig_guest_error(void *ctx, enum stasis_guest_error error)
{
    ((struct rig *)ctx)->errors[error]++;
}

static const struct stasis_serial_ops rig_ops = {rig_irq, rig_tx, rig_event, rig_guest_error};

static inline void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->sink_room = SIZE_MAX;
    stasis_serial_init(&rig->dev, &rig_ops, rig);
}

static inline uint8_t rd(struct rig *rig, uint64_t offset)
{
    uint8_t value = stasis_serial_read(&rig->dev, offset);

    assert_int_equal(rig->line, stasis_serial_intr(&rig->dev));
    return value;
}

static inline void wr(struct rig *rig, uint64_t offset, uint8_t value)
{
    stasis_serial_write(&rig->dev, offset, value);
    assert_int_equal(rig->line, stasis_serial_intr(&rig->dev));
}

static inline size_t push(struct rig *rig, const char *bytes, size_t len)
{
    return stasis_serial_rx_push(&rig->dev, (const uint8_t *)bytes, len);
}

#endif
