/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An altered state: own_serial.def describes a serial port that is not quite ours, and makes its
 * struct and its table. A state of ours is converted to it, if it fits.
 */
#include <stasis/ser.h>
#include <stasis/serial.h>

#include <string.h>

#define STASIS_DEF "own_serial.def"
struct stasis_acme_serial_state {
#include <stasis/def_struct.h>
};

#define STASIS_NAME acme_serial
#define STASIS_DEF  "own_serial.def"
#include <stasis/def_fields.h>

static const struct stasis_schema acme_serial_schema = {
    .type = "acme.serial",
    .version = 1,
    .size = sizeof(struct stasis_acme_serial_state),
    .fields = acme_serial_fields,
    .field_count = sizeof(acme_serial_fields) / sizeof(acme_serial_fields[0]),
    .history = acme_serial_history,
    .doc = "serial port with RS-485",
};

#define FIFO_SIZE sizeof(((struct stasis_acme_serial_state *)0)->rx_fifo)

static int convert_fifo(const char *name, const uint8_t *bytes, uint32_t len, uint8_t *ret_bytes,
                        uint32_t *ret_len, struct stasis_error *err)
{
    if (len > FIFO_SIZE)
        return stasis_fail(err, STASIS_ERR_RANGE, "%s holds %u bytes, of which %zu fit: drain it",
                           name, len, FIFO_SIZE);
    memcpy(ret_bytes, bytes, len);
    *ret_len = len;
    return 0;
}

static int acme_serial_from(const struct stasis_serial_state *ours,
                            struct stasis_acme_serial_state *ret_state, struct stasis_error *err)
{
    struct stasis_acme_serial_state acme;
    int rc;

    stasis_state_init(&acme_serial_schema, &acme);
    acme.ier = ours->ier;
    acme.fcr = ours->fcr;
    acme.lcr = ours->lcr;
    acme.mcr = ours->mcr;
    acme.msr = ours->msr;
    acme.scr = ours->scr;
    acme.divisor = (uint16_t)(ours->dlm << 8 | ours->dll);
    rc = convert_fifo("rx_fifo", ours->rx_fifo, ours->rx_fifo_len, acme.rx_fifo, &acme.rx_fifo_len,
                      err);
    if (!rc)
        rc = convert_fifo("tx_fifo", ours->tx_fifo, ours->tx_fifo_len, acme.tx_fifo,
                          &acme.tx_fifo_len, err);
    if (!rc)
        *ret_state = acme;
    return rc;
}

static void no_irq(void *ctx, bool level)
{
    (void)ctx;
    (void)level;
}

/* A line that is busy: what the guest sends waits in the FIFO. */
static size_t busy(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    return 0;
}

/* The state of a device of ours after a guest has set 9600 baud and sent `text`. */
static void used_serial(const char *text, struct stasis_serial_state *ret_state)
{
    static const struct stasis_serial_ops ops = {.irq = no_irq, .tx = busy};
    struct stasis_serial dev;

    stasis_serial_init(&dev, &ops, NULL);
    stasis_serial_write(&dev, 3, 0x83); /* LCR: divisor latch, 8 bits */
    stasis_serial_write(&dev, 1, 0x01);
    stasis_serial_write(&dev, 0, 0x80);
    stasis_serial_write(&dev, 3, 0x03);
    stasis_serial_write(&dev, 2, 0x01); /* FCR: FIFOs on */
    for (; *text; text++)
        stasis_serial_write(&dev, 0, (uint8_t)*text);
    stasis_serial_save(&dev, ret_state);
}

static int show(const struct stasis_acme_serial_state *state, struct stasis_error *err)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_json json;
    int rc = set ? stasis_records_add(set, &acme_serial_schema, "com1", state, err)
                 : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");

    stasis_json_init(&json, stdout);
    if (!rc)
        rc = stasis_records_json(set, &json, err);
    if (!rc && stasis_json_finish(&json))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output");
    stasis_records_free(set);
    return rc;
}

int main(void)
{
    struct stasis_acme_serial_state acme;
    struct stasis_serial_state ours;
    struct stasis_error err = {0};
    int rc;

    used_serial("hello", &ours);
    rc = acme_serial_from(&ours, &acme, &err);
    if (!rc)
        rc = show(&acme, &err);
    if (rc) {
        fprintf(stderr, "own-serial: %s\n", err.msg);
        return stasis_err_exit_status(rc);
    }
    used_serial("more than sixteen", &ours);
    rc = acme_serial_from(&ours, &acme, &err);
    printf("refused: %s\n", err.msg);
    return rc == STASIS_ERR_RANGE ? 0 : 1;
}
