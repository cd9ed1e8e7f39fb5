/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a later release might write: the TSC's record in version 2 with a field more, and the record
 * of a device, future.fan, that this release has never heard of.
 */
#ifndef STASIS_TESTS_TOOLS_FUTURE_H
#define STASIS_TESTS_TOOLS_FUTURE_H

#include "tests/tools/rig.h"

struct future_tsc {
    uint32_t khz;
    int64_t drift;
};

struct future_blade {
    uint64_t angle;
};

struct future_fan {
    char maker[17];
    uint32_t blades_count;
    struct future_blade blades[4];
    uint32_t serial_len;
    uint8_t serial[300];
    uint32_t taps_len;
    uint8_t taps[16]; /* registers of 4 bytes */
    uint16_t speeds[3];
};

extern const struct stasis_schema future_tsc_schema;
extern const struct stasis_schema future_fan_schema;

/* A machine of today with both, "cpu0" and "fan0". */
void built_future(struct built *built);
void future_fan_fill(struct future_fan *fan);

#endif
