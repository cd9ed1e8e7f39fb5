/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "gauge.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/bind.h"

static const struct stasis_field cell_fields[] = {
    STASIS_BIND_INT(struct gauge_cell, at, 1, 1, -1, -1, "where"),
    STASIS_BIND_BUF_PTR(struct gauge_cell, note, note_len, 8, 2, 1, 2, "a note"),
};
static const struct stasis_schema cell_schema = {.type = "gauge_cell",
                                                 .version = 1,
                                                 STASIS_BIND_FIELDS(struct gauge_cell, cell_fields),
                                                 .doc = "a cell"};

static const struct stasis_field gauge_fields[] = {
    STASIS_BIND_INT(struct gauge, s8, 1, 1, -5, -1, "8 bits"),
    STASIS_BIND_INT(struct gauge, s16, 2, 1, 0, 0x7f, "16 bits, not negative"),
    STASIS_BIND_INT(struct gauge, s32, 3, 1, INT32_MIN, -1, "32 bits"),
    STASIS_BIND_INT(struct gauge, s64, 4, 1, 0, -1, "64 bits"),
    STASIS_BIND_INTS(struct gauge, trend, 5, 1, -1, "signed array"),
    STASIS_BIND_INTS(struct gauge, grid, 6, 1, 0x0fff, "array of arrays"),
    STASIS_BIND_INTS(struct gauge, cube, 7, 2, -1, "signed, three dimensions"),
    STASIS_BIND_STRUCTS(struct gauge, cells, struct gauge_cell, 8, 1, cell_schema, "cells"),
    STASIS_BIND_BUF_PTR(struct gauge, log, log_len, 64, 9, 1, 1, "what happened"),
    STASIS_BIND_INTS_PTR(struct gauge, samples, sample_count, GAUGE_SAMPLES_MAX, 10, 1, "samples"),
    STASIS_BIND_LIST_PTR(struct gauge, far, far_count, GAUGE_FAR_MAX, 11, 2, cell_schema, "cells"),
};

static const struct stasis_old_bound gauge_history[] = {{2, 10, GAUGE_SAMPLES_MAX_OLD}, {0}};

const struct stasis_schema gauge_schema = {.type = "test.gauge",
                                           .version = 2,
                                           STASIS_BIND_FIELDS(struct gauge, gauge_fields),
                                           .history = gauge_history,
                                           .doc = "a gauge"};

static void *copy_of(const void *bytes, size_t len)
{
    void *copy = malloc(len);

    if (!copy)
        abort();
    return memcpy(copy, bytes, len);
}

static void fill_cell(struct gauge_cell *cell, int16_t at)
{
    cell->at = at;
    cell->note_len = at % 2 ? 4 : 0;
    cell->note = cell->note_len ? copy_of("note", 4) : NULL;
}

void gauge_fill(struct gauge *gauge)
{
    stasis_state_init(&gauge_schema, gauge);
    gauge->s8 = INT8_MIN;
    gauge->s16 = 0x7f;
    gauge->s32 = -70000;
    gauge->s64 = INT64_MIN;
    memcpy(gauge->trend, (int16_t[]){INT16_MIN, -1, INT16_MAX}, sizeof(gauge->trend));
    memcpy(gauge->grid, (uint16_t[2][3]){{1, 2, 3}, {4, 5, 0x0fff}}, sizeof(gauge->grid));
    gauge->cube[0][0][1] = -7;
    gauge->cube[1][1][1] = INT32_MAX;
    for (int16_t i = 0; i < 4; i++)
        fill_cell(&gauge->cells[i / 2][i % 2], i);
    gauge->log = copy_of("started", 7);
    gauge->log_len = 7;
    gauge->samples = copy_of((int32_t[]){-1, INT32_MIN, 5}, 3 * sizeof(int32_t));
    gauge->sample_count = 3;
    gauge->far = copy_of((struct gauge_cell[2]){{0}}, 2 * sizeof(struct gauge_cell));
    gauge->far_count = 2;
    fill_cell(&gauge->far[0], -3);
    fill_cell(&gauge->far[1], -4);
}
