/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Devices as the board sees them. A device type is one row of device_types[] in device.c; attach,
 * save and restore walk the board and this table, and know no device by name.
 */
#ifndef STASIS_VMM_DEVICE_H
#define STASIS_VMM_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "stasis/state.h"
#include "vmm/machine/bus.h"

struct stasis_machine;

/* What devices need of the process around them. All functions are called under the machine's lock,
 * from any thread. */
struct stasis_device_host {
    void *ctx;
    /* The guest's serial output: takes up to len bytes, returns how many. */
    size_t (*serial_tx)(void *ctx, const uint8_t *bytes, size_t len);
    /* The serial port has room for input again. */
    void (*serial_rx_ready)(void *ctx);
    /* Nanoseconds of the clock that RTCs count. */
    uint64_t (*rtc_now_ns)(void *ctx);
    /* (Dis)arms the timer whose expiry calls stasis_device_alarm(device). */
    void (*rtc_arm)(void *ctx, bool on, uint64_t deadline_ns);
};

struct stasis_device_type {
    const struct stasis_schema *schema; /* of its state; schema->type names the device */
    uint32_t version;                   /* newest behaviour this release can build */
    size_t size;                        /* of its instance */
    struct stasis_bus_ops bus;          /* ctx is the instance */
    int (*init)(void *instance, struct stasis_machine *machine,
                const struct stasis_board_device_state *row, struct stasis_error *err);
    void (*save)(const void *instance, void *ret_state);
    int (*restore)(void *instance, const void *state, struct stasis_error *err);
    /* Tells the outside what the state implies: drives the interrupt line, arms timers. Called
     * after all interrupt controllers hold their state. */
    void (*sync)(void *instance);
};

struct stasis_device {
    const struct stasis_device_type *type;
    const struct stasis_board_device_state *row; /* in machine->board */
    void *instance;
};

/* The type a board row asks for. STASIS_ERR_VERSION when this release has no such device or not
 * that version of it. */
STASIS_MUST_CHECK int stasis_device_type_find(const struct stasis_board_device_state *row,
                                              const struct stasis_device_type **ret_type,
                                              struct stasis_error *err);

/* Builds every device of machine->board onto its bus; and frees them. */
STASIS_MUST_CHECK int stasis_devices_attach(struct stasis_machine *machine,
                                            struct stasis_error *err);
void stasis_devices_detach(struct stasis_machine *machine);

/* The first device of a type, or NULL. */
struct stasis_device *stasis_device_find(struct stasis_machine *machine,
                                         const struct stasis_schema *schema);

/* Input for the serial port; the caller holds machine->lock. Room is how many bytes fit now. */
size_t stasis_device_serial_room(struct stasis_machine *machine);
void stasis_device_serial_input(struct stasis_machine *machine, const uint8_t *bytes, size_t len);
/* The sink of the serial port takes bytes again. */
void stasis_device_serial_drain(struct stasis_machine *machine);
/* Bytes that the guest has sent and the sink has not taken: returns how many of them, at most
 * `size`, were put into buf. */
size_t stasis_device_serial_unsent(struct stasis_machine *machine, uint8_t *buf, size_t size);
/* The timer of rtc_arm has expired. */
void stasis_device_alarm(struct stasis_machine *machine);

#endif
