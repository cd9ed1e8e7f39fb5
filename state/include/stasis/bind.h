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
 * compile: the first error says why and which macro to use. What a compiler cannot see,
 * stasis_schema_check() does: call it in a test of yours.
 *
 * Members behind a pointer belong to malloc(): stasis_records_get() allocates what the file holds,
 * and stasis_state_fini() frees it. To save a state, the pointer may point to any memory.
 */
#ifndef STASIS_BIND_H
#define STASIS_BIND_H

#include "stasis/schema.h"

/* One integer of any width, or bool (mask 1). The mask of a signed one is of its value in 64 bits:
 * -1 permits every value, 0x7f those from 0 to 127. */
#define STASIS_BIND_INT(type, member, id, since, default_, mask_, doc)                             \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_INT,                                                               \
            .is_signed =                                                                           \
                STASIS_BIND_PICK(STASIS_BIND_OF(type, member), false, false, true, false),         \
            .elem_size = sizeof(STASIS_BIND_OF(type, member)), .max = 1,                           \
            .default_int = (uint64_t)(default_),                                                   \
            .mask =                                                                                \
                (uint64_t)(mask_) + STASIS_BIND_INTEGER(STASIS_BIND_OF(type, member), #member) +   \
                STASIS_BIND_NEED(((uint64_t)(default_) & ~(uint64_t)(mask_)) == 0,                 \
                                 #member ": default outside mask") +                               \
                STASIS_BIND_NEED(STASIS_BIND_FITS(STASIS_BIND_OF(type, member), mask_), #member    \
                                 ": mask wider than the type (-1 for all of a signed one)") +      \
                STASIS_BIND_NEED(STASIS_BIND_FITS(STASIS_BIND_OF(type, member), default_),         \
                                 #member ": default wider than the type"),                         \
    }

/* An array of integers, or of arrays of them, up to three dimensions; the default is 0. Each
 * unsigned integer is within the mask. For signed ones the mask is -1, and the field is a list of
 * as many states of one integer ("int16" and the like), since file format 1 has no arrays of them.
 */
#define STASIS_BIND_INTS(type, member, id, since, mask_, doc)                                      \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_BIND_IS_SIGNED_DEEP(STASIS_BIND_OF(type, member)[0])                    \
                        ? STASIS_KIND_LIST                                                         \
                        : STASIS_KIND_INTS,                                                        \
            .is_fixed = STASIS_BIND_IS_SIGNED_DEEP(STASIS_BIND_OF(type, member)[0]),               \
            .elem_size = STASIS_BIND_SIZE_DEEP(STASIS_BIND_OF(type, member)[0]),                   \
            .max = (uint32_t)(sizeof(STASIS_BIND_OF(type, member)) /                               \
                                  STASIS_BIND_SIZE_DEEP(STASIS_BIND_OF(type, member)[0]) +         \
                              STASIS_BIND_ARRAY(type, member, "STASIS_BIND_INTS_PTR") +            \
                              STASIS_BIND_NEED(                                                    \
                                  STASIS_BIND_IS_DEEP(STASIS_BIND_OF(type, member)[0]),            \
                                  #member " is no array of integers, of up to three dimensions") + \
                              STASIS_BIND_NEED(                                                    \
                                  !STASIS_BIND_IS_POINTER(STASIS_BIND_OF(type, member)[0]),        \
                                  #member ": an array of pointers cannot be saved")),              \
            .mask =                                                                                \
                STASIS_BIND_IS_SIGNED_DEEP(STASIS_BIND_OF(type, member)[0])                        \
                    ? STASIS_BIND_NEED(                                                            \
                          !STASIS_BIND_IS_SIGNED_DEEP(STASIS_BIND_OF(type, member)[0]) ||          \
                              (uint64_t)(mask_) == UINT64_MAX,                                     \
                          #member ": an array of signed integers has the mask -1")                 \
                    : (uint64_t)(mask_) +                                                          \
                          STASIS_BIND_NEED(                                                        \
                              STASIS_BIND_IS_SIGNED_DEEP(STASIS_BIND_OF(type, member)[0]) ||       \
                                  ((uint64_t)(mask_) &                                             \
                                   ~STASIS_BIND_MOST_DEEP(STASIS_BIND_OF(type, member)[0])) == 0,  \
                              #member ": mask wider than the type"),                               \
            .sub = STASIS_BIND_SIGNED_DEEP(STASIS_BIND_OF(type, member)[0]),                       \
    }

/* An array of uint8_t, of which `count` bytes are in use: registers of elem bytes each if elem > 1,
 * in little endian. Here and below `count` is a member of any integer type. */
#define STASIS_BIND_BUF(type, member, count, id, since, elem, doc)                                 \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_BUF, .elem_size = (elem),                                          \
            .max = STASIS_BIND_LENGTH(type, member, "STASIS_BIND_BUF_PTR") +                       \
                   STASIS_BIND_BYTES(type, member) +                                               \
                   STASIS_BIND_NEED(sizeof(STASIS_BIND_OF(type, member)) % (elem) == 0,            \
                                    #member " is not whole registers"),                            \
            STASIS_BIND_COUNT(type, count, sizeof(STASIS_BIND_OF(type, member))),                  \
    }

/* A pointer to uint8_t, of which at most max bytes are saved; the default is none. */
#define STASIS_BIND_BUF_PTR(type, member, count, max_, id, since, elem, doc)                       \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_BUF, .is_pointer = true, .elem_size = (elem),                      \
            .max = (max_) + STASIS_BIND_POINTER(type, member, "STASIS_BIND_BUF") +                 \
                   STASIS_BIND_BYTES(type, member) +                                               \
                   STASIS_BIND_NEED((max_) % (elem) == 0,                                          \
                                    #member ": its maximum is not whole registers"),               \
            STASIS_BIND_COUNT(type, count, max_),                                                  \
    }

/* An array of char that holds UTF-8 and its NUL. The default is a string literal. */
#define STASIS_BIND_STR(type, member, id, since, default_, doc)                                    \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_STR, .elem_size = 1,                                               \
            .max =                                                                                 \
                STASIS_BIND_LENGTH(type, member, "STASIS_BIND_BUF_PTR and uint8_t") - 1 +          \
                STASIS_BIND_NEED(_Generic(STASIS_BIND_OF(type, member)[0], char                    \
                                          : true, default                                          \
                                          : false),                                                \
                                 #member " is no array of char (bytes: STASIS_BIND_BUF; several "  \
                                         "strings: STASIS_BIND_STRUCTS of a struct with one)") +   \
                STASIS_BIND_NEED(sizeof(default_) <= sizeof(STASIS_BIND_OF(type, member)),         \
                                 #member ": default longer than the member"),                      \
            .default_str = "" default_,                                                            \
    }

/* One nested state, described by a schema of its own. */
#define STASIS_BIND_STRUCT(type, member, id, since, schema, doc)                                   \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_STRUCT,                                                            \
            .elem_size =                                                                           \
                sizeof(STASIS_BIND_OF(type, member)) +                                             \
                STASIS_BIND_NEED(STASIS_BIND_CLASS(STASIS_BIND_OF(type, member)) == 12, #member    \
                                 " is no struct (an array of structs: STASIS_BIND_STRUCTS)"),      \
            .max = 1, .sub = &(schema),                                                            \
    }

/* An array of nested states of the type elem, or of arrays of them, up to three dimensions; all are
 * in use. */
#define STASIS_BIND_STRUCTS(type, member, elem, id, since, schema, doc)                            \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_LIST, .is_fixed = true, .elem_size = sizeof(elem),                 \
            .max = (uint32_t)(sizeof(STASIS_BIND_OF(type, member)) / sizeof(elem) +                \
                              STASIS_BIND_ARRAY(type, member, "STASIS_BIND_LIST_PTR") +            \
                              STASIS_BIND_NEED(_Generic(STASIS_BIND_OF(type, member)[0],           \
                                                        STASIS_BIND_DEEP(elem, true), default      \
                                                        : false),                                  \
                                               #member " is no array of " #elem                    \
                                                       ", of up to three dimensions") +            \
                              STASIS_BIND_NEED(                                                    \
                                  !STASIS_BIND_IS_POINTER(STASIS_BIND_OF(type, member)[0]),        \
                                  #member ": an array of pointers cannot be saved")),              \
            .sub = &(schema),                                                                      \
    }

/* An array of nested states, of which `count` are in use. */
#define STASIS_BIND_LIST(type, member, count, id, since, schema, doc)                              \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_LIST, .elem_size = sizeof(STASIS_BIND_OF(type, member)[0]),        \
            .max = STASIS_BIND_LENGTH(type, member, "STASIS_BIND_LIST_PTR") +                      \
                   STASIS_BIND_NO_POINTERS(type, member),                                          \
            STASIS_BIND_COUNT(type, count, STASIS_BIND_LENGTH(type, member, "")),                  \
            .sub = &(schema),                                                                      \
    }

/* A pointer to nested states, of which at most max are saved; the default is none. */
#define STASIS_BIND_LIST_PTR(type, member, count, max_, id, since, schema, doc)                    \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_LIST, .is_pointer = true,                                          \
            .elem_size = sizeof(STASIS_BIND_OF(type, member)[0]),                                  \
            .max = (max_) + STASIS_BIND_POINTER(type, member, "STASIS_BIND_LIST") +                \
                   STASIS_BIND_NO_POINTERS(type, member),                                          \
            STASIS_BIND_COUNT(type, count, max_), .sub = &(schema),                                \
    }

/* A pointer to integers of any type, of which at most max are saved; the default is none. In the
 * file it is a list of states of one integer ("uint32" and the like). */
#define STASIS_BIND_INTS_PTR(type, member, count, max_, id, since, doc)                            \
    {                                                                                              \
        STASIS_BIND_COMMON(type, member, id, since, doc),                                          \
            .kind = STASIS_KIND_LIST, .is_pointer = true,                                          \
            .elem_size = sizeof(STASIS_BIND_OF(type, member)[0]),                                  \
            .max = (max_) + STASIS_BIND_POINTER(type, member, "STASIS_BIND_INTS") +                \
                   STASIS_BIND_NEED(                                                               \
                       STASIS_BIND_PICK(STASIS_BIND_OF(type, member)[0], true, true, true, false), \
                       #member " does not point to integers of 8 to 64 bits (text and plain "      \
                               "char: STASIS_BIND_BUF_PTR and uint8_t)"),                          \
            STASIS_BIND_COUNT(type, count, max_),                                                  \
            .sub = STASIS_BIND_ELEMENT(STASIS_BIND_OF(type, member)[0]),                           \
    }

/* The schema's size, fields and field_count. */
#define STASIS_BIND_FIELDS(type, table)                                                            \
    .size = sizeof(type), .fields = (table), .field_count = sizeof(table) / sizeof((table)[0])

/* ---- what they are made of ---- */

#define STASIS_BIND_COMMON(type, member_, id_, since_, doc_)                                       \
    .id = (id_), .since = (since_)&0xffff, .until = (since_) >> 16, .name = #member_,              \
    .doc = (doc_), .offset = offsetof(type, member_)

#define STASIS_BIND_COUNT(type, count, max_)                                                       \
    .count_offset = offsetof(type, count),                                                         \
    .count_size = (uint8_t)(sizeof(STASIS_BIND_OF(type, count)) +                                  \
                            STASIS_BIND_NEED(STASIS_BIND_PICK(STASIS_BIND_OF(type, count), false,  \
                                                              true, true, false),                  \
                                             #count ": the count is no integer of 8 to 64 bits") + \
                            STASIS_BIND_NEED(STASIS_BIND_FITS(STASIS_BIND_OF(type, count), max_),  \
                                             #count ": the count is too small for the maximum"))

/* The member, never evaluated. */
#define STASIS_BIND_OF(type, member) (((type *)0)->member)

/* 0, or an error with that text. */
#define STASIS_BIND_NEED(condition, text)                                                          \
    (0 * sizeof(struct {                                                                           \
         _Static_assert(condition, text);                                                          \
         char unused;                                                                              \
     }))

/* What GCC and Clang call the kind of a type, after an array has become a pointer. */
#define STASIS_BIND_CLASS(value) __builtin_classify_type(value)

/* One of these by the type of an integer; enums are integers, plain char is none. */
#define STASIS_BIND_PICK(value, bool_, unsigned_, signed_, other)                                  \
    _Generic((value), _Bool                                                                        \
             : (bool_), unsigned char                                                              \
             : (unsigned_), unsigned short                                                         \
             : (unsigned_), unsigned int                                                           \
             : (unsigned_), unsigned long                                                          \
             : (unsigned_), unsigned long long                                                     \
             : (unsigned_), signed char                                                            \
             : (signed_), short                                                                    \
             : (signed_), int                                                                      \
             : (signed_), long                                                                     \
             : (signed_), long long                                                                \
             : (signed_), default                                                                  \
             : (other))

/* 0, or an error that says what to do about the type. */
#define STASIS_BIND_INTEGER(value, name)                                                           \
    (STASIS_BIND_NEED(STASIS_BIND_CLASS(value) != 8,                                               \
                      name " is a floating-point number: save its bits as an integer") +           \
     STASIS_BIND_NEED(STASIS_BIND_CLASS(value) != 5,                                               \
                      name " is a pointer or an array, no integer: for integers with a count use " \
                           "STASIS_BIND_INTS_PTR, for an array STASIS_BIND_INTS") +                \
     STASIS_BIND_NEED(STASIS_BIND_CLASS(value) != 12 && STASIS_BIND_CLASS(value) != 13,            \
                      name " is a struct or a union: use STASIS_BIND_STRUCT") +                    \
     STASIS_BIND_NEED(STASIS_BIND_CLASS(value) == 5 || STASIS_BIND_CLASS(value) == 8 ||            \
                          STASIS_BIND_CLASS(value) >= 12 ||                                        \
                          STASIS_BIND_PICK(value, true, true, true, false),                        \
                      name " is no integer of 8 to 64 bits (plain char: make it signed char, or "  \
                           "use STASIS_BIND_STR)"))

/* Whether the number is a value of the type. */
#define STASIS_BIND_FITS(value, number)                                                            \
    STASIS_BIND_PICK(value, ((uint64_t)(number) & ~UINT64_C(1)) == 0,                              \
                     ((uint64_t)(number) & ~(UINT64_MAX >> (64 - STASIS_BIND_BITS(value)))) == 0,  \
                     (int64_t)(number) <= STASIS_BIND_MOST(value) &&                               \
                         (int64_t)(number) >= -STASIS_BIND_MOST(value) - 1,                        \
                     true)
#define STASIS_BIND_BITS(value) (sizeof(value) < 8 ? 8 * sizeof(value) : 64)
#define STASIS_BIND_MOST(value) (INT64_MAX >> (64 - STASIS_BIND_BITS(value)))

/* Whether it is a pointer, and not an array or something else. */
#define STASIS_BIND_IS_POINTER(value)                                                              \
    (STASIS_BIND_CLASS(value) == 5 &&                                                              \
     __builtin_types_compatible_p(__typeof__(value), __typeof__(1 ? (value) : (value))))

#define STASIS_BIND_ARRAY(type, member, macro)                                                     \
    STASIS_BIND_NEED(!STASIS_BIND_IS_POINTER(STASIS_BIND_OF(type, member)),                        \
                     #member " is not an array: for a pointer and a count use " macro)
#define STASIS_BIND_POINTER(type, member, macro)                                                   \
    (uint32_t) STASIS_BIND_NEED(STASIS_BIND_IS_POINTER(STASIS_BIND_OF(type, member)),              \
                                #member " is not a pointer: for an array use " macro)
#define STASIS_BIND_NO_POINTERS(type, member)                                                      \
    (uint32_t) STASIS_BIND_NEED(STASIS_BIND_CLASS(STASIS_BIND_OF(type, member)[0]) != 5,           \
                                #member ": its elements are pointers or arrays, not structs")
#define STASIS_BIND_BYTES(type, member)                                                            \
    (uint32_t) STASIS_BIND_NEED(_Generic(STASIS_BIND_OF(type, member)[0], uint8_t                  \
                                         : true, default                                           \
                                         : false),                                                 \
                                #member " does not consist of uint8_t")

/* Elements of an array, which a pointer is not. */
#define STASIS_BIND_LENGTH(type, member, macro)                                                    \
    (uint32_t)(sizeof(STASIS_BIND_OF(type, member)) / sizeof(STASIS_BIND_OF(type, member)[0]) +    \
               STASIS_BIND_ARRAY(type, member, macro))

/* The same result for elements of the type, for arrays of them, and for arrays of arrays. */
#define STASIS_BIND_DEEP(type, result)                                                             \
type:                                                                                              \
    (result), type * : (result), type(*)[] : (result)
#define STASIS_BIND_PICK_DEEP(value, b, u8, u16, u32, u64, s8, s16, s32, s64, other)               \
    _Generic((value), STASIS_BIND_DEEP(_Bool, b), STASIS_BIND_DEEP(unsigned char, u8),             \
             STASIS_BIND_DEEP(unsigned short, u16), STASIS_BIND_DEEP(unsigned int, u32),           \
             STASIS_BIND_DEEP(unsigned long, sizeof(long) == 8 ? (u64) : (u32)),                   \
             STASIS_BIND_DEEP(unsigned long long, u64), STASIS_BIND_DEEP(signed char, s8),         \
             STASIS_BIND_DEEP(short, s16), STASIS_BIND_DEEP(int, s32),                             \
             STASIS_BIND_DEEP(long, sizeof(long) == 8 ? (s64) : (s32)),                            \
             STASIS_BIND_DEEP(long long, s64), default                                             \
             : (other))
#define STASIS_BIND_SIZE_DEEP(value)                                                               \
    STASIS_BIND_PICK_DEEP(value, 1U, 1U, 2U, 4U, 8U, 1U, 2U, 4U, 8U, 1U)
#define STASIS_BIND_MOST_DEEP(value)                                                               \
    (uint64_t) STASIS_BIND_PICK_DEEP(value, 1U, UINT8_MAX, UINT16_MAX, UINT32_MAX, UINT64_MAX, 0,  \
                                     0, 0, 0, UINT64_MAX)
#define STASIS_BIND_IS_SIGNED_DEEP(value)                                                          \
    STASIS_BIND_PICK_DEEP(value, false, false, false, false, false, true, true, true, true, false)
#define STASIS_BIND_IS_DEEP(value)                                                                 \
    STASIS_BIND_PICK_DEEP(value, true, true, true, true, true, true, true, true, true, false)
#define STASIS_BIND_SCHEMA(name) (&stasis_element_schemas[STASIS_ELEMENT_##name])
#define STASIS_BIND_SIGNED_DEEP(value)                                                             \
    STASIS_BIND_PICK_DEEP(value, NULL, NULL, NULL, NULL, NULL, STASIS_BIND_SCHEMA(INT8),           \
                          STASIS_BIND_SCHEMA(INT16), STASIS_BIND_SCHEMA(INT32),                    \
                          STASIS_BIND_SCHEMA(INT64), NULL)
#define STASIS_BIND_ELEMENT(value)                                                                 \
    STASIS_BIND_PICK_DEEP(                                                                         \
        value, STASIS_BIND_SCHEMA(BOOL), STASIS_BIND_SCHEMA(UINT8), STASIS_BIND_SCHEMA(UINT16),    \
        STASIS_BIND_SCHEMA(UINT32), STASIS_BIND_SCHEMA(UINT64), STASIS_BIND_SCHEMA(INT8),          \
        STASIS_BIND_SCHEMA(INT16), STASIS_BIND_SCHEMA(INT32), STASIS_BIND_SCHEMA(INT64), NULL)

#endif
