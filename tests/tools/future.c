/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/future.h"

#include <string.h>

static const struct stasis_field tsc_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .elem_size = 4,
     .max = 1,
     .offset = offsetof(struct future_tsc, khz),
     .mask = UINT32_MAX,
     .name = "khz",
     .doc = "kHz"},
    {.id = 2,
     .since = 2,
     .kind = STASIS_KIND_INT,
     .is_signed = true,
     .elem_size = 8,
     .max = 1,
     .offset = offsetof(struct future_tsc, drift),
     .default_int = (uint64_t)-1,
     .mask = UINT64_MAX,
     .name = "drift",
     .doc = "against the host's"},
};

const struct stasis_schema future_tsc_schema = {
    .type = "x86.tsc",
    .version = 2,
    .size = sizeof(struct future_tsc),
    .fields = tsc_fields,
    .field_count = 2,
    .doc = "TSC that drifts",
};

static const struct stasis_field blade_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .elem_size = 8,
     .max = 1,
     .mask = UINT64_MAX,
     .name = "angle",
     .doc = "mrad"},
};

static const struct stasis_schema blade_schema = {
    .type = "blade",
    .version = 1,
    .size = sizeof(struct future_blade),
    .fields = blade_fields,
    .field_count = 1,
    .doc = "a blade",
};

static const struct stasis_field fan_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_STR,
     .elem_size = 1,
     .max = 16,
     .offset = offsetof(struct future_fan, maker),
     .default_str = "",
     .name = "maker",
     .doc = "who made it"},
    {.id = 2,
     .since = 1,
     .kind = STASIS_KIND_LIST,
     .elem_size = sizeof(struct future_blade),
     .max = 4,
     .offset = offsetof(struct future_fan, blades),
     .count_offset = offsetof(struct future_fan, blades_count),
     .name = "blades",
     .doc = "clockwise",
     .sub = &blade_schema},
    {.id = 3,
     .since = 1,
     .kind = STASIS_KIND_BUF,
     .elem_size = 1,
     .max = 300,
     .offset = offsetof(struct future_fan, serial),
     .count_offset = offsetof(struct future_fan, serial_len),
     .name = "serial",
     .doc = "number"},
    {.id = 4,
     .since = 1,
     .kind = STASIS_KIND_BUF,
     .elem_size = 4,
     .max = 16,
     .offset = offsetof(struct future_fan, taps),
     .count_offset = offsetof(struct future_fan, taps_len),
     .name = "taps",
     .doc = "of the winding"},
    {.id = 5,
     .since = 1,
     .kind = STASIS_KIND_INTS,
     .elem_size = 2,
     .max = 3,
     .offset = offsetof(struct future_fan, speeds),
     .mask = UINT16_MAX,
     .name = "speeds",
     .doc = "to choose from"},
};

const struct stasis_schema future_fan_schema = {
    .type = "future.fan",
    .version = 1,
    .size = sizeof(struct future_fan),
    .fields = fan_fields,
    .field_count = 5,
    .doc = "a fan",
};

void future_fan_fill(struct future_fan *fan)
{
    *fan = (struct future_fan){.maker = "Zephyr", .blades_count = 2, .taps_len = 8};
    fan->blades[0].angle = 0x111;
    fan->blades[1].angle = 0x222;
    fan->taps[5] = 0xab;
    fan->serial_len = 100;
    fan->serial[99] = 1;
    fan->speeds[2] = 1200;
}

void built_future(struct built *built)
{
    const struct future_tsc tsc = {.khz = 3000000, .drift = -5};
    struct future_fan fan;

    built_machine(built);
    add_state(built, &future_tsc_schema, "cpu0", &tsc);
    future_fan_fill(&fan);
    add_state(built, &future_fan_schema, "fan0", &fan);
}
