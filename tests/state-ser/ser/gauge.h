/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A struct as others write them, bound: record test.gauge, version 2, with signed integers of every
 * width, arrays of arrays, and pointers with counts, also within nested states.
 */
#ifndef STASIS_TESTS_GAUGE_H
#define STASIS_TESTS_GAUGE_H

#include "stasis/schema.h"

#define GAUGE_SAMPLES_MAX     200
#define GAUGE_SAMPLES_MAX_OLD 2 /* of version 1 */
#define GAUGE_FAR_MAX         5

struct gauge_cell {
    int16_t at;
    uint8_t *note;
    uint32_t note_len;
};

struct gauge {
    int8_t s8;
    int16_t s16;
    int32_t s32;
    int64_t s64;
    int16_t trend[3];
    uint16_t grid[2][3];
    int32_t cube[2][2][2];
    struct gauge_cell cells[2][2];
    uint8_t *log;
    size_t log_len;
    int32_t *samples;
    unsigned char sample_count;
    struct gauge_cell *far;
    int far_count;
};

extern const struct stasis_schema gauge_schema;

/* Sets *gauge to values that are no defaults; what its pointers point to is of malloc(). */
void gauge_fill(struct gauge *gauge);

#endif
