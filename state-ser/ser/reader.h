/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A cursor over canonical msgpack that never leaves [pos, end). It knows unsigned and negative
 * integers, str, bin, array and map, and refuses every form but the shortest. The first fault
 * sticks: it moves the cursor to the end, so that every later read gives 0 too and one look at
 * `fault` after a group of reads is enough.
 *
 * msgpack-c only packs here: its unpacker reserves memory for whatever count the input claims.
 */
#ifndef STASIS_SER_READER_H
#define STASIS_SER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stasis_wire {
    STASIS_WIRE_UINT,
    STASIS_WIRE_NEGATIVE,
    STASIS_WIRE_STR,
    STASIS_WIRE_BIN,
    STASIS_WIRE_ARRAY,
    STASIS_WIRE_MAP,
    STASIS_WIRE_OTHER, /* nil, bool, float, ext: not in the format */
    STASIS_WIRE_END,
};

struct stasis_reader {
    const uint8_t *pos;
    const uint8_t *end;
    const char *fault; /* why the input was refused first, or NULL */
};

void stasis_reader_init(struct stasis_reader *reader, const uint8_t *bytes, size_t len);

/* Records `fault` unless there is one, and moves to the end. */
void stasis_reader_refuse(struct stasis_reader *reader, const char *fault);

/* What stands at the cursor, by its first byte. */
enum stasis_wire stasis_reader_peek(const struct stasis_reader *reader);

/* An unsigned integer of more than one byte, or the fault. */
uint64_t stasis_reader_wide_uint(struct stasis_reader *reader);

/* Most integers are field ids and small values of one byte. */
static inline uint64_t stasis_reader_uint(struct stasis_reader *reader)
{
    if (reader->pos < reader->end && *reader->pos < 0x80)
        return *reader->pos++;
    return stasis_reader_wide_uint(reader);
}

/* Any integer that int64_t holds. */
int64_t stasis_reader_int(struct stasis_reader *reader);

/* Length of a str or bin; *ret_bytes points into the input, NULL on a fault. */
size_t stasis_reader_str(struct stasis_reader *reader, const char **ret_bytes);
size_t stasis_reader_bin(struct stasis_reader *reader, const uint8_t **ret_bytes);

/* Elements of an array, pairs of a map; never more than the bytes that are left can hold. */
uint32_t stasis_reader_array(struct stasis_reader *reader);
uint32_t stasis_reader_map(struct stasis_reader *reader);

#endif
