/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * 16550A serial port, the side that the guest sees, after National's PC16550D data sheet; register
 * and bit names are its. What is not modelled is listed in stasis/serial.h.
 *
 * Invariants: IIR, LSR.DR, LSR.THRE, LSR.TEMT and INTR are derived, never stored. thre_pending
 * implies IER.ETBEI and an empty transmit FIFO. A FIFO that is off holds at most one byte.
 */
#include "serial_internal.h"

#include <assert.h>

enum {
    REG_DATA = 0, /* RBR, THR; DLL with DLAB */
    REG_IER = 1,  /* DLM with DLAB */
    REG_IIR = 2,  /* FCR when written */
    REG_LCR = 3,
    REG_MCR = 4,
    REG_LSR = 5,
    REG_MSR = 6,
    REG_SCR = 7,
};

static void event(const struct stasis_serial *dev, enum stasis_serial_event what)
{
    if (dev->ops->event)
        dev->ops->event(dev->ctx, what);
}

static void guest_error(const struct stasis_serial *dev, enum stasis_guest_error error)
{
    if (dev->ops->guest_error)
        dev->ops->guest_error(dev->ctx, error);
}

static uint32_t rx_trigger(const struct stasis_serial *dev)
{
    static const uint8_t level[] = {1, 4, 8, 14};

    return level[dev->regs.fcr >> FCR_TRIGGER_SHIFT];
}

uint8_t stasis_serial_interrupt_id(const struct stasis_serial *dev)
{
    const struct stasis_serial_state *r = &dev->regs;

    if ((r->ier & IER_ELSI) && r->lsr_errors)
        return IIR_RLS;
    if ((r->ier & IER_ERBFI) && r->rx_fifo_len)
        return r->rx_fifo_len >= rx_trigger(dev) ? IIR_RDA : IIR_CTI;
    if (r->thre_pending)
        return IIR_THRE;
    if ((r->ier & IER_EDSSI) && (r->msr & MSR_DELTAS))
        return IIR_MSI;
    return IIR_NONE;
}

void stasis_serial_update_irq(struct stasis_serial *dev)
{
    bool level = stasis_serial_interrupt_id(dev) != IIR_NONE;

    if (level == dev->intr)
        return;
    dev->intr = level;
    dev->ops->irq(dev->ctx, level);
}

void stasis_serial_arm_thre(struct stasis_serial *dev)
{
    if ((dev->regs.ier & IER_ETBEI) && !dev->regs.tx_fifo_len)
        dev->regs.thre_pending = 1;
}

/* Errors are revealed when their character is at the top of the FIFO (data sheet, "Line Status
 * Register"). */
static void rx_reveal(struct stasis_serial *dev)
{
    if (dev->regs.rx_breaks & 1) {
        dev->regs.rx_breaks &= ~UINT64_C(1);
        dev->regs.lsr_errors |= LSR_BI;
    }
}

void stasis_serial_rx_append(struct stasis_serial *dev, uint8_t byte, bool with_break)
{
    struct stasis_serial_state *r = &dev->regs;

    r->rx_fifo[(dev->rx_head + r->rx_fifo_len) % STASIS_SERIAL_FIFO_SIZE] = byte;
    r->rx_breaks |= (uint64_t)with_break << r->rx_fifo_len++;
    rx_reveal(dev);
}

static uint8_t rx_pop(struct stasis_serial *dev)
{
    struct stasis_serial_state *r = &dev->regs;
    uint8_t byte = r->rx_fifo[dev->rx_head];

    dev->rx_head = (dev->rx_head + 1) % STASIS_SERIAL_FIFO_SIZE;
    r->rx_fifo_len--;
    r->rx_breaks >>= 1;
    rx_reveal(dev);
    return byte;
}

static void rx_clear(struct stasis_serial *dev)
{
    dev->regs.rx_fifo_len = 0;
    dev->regs.rx_breaks = 0;
    dev->regs.lsr_errors &= LSR_OE; /* the others belonged to characters that are gone */
    if (!(dev->regs.mcr & MCR_LOOP))
        event(dev, STASIS_SERIAL_RX_READY);
}

void stasis_serial_tx_offer(struct stasis_serial *dev)
{
    struct stasis_serial_state *r = &dev->regs;

    while (r->tx_fifo_len) { /* twice when the ring wraps */
        uint32_t to_end = STASIS_SERIAL_FIFO_SIZE - dev->tx_head;
        uint32_t piece = r->tx_fifo_len < to_end ? r->tx_fifo_len : to_end;
        size_t taken = dev->ops->tx(dev->ctx, &r->tx_fifo[dev->tx_head], piece);

        assert(taken <= piece);
        for (size_t i = 0; i < taken; i++)
            event(dev, STASIS_SERIAL_TX_SENT);
        dev->tx_head = (dev->tx_head + (uint32_t)taken) % STASIS_SERIAL_FIFO_SIZE;
        r->tx_fifo_len -= (uint32_t)taken;
        if (taken < piece)
            break;
    }
}

static void send_byte(struct stasis_serial *dev, uint8_t byte)
{
    struct stasis_serial_state *r = &dev->regs;

    if (r->tx_fifo_len >= stasis_serial_capacity(dev)) {
        event(dev, STASIS_SERIAL_TX_LOST);
        return;
    }
    r->tx_fifo[(dev->tx_head + r->tx_fifo_len++) % STASIS_SERIAL_FIFO_SIZE] = byte;
    if (r->tx_fifo_len == 1) /* else the sink is busy until tx_drain */
        stasis_serial_tx_offer(dev);
}

/* On an overrun a full FIFO keeps its bytes, the single RBR is overwritten (data sheet, "Line
 * Status Register"). */
static void loop_byte(struct stasis_serial *dev, uint8_t byte)
{
    struct stasis_serial_state *r = &dev->regs;

    if (r->rx_fifo_len < stasis_serial_capacity(dev)) {
        stasis_serial_rx_append(dev, byte, false);
        return;
    }
    r->lsr_errors |= LSR_OE;
    if (!(r->fcr & FCR_ENABLE))
        r->rx_fifo[dev->rx_head] = byte;
}

uint8_t stasis_serial_modem_lines(const struct stasis_serial *dev)
{
    uint8_t mcr = dev->regs.mcr;
    unsigned lines = 0;

    if (!(mcr & MCR_LOOP))
        return dev->regs.msr & MSR_LINES;
    lines |= mcr & MCR_RTS ? MSR_CTS : 0;
    lines |= mcr & MCR_DTR ? MSR_DSR : 0;
    lines |= mcr & MCR_OUT1 ? MSR_RI : 0;
    lines |= mcr & MCR_OUT2 ? MSR_DCD : 0;
    return (uint8_t)lines;
}

/* Deltas lie four bits below their lines; that of RI records only its trailing edge. */
void stasis_serial_note_modem(struct stasis_serial *dev, uint8_t before)
{
    uint8_t now = stasis_serial_modem_lines(dev);
    unsigned deltas = (unsigned)(before ^ now) >> 4;

    if (now & MSR_RI)
        deltas &= ~(unsigned)MSR_TERI;
    dev->regs.msr |= (uint8_t)deltas;
}

static uint8_t read_rbr(struct stasis_serial *dev)
{
    uint8_t byte = dev->regs.rx_fifo_len ? rx_pop(dev) : 0;

    stasis_serial_update_irq(dev);
    event(dev, STASIS_SERIAL_RX_READ);
    if (!dev->regs.rx_fifo_len && !(dev->regs.mcr & MCR_LOOP))
        event(dev, STASIS_SERIAL_RX_READY);
    return byte;
}

/* A read acknowledges THRE, but only when THRE is what it reports (data sheet, "Interrupt
 * Control Functions"). */
static uint8_t read_iir(struct stasis_serial *dev)
{
    uint8_t id = stasis_serial_interrupt_id(dev);

    if (id == IIR_THRE)
        dev->regs.thre_pending = 0;
    stasis_serial_update_irq(dev);
    return dev->regs.fcr & FCR_ENABLE ? id | IIR_FIFOS : id;
}

static uint8_t read_lsr(struct stasis_serial *dev)
{
    struct stasis_serial_state *r = &dev->regs;
    unsigned lsr = r->lsr_errors;

    if ((r->fcr & FCR_ENABLE) && (r->rx_breaks || (lsr & (LSR_PE | LSR_FE | LSR_BI))))
        lsr |= LSR_FIFO_ERROR;
    lsr |= r->rx_fifo_len ? LSR_DR : 0;
    lsr |= r->tx_fifo_len ? 0 : LSR_THRE | LSR_TEMT;
    r->lsr_errors = 0;
    stasis_serial_update_irq(dev);
    return (uint8_t)lsr;
}

static uint8_t read_msr(struct stasis_serial *dev)
{
    uint8_t msr = stasis_serial_modem_lines(dev) | (dev->regs.msr & MSR_DELTAS);

    dev->regs.msr &= MSR_LINES;
    stasis_serial_update_irq(dev);
    return msr;
}

uint8_t stasis_serial_read(struct stasis_serial *dev, uint64_t offset)
{
    const struct stasis_serial_state *r = &dev->regs;
    bool dlab = r->lcr & LCR_DLAB;

    switch (offset) {
    case REG_DATA:
        return dlab ? r->dll : read_rbr(dev);
    case REG_IER:
        return dlab ? r->dlm : r->ier;
    case REG_IIR:
        return read_iir(dev);
    case REG_LCR:
        return r->lcr;
    case REG_MCR:
        return r->mcr;
    case REG_LSR:
        return read_lsr(dev);
    case REG_MSR:
        return read_msr(dev);
    case REG_SCR:
        return r->scr;
    default:
        guest_error(dev, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        return 0xff;
    }
}

/* INTR really falls in between, as on the chip: a guest that answers THRE by writing on, without
 * a look at IIR, needs a new edge for the next one. */
static void write_thr(struct stasis_serial *dev, uint8_t byte)
{
    dev->regs.thre_pending = 0;
    stasis_serial_update_irq(dev);
    if (dev->regs.mcr & MCR_LOOP)
        loop_byte(dev, byte);
    else
        send_byte(dev, byte);
    stasis_serial_arm_thre(dev);
}

/* Only setting ETBEI anew brings THRE back: Windows and Linux toggle it and count on that, while
 * DR-DOS rewrites IER unchanged and breaks if that interrupts. */
static void write_ier(struct stasis_serial *dev, uint8_t value)
{
    uint8_t before = dev->regs.ier;

    dev->regs.ier = value & IER_MASK;
    if (!(value & IER_ETBEI))
        dev->regs.thre_pending = 0;
    else if (!(before & IER_ETBEI))
        stasis_serial_arm_thre(dev);
}

/* Without bit 0 the other bits are not programmed; a change of bit 0 clears both FIFOs (data sheet,
 * "FIFO Control Register"). */
static void write_fcr(struct stasis_serial *dev, uint8_t value)
{
    uint8_t bits = value & FCR_ENABLE ? value : 0;
    bool changed = (bits ^ dev->regs.fcr) & FCR_ENABLE;

    dev->regs.fcr = bits & FCR_KEPT;
    if (changed || (bits & FCR_RX_RESET))
        rx_clear(dev);
    if (changed || (bits & FCR_TX_RESET)) {
        dev->regs.tx_fifo_len = 0;
        stasis_serial_arm_thre(dev);
    }
}

static void write_mcr(struct stasis_serial *dev, uint8_t value)
{
    uint8_t lines = stasis_serial_modem_lines(dev);
    bool was_loop = dev->regs.mcr & MCR_LOOP;

    dev->regs.mcr = value & MCR_MASK;
    stasis_serial_note_modem(dev, lines);
    if (was_loop && !(value & MCR_LOOP))
        event(dev, STASIS_SERIAL_RX_READY);
}

void stasis_serial_write(struct stasis_serial *dev, uint64_t offset, uint8_t value)
{
    bool dlab = dev->regs.lcr & LCR_DLAB;

    switch (offset) {
    case REG_DATA:
        if (dlab)
            dev->regs.dll = value;
        else
            write_thr(dev, value);
        break;
    case REG_IER:
        if (dlab)
            dev->regs.dlm = value;
        else
            write_ier(dev, value);
        break;
    case REG_IIR:
        write_fcr(dev, value);
        break;
    case REG_LCR:
        dev->regs.lcr = value;
        break;
    case REG_MCR:
        write_mcr(dev, value);
        break;
    case REG_LSR: /* "intended for read operations only" (data sheet, "Line Status Register") */
    case REG_MSR:
        guest_error(dev, STASIS_GUEST_ERROR_READ_ONLY);
        break;
    case REG_SCR:
        dev->regs.scr = value;
        break;
    default:
        guest_error(dev, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        break;
    }
    stasis_serial_update_irq(dev);
}
