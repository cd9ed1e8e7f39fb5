/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Between serial.c, the side that the guest sees, and serial_state.c, the side that the VMM sees:
 * register bits of the PC16550D and what both sides do to the chip.
 */
#ifndef STASIS_CORE_SERIAL_CHIP_H
#define STASIS_CORE_SERIAL_CHIP_H

#include "stasis/serial.h"

enum {
    IER_ERBFI = 0x01, /* received data available */
    IER_ETBEI = 0x02, /* transmitter holding register empty */
    IER_ELSI = 0x04,  /* receiver line status */
    IER_EDSSI = 0x08, /* modem status */
    IER_MASK = 0x0f,
};

/* "Interrupt Control Functions" of the data sheet, highest priority first. */
enum {
    IIR_RLS = 0x06,
    IIR_RDA = 0x04,
    IIR_CTI = 0x0c,
    IIR_THRE = 0x02,
    IIR_MSI = 0x00,
    IIR_NONE = 0x01,
    IIR_FIFOS = 0xc0,
};

enum {
    FCR_ENABLE = 0x01,
    FCR_RX_RESET = 0x02,
    FCR_TX_RESET = 0x04,
    FCR_KEPT = 0xc9, /* enable, DMA mode, trigger level; the resets clear themselves */
    FCR_TRIGGER_SHIFT = 6,
};

enum {
    LCR_DLAB = 0x80,
    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    MCR_MASK = 0x1f,
};

enum {
    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_PE = 0x04,
    LSR_FE = 0x08,
    LSR_BI = 0x10,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80,
};

enum {
    MSR_DELTAS = 0x0f,
    MSR_TERI = 0x04,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
    MSR_LINES = 0xf0,
};

/* What IIR reports in bits 0-3: the source of highest priority, or IIR_NONE. */
uint8_t stasis_serial_interrupt_id(const struct stasis_serial *dev);

/* The only place that moves INTR. */
void stasis_serial_update_irq(struct stasis_serial *dev);

/* The transmitter has become empty, or ETBEI was set while it was. A flip-flop and not a level:
 * guests that keep ETBEI on would otherwise be interrupted for ever. */
void stasis_serial_arm_thre(struct stasis_serial *dev);

/* Appends a character to the receive FIFO, which must have room; with_break: it is a break. */
void stasis_serial_rx_append(struct stasis_serial *dev, uint8_t byte, bool with_break);

/* Offers the sink what waits. */
void stasis_serial_tx_offer(struct stasis_serial *dev);

/* Bits 4-7 of MSR: the lines outside, or in loopback the outputs of MCR wired back. */
uint8_t stasis_serial_modem_lines(const struct stasis_serial *dev);

/* Sets the deltas of MSR after the lines may have changed from `before`. */
void stasis_serial_note_modem(struct stasis_serial *dev, uint8_t before);

static inline uint32_t stasis_serial_capacity(const struct stasis_serial *dev)
{
    return dev->regs.fcr & FCR_ENABLE ? STASIS_SERIAL_FIFO_SIZE : 1;
}

#endif
