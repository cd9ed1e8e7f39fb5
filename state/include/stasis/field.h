/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Access to the fields of a state through their table rows. `base` is the start of the struct.
 * No checks: the row must be of the right kind, the index below its bound, and a pointer not NULL.
 * Pure, in any thread.
 */
#ifndef STASIS_FIELD_H
#define STASIS_FIELD_H

#include <string.h>

#include "stasis/schema.h"

STASIS_BEGIN_DECLS

/* Where the value begins: in the struct, or where the struct's pointer points. */
static inline void *stasis_field_at(const struct stasis_field *field, const void *base)
{
    char *at = (char *)(uintptr_t)base + field->offset;
    void *target;

    if (!field->is_pointer)
        return at;
    memcpy(&target, at, sizeof(target));
    return target;
}

/* Points the field to memory of malloc(), which the state owns from then on. */
static inline void stasis_field_set_pointer(const struct stasis_field *field, void *base,
                                            void *target)
{
    memcpy((char *)base + field->offset, &target, sizeof(target));
}

/* The unsigned integer of 1, 2, 4 or 8 bytes at `at`, in the byte order of this machine. */
static inline uint64_t stasis_field_number(const uint8_t *at, size_t size)
{
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;

    switch (size) {
    case 1:
        return *at;
    case 2:
        memcpy(&u16, at, sizeof(u16));
        return u16;
    case 4:
        memcpy(&u32, at, sizeof(u32));
        return u32;
    default:
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
}

/* Writes the lowest `size` bytes of the value there. */
static inline void stasis_field_set_number(uint8_t *at, size_t size, uint64_t value)
{
    uint32_t u32 = (uint32_t)value;
    uint16_t u16 = (uint16_t)value;

    switch (size) {
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        memcpy(at, &u16, sizeof(u16));
        break;
    case 4:
        memcpy(at, &u32, sizeof(u32));
        break;
    default:
        memcpy(at, &value, sizeof(value));
        break;
    }
}

/* The value of the lowest `size` bytes, as a signed integer of that size has it. */
static inline uint64_t stasis_field_sign_extend(uint64_t value, uint32_t size)
{
    uint64_t sign = UINT64_C(1) << (8 * size - 1);

    return ((value & (sign | (sign - 1))) ^ sign) - sign;
}

/* INT (index 0) and INTS: value of one integer; a negative one as its 64-bit two's complement.
 * Here, as a state has thousands of them: a call for each takes a quarter of encoding a state. */
static inline uint64_t stasis_field_get_int(const struct stasis_field *field, const void *base,
                                            uint32_t index)
{
    const uint8_t *at = (const uint8_t *)base + field->offset + (size_t)index * field->elem_size;

    return field->is_signed ? stasis_field_sign_extend(stasis_field_number(at, field->elem_size),
                                                       field->elem_size)
                            : stasis_field_number(at, field->elem_size);
}

static inline void stasis_field_set_int(const struct stasis_field *field, void *base,
                                        uint32_t index, uint64_t value)
{
    stasis_field_set_number((uint8_t *)base + field->offset + (size_t)index * field->elem_size,
                            field->elem_size, value);
}

/* Whether an integer of the field's size holds the value. */
STASIS_EXPORT bool stasis_field_fits(const struct stasis_field *field, uint64_t value);

/* BUF: bytes in use; LIST: elements in use, all of one that is fixed, which has no count to set. A
 * count of 64 bits that is too large for 32 counts as UINT32_MAX. */
STASIS_EXPORT uint32_t stasis_field_get_count(const struct stasis_field *field, const void *base);
STASIS_EXPORT void stasis_field_set_count(const struct stasis_field *field, void *base,
                                          uint32_t count);

/* Whether len bytes are well-formed UTF-8 (RFC 3629) without control characters (C0 with NUL, DEL,
 * C1): what a string of a state must be. */
STASIS_EXPORT bool stasis_utf8_valid(const char *str, size_t len);

/* Length in bytes of the character at the start of `len` bytes, and its code point; 0, and
 * *ret_code unchanged, if it is not well-formed. */
STASIS_EXPORT size_t stasis_utf8_decode(const char *str, size_t len, uint32_t *ret_code);

/* Whether a terminal shows the character and is not controlled by it: false for control characters,
 * and for those without a glyph that hide text or change its direction. */
STASIS_EXPORT bool stasis_char_shown(uint32_t code);

STASIS_END_DECLS

#endif
