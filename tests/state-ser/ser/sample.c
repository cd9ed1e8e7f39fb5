/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "sample.h"

#include <string.h>

#define STASIS_NAME sample_part
#define STASIS_DEF  "tests/state-ser/ser/sample_part.def"
#include "stasis/def_fields.h"

#define STASIS_NAME sample
#define STASIS_DEF  "tests/state-ser/ser/sample.def"
#include "stasis/def_fields.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

const struct stasis_schema stasis_sample_part_schema = {
    .type = "test.part",
    .version = 2,
    .optional = true,
    .size = sizeof(struct stasis_sample_part_state),
    .fields = sample_part_fields,
    .field_count = LENGTH(sample_part_fields),
    .doc = "a part",
};

const struct stasis_schema stasis_sample_schema = {
    .type = "test.sample",
    .version = 2,
    .optional = true,
    .size = sizeof(struct stasis_sample_state),
    .fields = sample_fields,
    .field_count = LENGTH(sample_fields),
    .doc = "a sample",
};

/* clang-format off */
const uint8_t sample_section[] = {
    0x91,                                                 /* one record */
    0x95,                                                 /* of five parts */
    0xab, 't','e','s','t','.','s','a','m','p','l','e',    /* type */
    0xa1, 'a',                                            /* instance */
    0x02,                                                 /* version */
    0x01,                                                 /* flags: optional */
    0x89,                                                 /* nine fields */
    0x01, 0xcc, 0xff,                                     /* small 255 */
    0x02, 0xd1, 0xff, 0x7f,                               /* offset -129 */
    0x03, 0xce, 0x00, 0x01, 0x00, 0x00,                   /* added 65536 */
    0x04, 0x93, 0x00, 0x7f, 0xcc, 0x80,                   /* table 0, 127, 128 */
    0x05, 0xc4, 0x02, 0x0a, 0x0b,                         /* raw, two bytes */
    0x06, 0xc4, 0x08, 1, 2, 3, 4, 5, 6, 7, 8,             /* regs, two registers */
    0x07, 0xd9, 0x20,                                     /* label, 32 bytes */
          'x','x','x','x','x','x','x','x','x','x','x','x','x','x','x','x',
          'x','x','x','x','x','x','x','x','x','x','x','x','x','x','x','x',
    0x08, 0x82,                                           /* part */
          0x01, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* value 2^64 - 1 */
          0x02, 0xa0,                                     /* note, empty */
    0x09, 0x92,                                           /* parts, two */
          0x82, 0x01, 0x00,                               /* [0] value 0 */
                0x02, 0xa3, 'o','n','e',                  /* [0] note */
          0x82, 0x01, 0xcd, 0x01, 0x00,                   /* [1] value 256 */
                0x02, 0xa4, 'f','o','u','r',              /* [1] note */
};
/* clang-format on */
const size_t sample_section_len = sizeof(sample_section);
const size_t sample_fields_at = 18;

void sample_fill(struct stasis_sample_state *state)
{
    stasis_state_init(&stasis_sample_schema, state);
    state->small = 255;
    state->offset = -129;
    state->added = 65536;
    state->table[1] = 127;
    state->table[2] = 128;
    state->raw_len = 2;
    memcpy(state->raw, "\x0a\x0b", 2);
    state->regs_len = 8;
    memcpy(state->regs, "\1\2\3\4\5\6\7\x8", 8);
    memset(state->label, 'x', 32);
    state->part.value = UINT64_MAX;
    memset(state->part.note, 0, sizeof(state->part.note));
    state->parts_count = 2;
    memcpy(state->parts[0].note, "one", 4);
    state->parts[1].value = 256;
    memcpy(state->parts[1].note, "four", 5);
}
