/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * 16550A serial port, the side that the VMM sees: the wires, and freeze and thaw.
 */
#include "serial_internal.h"

#include <assert.h>
#include <string.h>

_Static_assert(sizeof(((struct stasis_serial_state *)0)->rx_fifo) == STASIS_SERIAL_FIFO_SIZE &&
                   sizeof(((struct stasis_serial_state *)0)->tx_fifo) == STASIS_SERIAL_FIFO_SIZE,
               "FIFO size differs from the saved one");

void stasis_serial_init(struct stasis_serial *dev, const struct stasis_serial_ops *ops, void *ctx)
{
    assert(ops->irq && ops->tx);
    *dev = (struct stasis_serial){.ops = ops, .ctx = ctx};
    stasis_state_init(&stasis_serial_schema, &dev->regs);
}

void stasis_serial_reset(struct stasis_serial *dev)
{
    uint8_t lines = dev->regs.msr & MSR_LINES; /* inputs: no reset moves them */

    stasis_state_init(&stasis_serial_schema, &dev->regs);
    dev->regs.msr = lines;
    dev->rx_head = dev->tx_head = 0;
    stasis_serial_update_irq(dev);
}

size_t stasis_serial_rx_room(const struct stasis_serial *dev)
{
    if (dev->regs.mcr & MCR_LOOP)
        return 0;
    return stasis_serial_capacity(dev) - dev->regs.rx_fifo_len;
}

size_t stasis_serial_rx_push(struct stasis_serial *dev, const uint8_t *bytes, size_t len)
{
    size_t room = stasis_serial_rx_room(dev);
    size_t taken = len < room ? len : room;

    for (size_t i = 0; i < taken; i++)
        stasis_serial_rx_append(dev, bytes[i], false);
    stasis_serial_update_irq(dev);
    return taken;
}

bool stasis_serial_rx_break(struct stasis_serial *dev)
{
    if (!stasis_serial_rx_room(dev))
        return false;
    stasis_serial_rx_append(dev, 0, true);
    stasis_serial_update_irq(dev);
    return true;
}

void stasis_serial_rx_overrun(struct stasis_serial *dev)
{
    dev->regs.lsr_errors |= LSR_OE;
    stasis_serial_update_irq(dev);
}

void stasis_serial_set_modem(struct stasis_serial *dev, uint8_t lines)
{
    uint8_t before = stasis_serial_modem_lines(dev);

    dev->regs.msr = (lines & MSR_LINES) | (dev->regs.msr & MSR_DELTAS);
    stasis_serial_note_modem(dev, before);
    stasis_serial_update_irq(dev);
}

void stasis_serial_tx_drain(struct stasis_serial *dev)
{
    if (!dev->regs.tx_fifo_len)
        return; /* no transition, so no THRE */
    stasis_serial_tx_offer(dev);
    stasis_serial_arm_thre(dev);
    stasis_serial_update_irq(dev);
}

bool stasis_serial_intr(const struct stasis_serial *dev)
{
    return dev->intr;
}

/* A ring as a list, oldest byte first, zero behind its end. */
static void unroll(uint8_t *list, const uint8_t *ring, uint32_t head, uint32_t len)
{
    memset(list, 0, STASIS_SERIAL_FIFO_SIZE);
    for (uint32_t i = 0; i < len; i++)
        list[i] = ring[(head + i) % STASIS_SERIAL_FIFO_SIZE];
}

void stasis_serial_save(const struct stasis_serial *dev, struct stasis_serial_state *ret_state)
{
    const struct stasis_serial_state *r = &dev->regs;

    memcpy(ret_state, r, sizeof(*ret_state));
    unroll(ret_state->rx_fifo, r->rx_fifo, dev->rx_head, r->rx_fifo_len);
    unroll(ret_state->tx_fifo, r->tx_fifo, dev->tx_head, r->tx_fifo_len);
}

int stasis_serial_restore(struct stasis_serial *dev, const struct stasis_serial_state *state,
                          struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_serial_schema, state, err);

    if (rc)
        return rc;
    memcpy(&dev->regs, state, sizeof(dev->regs));
    dev->rx_head = dev->tx_head = 0;
    dev->intr = stasis_serial_interrupt_id(dev) != IIR_NONE;
    return 0;
}

void stasis_serial_apply_outputs(struct stasis_serial *dev)
{
    dev->ops->irq(dev->ctx, dev->intr);
}
