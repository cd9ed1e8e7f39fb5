/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * i8042 keyboard controller, after the IBM PC/AT Technical Reference ("Keyboard Controller") and
 * for the auxiliary commands that of the PS/2. Nothing is attached to it. Not modelled: internal
 * RAM beyond the command byte, test inputs, the password, and what A20 does to memory.
 *
 * Invariant: output and timeout are 0 while output_full is.
 */
#include "stasis/i8042.h"

#include <assert.h>

enum {
    REG_DATA = 0,
    REG_COMMAND = 4, /* status when read */
};

enum {
    STATUS_OUTPUT_FULL = 0x01,
    STATUS_SYSTEM = 0x04,   /* follows bit 2 of the command byte */
    STATUS_COMMAND = 0x08,  /* the last write was a command */
    STATUS_UNLOCKED = 0x10, /* the key lock is open: there is none */
    STATUS_TIMEOUT = 0x40,
};

enum {
    CB_KBD_IRQ = 0x01,
    CB_SYSTEM = 0x04,
    CB_KBD_OFF = 0x10,
    CB_AUX_OFF = 0x20,
    CB_MASK = 0x7f,
};

enum {
    CMD_READ_COMMAND_BYTE = 0x20,
    CMD_WRITE_COMMAND_BYTE = 0x60,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_OFF = 0xad,
    CMD_KBD_ON = 0xae,
    CMD_READ_INPUT_PORT = 0xc0,
    CMD_READ_OUTPUT_PORT = 0xd0,
    CMD_WRITE_OUTPUT_PORT = 0xd1,
    CMD_WRITE_KBD_OUTPUT = 0xd2,
    CMD_WRITE_AUX_OUTPUT = 0xd3,
    CMD_PULSE = 0xf0, /* to 0xff: pulses low the lines whose bits are clear */
};

enum {
    SELF_TEST_OK = 0x55,
    KBD_LINES_OK = 0x00,
    AUX_CLOCK_STUCK_LOW = 0x01, /* there is no auxiliary port */
    INPUT_PORT_UNLOCKED = 0x80,
    OUTPUT_PORT_NOT_RESET = 0x01, /* clear: the CPU's reset line is held */
    KBD_RESEND = 0xfe,
};

static void guest_error(const struct stasis_i8042 *dev, enum stasis_guest_error error)
{
    if (dev->ops->guest_error)
        dev->ops->guest_error(dev->ctx, error);
}

static void update_irq(struct stasis_i8042 *dev)
{
    bool level = dev->regs.output_full && (dev->regs.command_byte & CB_KBD_IRQ);

    if (level == dev->irq_level)
        return;
    dev->irq_level = level;
    dev->ops->irq(dev->ctx, level);
}

static void answer(struct stasis_i8042 *dev, uint8_t byte)
{
    dev->regs.output = byte;
    dev->regs.output_full = 1;
    dev->regs.timeout = 0;
}

static uint8_t read_status(const struct stasis_i8042 *dev)
{
    const struct stasis_i8042_state *r = &dev->regs;
    unsigned status = STATUS_UNLOCKED;

    status |= r->output_full ? STATUS_OUTPUT_FULL : 0;
    status |= r->command_byte & CB_SYSTEM ? STATUS_SYSTEM : 0;
    status |= r->last_was_command ? STATUS_COMMAND : 0;
    status |= r->timeout ? STATUS_TIMEOUT : 0;
    return (uint8_t)status;
}

static uint8_t read_data(struct stasis_i8042 *dev)
{
    uint8_t byte = dev->regs.output;

    dev->regs.output = 0;
    dev->regs.output_full = 0;
    dev->regs.timeout = 0;
    update_irq(dev);
    return byte;
}

uint8_t stasis_i8042_read(struct stasis_i8042 *dev, uint64_t offset)
{
    switch (offset) {
    case REG_DATA:
        return read_data(dev);
    case REG_COMMAND:
        return read_status(dev);
    default:
        guest_error(dev, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        return 0xff;
    }
}

static void write_output_port(struct stasis_i8042 *dev, uint8_t value)
{
    dev->regs.output_port = value | OUTPUT_PORT_NOT_RESET;
    if (!(value & OUTPUT_PORT_NOT_RESET))
        dev->ops->reset(dev->ctx);
}

/* Commands without an answer and without a data byte; unknown ones are ignored. */
static void command_silent(struct stasis_i8042 *dev, uint8_t command)
{
    switch (command) {
    case CMD_AUX_OFF:
        dev->regs.command_byte |= CB_AUX_OFF;
        break;
    case CMD_AUX_ON:
        dev->regs.command_byte &= (uint8_t)~CB_AUX_OFF;
        break;
    case CMD_KBD_OFF:
        dev->regs.command_byte |= CB_KBD_OFF;
        break;
    case CMD_KBD_ON:
        dev->regs.command_byte &= (uint8_t)~CB_KBD_OFF;
        break;
    default:
        if (command < CMD_PULSE)
            guest_error(dev, STASIS_GUEST_ERROR_BAD_COMMAND);
        else if (!(command & OUTPUT_PORT_NOT_RESET))
            dev->ops->reset(dev->ctx);
        break;
    }
}

static void write_command(struct stasis_i8042 *dev, uint8_t command)
{
    dev->regs.last_was_command = 1;
    dev->regs.pending_command = 0;
    switch (command) {
    case CMD_READ_COMMAND_BYTE:
        answer(dev, dev->regs.command_byte);
        break;
    case CMD_WRITE_COMMAND_BYTE:
    case CMD_WRITE_OUTPUT_PORT:
    case CMD_WRITE_KBD_OUTPUT:
    case CMD_WRITE_AUX_OUTPUT:
        dev->regs.pending_command = command;
        break;
    case CMD_AUX_TEST:
        answer(dev, AUX_CLOCK_STUCK_LOW);
        break;
    case CMD_SELF_TEST:
        dev->regs.command_byte |= CB_SYSTEM;
        answer(dev, SELF_TEST_OK);
        break;
    case CMD_KBD_TEST:
        answer(dev, KBD_LINES_OK);
        break;
    case CMD_READ_INPUT_PORT:
        answer(dev, INPUT_PORT_UNLOCKED);
        break;
    case CMD_READ_OUTPUT_PORT:
        answer(dev, dev->regs.output_port);
        break;
    default:
        command_silent(dev, command);
        break;
    }
}

static void write_data(struct stasis_i8042 *dev, uint8_t value)
{
    uint8_t command = dev->regs.pending_command;

    dev->regs.last_was_command = 0;
    dev->regs.pending_command = 0;
    switch (command) {
    case CMD_WRITE_COMMAND_BYTE:
        dev->regs.command_byte = value & CB_MASK;
        break;
    case CMD_WRITE_OUTPUT_PORT:
        write_output_port(dev, value);
        break;
    case CMD_WRITE_KBD_OUTPUT:
    case CMD_WRITE_AUX_OUTPUT: /* without an auxiliary port all output looks like the keyboard's */
        answer(dev, value);
        break;
    default:
        answer(dev, KBD_RESEND);
        dev->regs.timeout = 1;
        break;
    }
}

void stasis_i8042_write(struct stasis_i8042 *dev, uint64_t offset, uint8_t value)
{
    if (offset == REG_DATA)
        write_data(dev, value);
    else if (offset == REG_COMMAND)
        write_command(dev, value);
    else
        guest_error(dev, STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
    update_irq(dev);
}

void stasis_i8042_init(struct stasis_i8042 *dev, const struct stasis_i8042_ops *ops, void *ctx)
{
    assert(ops->reset && ops->irq);
    *dev = (struct stasis_i8042){.ops = ops, .ctx = ctx};
    stasis_state_init(&stasis_i8042_schema, &dev->regs);
}

void stasis_i8042_reset(struct stasis_i8042 *dev)
{
    stasis_state_init(&stasis_i8042_schema, &dev->regs);
    update_irq(dev);
}

void stasis_i8042_save(const struct stasis_i8042 *dev, struct stasis_i8042_state *ret_state)
{
    *ret_state = dev->regs;
}

int stasis_i8042_restore(struct stasis_i8042 *dev, const struct stasis_i8042_state *state,
                         struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_i8042_schema, state, err);

    if (rc)
        return rc;
    dev->regs = *state;
    dev->irq_level = dev->regs.output_full && (dev->regs.command_byte & CB_KBD_IRQ);
    return 0;
}

void stasis_i8042_apply_outputs(struct stasis_i8042 *dev)
{
    dev->ops->irq(dev->ctx, dev->irq_level);
}
