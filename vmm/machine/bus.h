/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A bus: which device answers at which address. Ranges never overlap; what nobody answers reads as
 * all ones and ignores writes, as on real hardware; `unhandled` is told.
 *
 * Threads: ranges are added before the guest runs; the caller serializes accesses, but for those
 * of the guest.
 */
#ifndef STASIS_VMM_BUS_H
#define STASIS_VMM_BUS_H

#include <stdint.h>

#include "stasis/error.h"

#define STASIS_BUS_RANGE_MAX 32

struct stasis_bus_ops {
    /* len is 1, 2, 4 or 8; offset + len lies inside the range. */
    uint64_t (*read)(void *ctx, uint64_t offset, unsigned len);
    void (*write)(void *ctx, uint64_t offset, unsigned len, uint64_t value);
};

struct stasis_bus_range {
    uint64_t base;
    uint64_t size;
    const struct stasis_bus_ops *ops;
    void *ctx;
    const char *name;
};

struct stasis_bus {
    const char *name;                                     /* "PIO" or "MMIO", for messages */
    uint64_t limit;                                       /* last address */
    struct stasis_bus_range ranges[STASIS_BUS_RANGE_MAX]; /* ascending by base */
    unsigned count;
    /* Once for an access of which a byte is nobody's, after the rest of it. NULL: nobody asks. */
    void (*unhandled)(void *ctx);
    void *ctx;
};

void stasis_bus_init(struct stasis_bus *bus, const char *name, uint64_t limit);

/* STASIS_ERR_EXISTS names both devices when ranges overlap; STASIS_ERR_RANGE when the range is
 * empty or leaves the bus; STASIS_ERR_FULL. `name` must live as long as the bus. */
STASIS_MUST_CHECK int stasis_bus_add(struct stasis_bus *bus, uint64_t base, uint64_t size,
                                     const struct stasis_bus_ops *ops, void *ctx, const char *name,
                                     struct stasis_error *err);

/* An access that is not wholly inside one range is split into bytes. len is 1 to 8. */
uint64_t stasis_bus_read(const struct stasis_bus *bus, uint64_t addr, unsigned len);
void stasis_bus_write(const struct stasis_bus *bus, uint64_t addr, unsigned len, uint64_t value);

/* A guest's accesses, for the table of its exits (exits.c): ctx is the machine, whose lock they
 * take. */
uint64_t stasis_bus_pio_read(void *ctx, uint16_t port, unsigned len);
void stasis_bus_pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value);
uint64_t stasis_bus_mmio_read(void *ctx, uint64_t gpa, unsigned len);
void stasis_bus_mmio_write(void *ctx, uint64_t gpa, unsigned len, uint64_t value);

#endif
