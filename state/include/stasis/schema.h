/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A state is described once, in a list: state/include/stasis/state/<name>.def. From the list come
 * the struct (def_struct.h), the field table below (def_fields.h), and through the table the
 * encoder, the decoder, JSON and the documentation. The lists hold one row per field:
 *
 *   STASIS_INT(id, type, name, since, default, mask, doc)       uint8_t..uint64_t, int8_t..int64_t
 *   STASIS_INTS(id, type, name, count, since, mask, doc)        fixed array of unsigned, default 0
 *   STASIS_BUF(id, name, max, elem, since, doc)                 bytes of variable length; elem > 1
 *                                                               if they are registers of that size
 *   STASIS_STR(id, name, max, since, default, doc)              UTF-8, at most max bytes
 *   STASIS_STRUCT(id, sub, name, since, doc)                    one nested state
 *   STASIS_LIST(id, sub, name, max, since, doc)                 up to max nested states
 *
 *   STASIS_OLD_BOUND(before, id, name, bound)                         see below
 *
 * ids start at 1, rise by one and are never reused. `since` is the record version a field came
 * with. `mask` holds the bits that may be set, of a signed integer those of its 64-bit value: -1
 * permits every value of the type. A default outside its own mask does not compile.
 *
 * A list also describes its earlier versions, so that their files can be read and written. Once
 * released, a row keeps its id, type and size (docs/architecture.md, "Versions", has the procedure,
 * and the lock that enforces it):
 * - A new field has the new version as its `since`.
 * - A removed field keeps its row, with STASIS_REMOVED(since, until) as its `since`: files of
 * versions before `until` contain it, and the struct keeps it for migrations only.
 * - Of a mask or maximum that was enlarged, the old one remains in a row STASIS_OLD_BOUND: before
 * version `before` it was `bound`.
 * - What a table cannot express is done by a migration (struct stasis_migration). A removed field
 * and a changed default need one. A nested state has the versions of the record that contains it.
 *
 * A program that has structs but no lists binds rows to their members: stasis/bind.h. All
 * functions here are pure, and safe in any thread; a schema and its tables must outlive whatever
 * uses them.
 */
#ifndef STASIS_SCHEMA_H
#define STASIS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/compiler.h"
#include "stasis/error.h"

STASIS_BEGIN_DECLS

enum stasis_kind {
    STASIS_KIND_INT,
    STASIS_KIND_INTS,
    STASIS_KIND_BUF,
    STASIS_KIND_STR,
    STASIS_KIND_STRUCT,
    STASIS_KIND_LIST,
};

struct stasis_schema;

/* The `since` of a field that was on the wire from version `since` to the one before `until`. */
#define STASIS_REMOVED(since, until) ((since) | (until) << 16)

struct stasis_field {
    uint16_t id;
    uint16_t since; /* first record version that has the field */
    uint16_t until; /* first that has it no more; 0: none */
    enum stasis_kind kind;
    bool is_signed;       /* INT: int8_t to int64_t */
    bool is_fixed;        /* LIST: without a count, all `max` elements are in use */
    bool is_pointer;      /* BUF, LIST: the struct holds a pointer to the elements */
    uint8_t count_size;   /* BUF, LIST: of the count: 1, 2, 4 or 8; 0 is 4 */
    uint32_t elem_size;   /* INT, INTS: size of one; BUF: register size; STRUCT, LIST: of one */
    uint32_t max;         /* INTS: count; BUF, STR: bytes; LIST: elements; else 1 */
    size_t offset;        /* of the value, or of the pointer to it, in the struct */
    size_t count_offset;  /* BUF: <name>_len; LIST: <name>_count */
    uint64_t default_int; /* INT; a signed default as its 64-bit two's complement */
    uint64_t mask;        /* INT, INTS; of a signed one as its 64-bit two's complement */
    const char *default_str;
    const char *name;
    const char *doc;
    const struct stasis_schema *sub; /* STRUCT, LIST */
};

/* Before version `before`, the mask (INT, INTS) or maximum (BUF, STR, LIST) of field id was less.
 */
struct stasis_old_bound {
    uint16_t before;
    uint16_t id;
    uint64_t bound;
};

/* Converts a state from version `to` - 1 to `to` (up), and back (down). Either may be NULL. Both
 * depend on their input only, and make of every state that the bounds of one version allow one
 * that those of the other allow. Before `up`, new fields hold their defaults; after it, removed
 * fields are cleared. A new field that `down` does not leave at its default is a loss: the older
 * version is then not written, unless the caller permits it. */
struct stasis_migration {
    uint16_t to;
    void (*up)(void *state);
    void (*down)(void *state);
};

/* Depth of nesting below a record: a constant of the lists, never of the input. */
#define STASIS_SCHEMA_DEPTH_MAX 3

/* Bounds of the names and texts of a schema. A field's name is of letters, digits and _, a type of
 * [a-z0-9._-]; both and doc are shown on terminals. */
#define STASIS_TYPE_MAX          32  /* bytes of a type or instance name */
#define STASIS_SCHEMA_NAME_MAX   64u /* bytes of a field's name */
#define STASIS_SCHEMA_DOC_MAX    255u
#define STASIS_SCHEMA_FIELDS_MAX 1024u
#define STASIS_SCHEMA_ROOM_MAX   (4u << 20) /* bytes that a reader must have for a state */

/* Most RAM that a snapshot describes, and where it must end. */
#define STASIS_RAM_MAX (UINT64_C(1) << 42)
#define STASIS_GPA_MAX (UINT64_C(1) << 52)

struct stasis_schema {
    const char *type; /* "stasis.serial"; of nested states "segment" etc. */
    uint16_t version; /* of the record type */
    bool optional;    /* a reader that does not know the type may skip it */
    uint32_t field_count;
    size_t size; /* of the struct */
    const struct stasis_field *fields;
    const struct stasis_old_bound *history;    /* ends with a row of zeros; NULL: none */
    const struct stasis_migration *migrations; /* ascending, ends with a row of zeros; NULL: none */
    const char *doc;
    /* Rules between fields, after every mask and bound has been checked; may be NULL. */
    int (*check)(const void *state, struct stasis_error *err);
};

/* Sets *state (schema->size bytes) to the defaults of the list, padding included; pointers become
 * NULL, and what they pointed to is not looked at. */
STASIS_EXPORT void stasis_state_init(const struct stasis_schema *schema, void *state);

/* Checks every mask, bound and string of *state and then the schema's own rules.
 * STASIS_ERR_RANGE names the field. Nested states are checked too. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_state_check(const struct stasis_schema *schema,
                                                       const void *state, struct stasis_error *err);

/* Frees, with free(), what the pointers of the schema's rows point to, sets them to NULL and their
 * counts to 0. The rest of *state stays. Nothing to do for a schema without such rows. */
STASIS_EXPORT void stasis_state_fini(const struct stasis_schema *schema, void *state);

/* Copies what the schema describes from one struct to another of its type, and leaves the rest of
 * *ret_state, such as the pointers of a live device, as it is. Rows that are pointers are left too,
 * with their counts: who owns a live device's memory takes them over. No checks. */
STASIS_EXPORT void stasis_state_copy(const struct stasis_schema *schema, const void *state,
                                     void *ret_state);

/* Checks the table of a record that somebody wrote: ids, versions, places in the struct, masks and
 * defaults, past and steps, unique names, and all that is nested. stasis_records_add() calls it.
 * The functions above trust the table. STASIS_ERR_ARG names the schema and the field. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_schema_check(const struct stasis_schema *schema,
                                                        struct stasis_error *err);

/* Whether the field is on the wire in that version of its record. */
static inline bool stasis_field_in(const struct stasis_field *field, uint32_t version)
{
    return field->since <= version && (!field->until || version < field->until);
}

/* Bytes that a state of this version takes in a reader that knows it from its file only, as
 * docs/snapshot-format.md, "Schema section", counts them; more than STASIS_SCHEMA_ROOM_MAX if they
 * are too many. */
STASIS_EXPORT uint64_t stasis_schema_room(const struct stasis_schema *schema, uint32_t version);

/* The field's mask (INT, INTS) or else its `max`, as it was in that version. */
STASIS_EXPORT uint64_t stasis_field_bound(const struct stasis_schema *schema,
                                          const struct stasis_field *field, uint32_t version);

/* Puts the field's default at its place in *state, freeing as stasis_state_fini() what it pointed
 * to; and whether it is there. */
STASIS_EXPORT void stasis_field_set_default(const struct stasis_field *field, void *state);
STASIS_EXPORT bool stasis_field_is_default(const struct stasis_field *field, const void *state);

/* A state of one integer of that type, with the name of the type: what a list has for elements
 * where its values are the integers themselves (STASIS_BIND_INTS of signed ones,
 * STASIS_BIND_INTS_PTR). */
enum stasis_element {
    STASIS_ELEMENT_BOOL,
    STASIS_ELEMENT_UINT8,
    STASIS_ELEMENT_UINT16,
    STASIS_ELEMENT_UINT32,
    STASIS_ELEMENT_UINT64,
    STASIS_ELEMENT_INT8,
    STASIS_ELEMENT_INT16,
    STASIS_ELEMENT_INT32,
    STASIS_ELEMENT_INT64,
    STASIS_ELEMENT_COUNT,
};

STASIS_EXPORT extern const struct stasis_schema stasis_element_schemas[STASIS_ELEMENT_COUNT];

/* Every record type this release knows, sorted by type; and one by its type, or NULL. */
STASIS_EXPORT const struct stasis_schema *const *stasis_schema_all(size_t *ret_count);
STASIS_EXPORT const struct stasis_schema *stasis_schema_find(const char *type);

STASIS_END_DECLS

#endif
