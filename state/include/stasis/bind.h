/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rows of a field table for a struct that exists already: each macro is the initializer of one
 * struct stasis_field, with offset, size and type taken from the member. For C; the tables can be
 * used from C++. What the rows mean, and what may change between versions: stasis/schema.h.
 *
 *   static const struct stasis_field fields[] = {
 *       STASIS_BIND_INT(struct lamp, level, 1, 1, 0, 0x7f, "how bright"),
 *       STASIS_BIND_BUF(struct lamp, queue, queue_len, 2, 1, 1, "commands that wait"),
 *   };
 *   static const struct stasis_schema lamp_schema = {
 *       .type = "acme.lamp", .version = 1, STASIS_BIND_FIELDS(struct lamp, fields), .doc = "lamp"};
 *
 * A row bears the name of its member, which must be one of the struct itself, not of a struct
 * within. A member of a type that cannot be saved, or a value that does not fit it, does not
 * compile. What a compiler cannot see, stasis_schema_check() does: call it in a test of yours.
 */
#ifndef STASIS_BIND_H
#define STASIS_BIND_H

#include "stasis/schema.h"

/* One integer: unsigned of any width, bool (mask 1), or signed of 64 bits. */
#define STASIS_BIND_INT(type, member, id, since, default_, mask_, doc)                             \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_INT,                                                               \
            .is_signed = STASIS_BIND_SIGNED(STASIS_BIND_OF(type, member)),                         \
            .elem_size = sizeof(STASIS_BIND_OF(type, member)), .max = 1,                           \
            .default_int = (uint64_t)(default_),                                                   \
            .mask = (uint64_t)(mask_) +                                                            \
                    STASIS_BIND_NEED(((uint64_t)(default_) & ~(uint64_t)(mask_)) == 0,             \
                                     #member ": default outside mask") +                           \
                    STASIS_BIND_MASK_FITS(STASIS_BIND_OF(type, member), mask_, #member),           \
    }

/* An array of unsigned integers, each within the mask; the default is 0. */
#define STASIS_BIND_INTS(type, member, id, since, mask_, doc)                                      \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_INTS,                                                              \
            .is_signed = STASIS_BIND_SIGNED(STASIS_BIND_OF(type, member)[0]),                      \
            .elem_size = sizeof(STASIS_BIND_OF(type, member)[0]),                                  \
            .max = STASIS_BIND_LENGTH(type, member),                                               \
            .mask = (uint64_t)(mask_) +                                                            \
                    STASIS_BIND_MASK_FITS(STASIS_BIND_OF(type, member)[0], mask_, #member),        \
    }

/* An array of uint8_t, of which uint32_t `count` bytes are in use: registers of elem bytes each if
 * elem > 1, in little endian. */
#define STASIS_BIND_BUF(type, member, count, id, since, elem, doc)                                 \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_BUF, .elem_size = (elem),                                          \
            .max = STASIS_BIND_LENGTH(type, member) +                                              \
                   STASIS_BIND_IS(STASIS_BIND_OF(type, member)[0], uint8_t) +                      \
                   STASIS_BIND_NEED(sizeof(STASIS_BIND_OF(type, member)) % (elem) == 0,            \
                                    #member " is not whole registers"),                            \
            STASIS_BIND_COUNT(type, count),                                                        \
    }

/* An array of char that holds UTF-8 and its NUL. The default is a string literal. */
#define STASIS_BIND_STR(type, member, id, since, default_, doc)                                    \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_STR, .elem_size = 1,                                               \
            .max = STASIS_BIND_LENGTH(type, member) - 1 +                                          \
                   STASIS_BIND_IS(STASIS_BIND_OF(type, member)[0], char) +                         \
                   STASIS_BIND_NEED(sizeof(default_) <= sizeof(STASIS_BIND_OF(type, member)),      \
                                    #member ": default longer than the member"),                   \
            .default_str = "" default_,                                                            \
    }

/* One nested state, described by a schema of its own. */
#define STASIS_BIND_STRUCT(type, member, id, since, schema, doc)                                   \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_STRUCT, .elem_size = sizeof(STASIS_BIND_OF(type, member)),         \
            .max = 1, .sub = &(schema),                                                            \
    }

/* An array of nested states, of which uint32_t `count` are in use. */
#define STASIS_BIND_LIST(type, member, count, id, since, schema, doc)                              \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_LIST, .elem_size = sizeof(STASIS_BIND_OF(type, member)[0]),        \
            .max = STASIS_BIND_LENGTH(type, member), STASIS_BIND_COUNT(type, count),               \
            .sub = &(schema),                                                                      \
    }

/* The schema's size, fields and field_count. */
#define STASIS_BIND_FIELDS(type, table)                                                            \
    .size = sizeof(type), .fields = (table), .field_count = sizeof(table) / sizeof((table)[0])

/* ---- what they are made of ---- */

#define STASIS_BIND_COMMON(type, member_, id_, since_, doc_)                                       \
    .id = (id_), .since = (since_)&0xffff, .until = (since_) >> 16, .name = #member_,              \
    .doc = (doc_), .offset = offsetof(type, member_)
#define STASIS_BIND_COUNT(type, count)                                                             \
    .count_offset = offsetof(type, count) + STASIS_BIND_IS(STASIS_BIND_OF(type, count), uint32_t)

/* The member, never evaluated. */
#define STASIS_BIND_OF(type, member) (((type *)0)->member)

/* 0, or an error with that text. */
#define STASIS_BIND_NEED(condition, text)                                                          \
    (0 * sizeof(struct {                                                                           \
         _Static_assert(condition, text);                                                          \
         char unused;                                                                              \
     }))

/* 0, or an error that says which type the value has. */
#define STASIS_BIND_IS(value, type) (0 * _Generic((value), type : 0U))

/* Elements of an array, which a pointer is not. */
#define STASIS_BIND_LENGTH(type, member)                                                           \
    (uint32_t)(sizeof(STASIS_BIND_OF(type, member)) / sizeof(STASIS_BIND_OF(type, member)[0]) +    \
               STASIS_BIND_NEED(                                                                   \
                   !__builtin_types_compatible_p(__typeof__(STASIS_BIND_OF(type, member)),         \
                                                 __typeof__(&STASIS_BIND_OF(type, member)[0])),    \
                   #member " is not an array"))

/* Whether an integer that can be saved is signed; of signed ones, only 64 bits can. */
#define STASIS_BIND_SIGNED(value)                                                                  \
    (_Generic((value), _Bool                                                                       \
              : false, unsigned char                                                               \
              : false, unsigned short                                                              \
              : false, unsigned int                                                                \
              : false, unsigned long                                                               \
              : false, unsigned long long                                                          \
              : false, int64_t                                                                     \
              : true))

#define STASIS_BIND_MASK_FITS(value, mask, name)                                                   \
    STASIS_BIND_NEED((uint64_t)(mask) <= (_Generic((value), _Bool : 1, default                     \
                                                   : UINT64_MAX >> (64 - 8 * sizeof(value)))),     \
                     name ": mask wider than the type")

#endif
