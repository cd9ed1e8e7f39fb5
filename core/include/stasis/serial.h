/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * 16550A serial port (National PC16550D) with 64-byte FIFOs.
 *
 * The caller owns the struct, serializes all calls, and hands in what the chip is wired to.
 * Nothing here allocates, blocks or can be made to fail by the guest. The operations are called
 * from inside the functions below and must not call back into the device.
 *
 * Where the model differs from the chip:
 *  - Time does not pass in it. A byte is sent as soon as the sink takes it. The character timeout
 *    has always elapsed: bytes below the trigger level are reported at once, as a timeout (IIR
 *    0x0c), and so can never get stuck behind a trigger level.
 *  - Both FIFOs hold 64 bytes, so that Linux takes 64 at a time; trigger levels stay 1, 4, 8, 14.
 *  - OUT2 does not gate the interrupt. PC boards have that gate beside the chip; boards with
 *    MMIO have none, and it would also silence interrupts in loopback.
 *  - A break sent by the guest (LCR bit 6), word length, parity and speed are only stored.
 */
#ifndef STASIS_SERIAL_H
#define STASIS_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/core_version.h"
#include "stasis/error.h"
#include "stasis/guest_error.h"
#include "stasis/state.h"

STASIS_BEGIN_DECLS

#define STASIS_SERIAL_SIZE      8 /* ports or bytes on the bus */
#define STASIS_SERIAL_FIFO_SIZE 64

enum stasis_serial_event {
    STASIS_SERIAL_RX_READ,  /* the guest read the receive buffer */
    STASIS_SERIAL_RX_READY, /* the receive FIFO ran empty, or loopback ended: push again */
    STASIS_SERIAL_TX_SENT,  /* the sink took a byte */
    STASIS_SERIAL_TX_LOST,  /* the guest wrote a byte while the transmit FIFO was full */
    STASIS_SERIAL_NOTE_COUNT,
};

struct stasis_serial_ops {
    /* The INTR pin changed to `level`. Never called twice with the same level, but for
     * stasis_serial_apply_outputs(). */
    void (*irq)(void *ctx, bool level);
    /* Offers len > 0 bytes; returns how many the sink took. If fewer than len, the rest waits in
     * the transmit FIFO until stasis_serial_tx_drain(): the guest sees a busy transmitter. A guest
     * that drops what waits (a reset, of the FIFO or the device) and sends anew has it offered at
     * once. A sink that will never take again must take and drop, else a guest that waits for the
     * transmitter waits for ever. */
    size_t (*tx)(void *ctx, const uint8_t *bytes, size_t len);
    /* Something happened that the VMM may want to act on or count. May be NULL. */
    void (*event)(void *ctx, enum stasis_serial_event event);
    /* The guest made an invalid access, which reads 0xff or is ignored: UNKNOWN_REGISTER outside
     * the chip, READ_ONLY for a write to LSR or MSR. May be NULL. */
    void (*guest_error)(void *ctx, enum stasis_guest_error error);
};

/* Private but for its size. `regs` holds the FIFOs as rings that start at the heads. */
struct stasis_serial {
    const struct stasis_serial_ops *ops;
    void *ctx;
    struct stasis_serial_state regs;
    uint32_t rx_head;
    uint32_t tx_head;
    bool intr;
};

/* A chip after power-on: INTR low, modem lines CTS, DSR and DCD on. Calls no operation. `ops` must
 * outlive the device. */
STASIS_EXPORT void stasis_serial_init(struct stasis_serial *dev,
                                      const struct stasis_serial_ops *ops, void *ctx);

/* Master reset: everything but the modem lines takes its default, waiting bytes are dropped. */
STASIS_EXPORT void stasis_serial_reset(struct stasis_serial *dev);

/* One byte-wide access by the guest. The bus splits wider ones into bytes, as ISA does. */
STASIS_EXPORT uint8_t stasis_serial_read(struct stasis_serial *dev, uint64_t offset);
STASIS_EXPORT void stasis_serial_write(struct stasis_serial *dev, uint64_t offset, uint8_t value);

/* How many bytes the receiver takes now: 0 in loopback, which disconnects it. When it was 0,
 * STASIS_SERIAL_RX_READY says when to look again (as does a reset or restore, which give no event).
 */
STASIS_EXPORT size_t stasis_serial_rx_room(const struct stasis_serial *dev);

/* Receives the first bytes that there is room for and returns their number; keep the others. */
STASIS_EXPORT size_t stasis_serial_rx_push(struct stasis_serial *dev, const uint8_t *bytes,
                                           size_t len);

/* Receives a break: a zero byte that LSR.BI goes with. False if there is no room for it. */
STASIS_EXPORT bool stasis_serial_rx_break(struct stasis_serial *dev);

/* Tells the guest that input was lost outside (LSR.OE), for a source that cannot be held back. */
STASIS_EXPORT void stasis_serial_rx_overrun(struct stasis_serial *dev);

/* Sets the modem lines as in MSR: 0x10 CTS, 0x20 DSR, 0x40 RI, 0x80 DCD; other bits ignored. */
STASIS_EXPORT void stasis_serial_set_modem(struct stasis_serial *dev, uint8_t lines);

/* The sink can take again: offers it what waits. Harmless when nothing does. */
STASIS_EXPORT void stasis_serial_tx_drain(struct stasis_serial *dev);

/* The level of INTR. */
STASIS_EXPORT bool stasis_serial_intr(const struct stasis_serial *dev);

/* *ret_state becomes all there is to know; equal devices give equal bytes. Changes nothing. */
STASIS_EXPORT void stasis_serial_save(const struct stasis_serial *dev,
                                      struct stasis_serial_state *ret_state);

/* Takes over a state on an initialized device. Calls no operation: when the interrupt controller
 * is in place call stasis_serial_apply_outputs(), then stasis_serial_tx_drain().
 * STASIS_ERR_RANGE: the state contradicts itself; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_serial_restore(struct stasis_serial *dev,
                                                          const struct stasis_serial_state *state,
                                                          struct stasis_error *err);

/* Calls ops->irq with the level of INTR whether or not it changed: the last step of a restore. */
STASIS_EXPORT void stasis_serial_apply_outputs(struct stasis_serial *dev);

STASIS_END_DECLS

#endif
