/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Defaults, copies and checks, driven by the field tables. The functions that call themselves do so
 * along the nesting of the lists (STASIS_SCHEMA_DEPTH_MAX), never along input.
 */
#include "stasis/schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"

/* Bytes of the field's value in the struct, a count left out. */
static size_t field_size(const struct stasis_field *field)
{
    if (field->is_pointer)
        return sizeof(void *);
    switch (field->kind) {
    case STASIS_KIND_STR:
        return (size_t)field->max + 1;
    case STASIS_KIND_BUF:
        return field->max;
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
    case STASIS_KIND_STRUCT:
    case STASIS_KIND_LIST:
        break;
    }
    return (size_t)field->max * field->elem_size;
}

/* Elements of a field that are states themselves and in use. */
static uint32_t nested_count(const struct stasis_field *field, const void *state)
{
    if (field->kind == STASIS_KIND_LIST)
        return stasis_field_get_count(field, state);
    return field->kind == STASIS_KIND_STRUCT;
}

/* Whether a state of the schema owns memory. Most do not. */
static bool has_pointers(const struct stasis_schema *schema)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (field->is_pointer || (field->sub && has_pointers(field->sub)))
            return true;
    }
    return false;
}

static void field_fini(const struct stasis_field *field, void *state)
{
    uint8_t *at = stasis_field_at(field, state);
    uint32_t count = field->sub && has_pointers(field->sub) ? nested_count(field, state) : 0;

    for (uint32_t i = 0; at && i < count && i < field->max; i++)
        stasis_state_fini(field->sub, at + (size_t)i * field->elem_size);
    if (!field->is_pointer)
        return;
    free(at);
    stasis_field_set_pointer(field, state, NULL);
    stasis_field_set_count(field, state, 0);
}

void stasis_state_fini(const struct stasis_schema *schema, void *state)
{
    for (uint32_t i = 0; i < schema->field_count; i++)
        field_fini(&schema->fields[i], state);
}

static void put_defaults(const struct stasis_schema *schema, void *state);

/* Where all is zero. */
static void put_default(const struct stasis_field *field, void *state)
{
    uint8_t *at = (uint8_t *)state + field->offset;
    uint32_t count;

    switch (field->kind) {
    case STASIS_KIND_INT:
        if (field->default_int)
            stasis_field_set_int(field, state, 0, field->default_int);
        break;
    case STASIS_KIND_STR:
        memcpy(at, field->default_str, strlen(field->default_str));
        break;
    case STASIS_KIND_STRUCT:
    case STASIS_KIND_LIST:
        count = nested_count(field, state);
        for (uint32_t i = 0; i < count; i++)
            put_defaults(field->sub, at + (size_t)i * field->elem_size);
        break;
    case STASIS_KIND_BUF:
    case STASIS_KIND_INTS:
        break; /* zeros */
    }
}

static void put_defaults(const struct stasis_schema *schema, void *state)
{
    for (uint32_t i = 0; i < schema->field_count; i++)
        put_default(&schema->fields[i], state);
}

void stasis_field_set_default(const struct stasis_field *field, void *state)
{
    field_fini(field, state);
    memset((uint8_t *)state + field->offset, 0, field_size(field));
    if (field->kind == STASIS_KIND_BUF || field->kind == STASIS_KIND_LIST)
        stasis_field_set_count(field, state, 0);
    put_default(field, state);
}

static bool is_default(const struct stasis_schema *schema, const void *state)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!stasis_field_is_default(&schema->fields[i], state))
            return false;
    }
    return true;
}

/* A list with a count is at its default when it is empty. */
static bool are_default(const struct stasis_field *field, const void *state)
{
    const uint8_t *at = (const uint8_t *)state + field->offset;

    if (field->kind == STASIS_KIND_LIST && !field->is_fixed)
        return !stasis_field_get_count(field, state);
    for (uint32_t i = 0; i < field->max; i++) {
        if (!is_default(field->sub, at + (size_t)i * field->elem_size))
            return false;
    }
    return true;
}

bool stasis_field_is_default(const struct stasis_field *field, const void *state)
{
    const uint8_t *at = (const uint8_t *)state + field->offset;

    switch (field->kind) {
    case STASIS_KIND_INT:
        return stasis_field_get_int(field, state, 0) == field->default_int;
    case STASIS_KIND_INTS:
        for (uint32_t i = 0; i < field->max; i++) {
            if (stasis_field_get_int(field, state, i))
                return false;
        }
        return true;
    case STASIS_KIND_STR:
        return !strcmp((const char *)at, field->default_str);
    case STASIS_KIND_BUF:
        return !stasis_field_get_count(field, state);
    case STASIS_KIND_STRUCT:
    case STASIS_KIND_LIST:
        break;
    }
    return are_default(field, state);
}

uint64_t stasis_field_bound(const struct stasis_schema *schema, const struct stasis_field *field,
                            uint32_t version)
{
    bool is_int = field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS;
    uint64_t bound = is_int ? field->mask : field->max;
    uint32_t before = UINT32_MAX;

    for (const struct stasis_old_bound *old = schema->history; old && old->before; old++) {
        if (old->id == field->id && version < old->before && old->before < before) {
            bound = old->bound;
            before = old->before;
        }
    }
    return bound;
}

void stasis_state_init(const struct stasis_schema *schema, void *state)
{
    memset(state, 0, schema->size);
    put_defaults(schema, state);
}

static void copy_nested(const struct stasis_field *field, const uint8_t *from, uint8_t *to)
{
    for (uint32_t i = 0; i < field->max; i++)
        stasis_state_copy(field->sub, from + (size_t)i * field->elem_size,
                          to + (size_t)i * field->elem_size);
}

void stasis_state_copy(const struct stasis_schema *schema, const void *state, void *ret_state)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];
        const uint8_t *from = (const uint8_t *)state + field->offset;
        uint8_t *to = (uint8_t *)ret_state + field->offset;

        if (field->is_pointer)
            continue;
        if (field->sub)
            copy_nested(field, from, to);
        else
            memcpy(to, from, field_size(field));
        if (field->kind == STASIS_KIND_BUF || field->kind == STASIS_KIND_LIST)
            stasis_field_set_count(field, ret_state, stasis_field_get_count(field, state));
    }
}

static int check_ints(const struct stasis_field *field, const uint8_t *base,
                      struct stasis_error *err)
{
    for (uint32_t i = 0; i < field->max; i++) {
        uint64_t value = stasis_field_get_int(field, base, i);

        if (value & ~field->mask)
            return stasis_fail(err, STASIS_ERR_RANGE,
                               "%s is 0x%" PRIx64 ", outside its mask 0x%" PRIx64, field->name,
                               value, field->mask);
    }
    return 0;
}

static int check_pointer(const struct stasis_field *field, const uint8_t *base,
                         struct stasis_error *err)
{
    uint32_t count = stasis_field_get_count(field, base);

    if (count && !stasis_field_at(field, base))
        return stasis_fail(err, STASIS_ERR_RANGE, "%s has %" PRIu32 " elements, but points to NULL",
                           field->name, count);
    return 0;
}

static int check_count(const struct stasis_field *field, const uint8_t *base,
                       struct stasis_error *err)
{
    uint32_t count = stasis_field_get_count(field, base);

    if (count > field->max)
        return stasis_fail(err, STASIS_ERR_RANGE, "%s has %" PRIu32 " elements, at most %" PRIu32,
                           field->name, count, field->max);
    if (field->kind == STASIS_KIND_BUF && count % field->elem_size)
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "%s has %" PRIu32 " bytes, not whole registers of %" PRIu32, field->name,
                           count, field->elem_size);
    return check_pointer(field, base, err);
}

static int check_str(const struct stasis_field *field, const uint8_t *base,
                     struct stasis_error *err)
{
    const char *str = (const char *)base + field->offset;
    size_t len = strnlen(str, (size_t)field->max + 1);

    if (len > field->max)
        return stasis_fail(err, STASIS_ERR_RANGE, "%s is longer than %" PRIu32 " bytes",
                           field->name, field->max);
    if (!stasis_utf8_valid(str, len))
        return stasis_fail(err, STASIS_ERR_RANGE, "%s is not UTF-8, or has control characters",
                           field->name);
    return 0;
}

static int check_nested(const struct stasis_field *field, const uint8_t *base,
                        struct stasis_error *err)
{
    const uint8_t *at = stasis_field_at(field, base);
    uint32_t count = nested_count(field, base);

    for (uint32_t i = 0; i < count; i++) {
        int rc = stasis_state_check(field->sub, at + (size_t)i * field->elem_size, err);
        if (rc)
            return stasis_wrap(err, rc, "%s[%" PRIu32 "]", field->name, i);
    }
    return 0;
}

static int field_check(const struct stasis_field *field, const uint8_t *base,
                       struct stasis_error *err)
{
    int rc = 0;

    switch (field->kind) {
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
        return check_ints(field, base, err);
    case STASIS_KIND_BUF:
        return check_count(field, base, err);
    case STASIS_KIND_STR:
        return check_str(field, base, err);
    case STASIS_KIND_LIST:
        rc = check_count(field, base, err);
        break;
    case STASIS_KIND_STRUCT:
        break;
    }
    return rc ? rc : check_nested(field, base, err);
}

int stasis_state_check(const struct stasis_schema *schema, const void *state,
                       struct stasis_error *err)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];
        int rc;

        /* Most fields are single integers, and right. */
        if (field->kind == STASIS_KIND_INT &&
            !(stasis_field_get_int(field, state, 0) & ~field->mask))
            continue;
        rc = field_check(field, state, err);
        if (rc)
            return rc;
    }
    return schema->check ? schema->check(state, err) : 0;
}

static uint64_t round_up_8(uint64_t size)
{
    return (size + 7) / 8 * 8;
}

static uint64_t field_room(const struct stasis_schema *schema, const struct stasis_field *field,
                           uint32_t version)
{
    uint64_t bound = stasis_field_bound(schema, field, version);

    switch (field->kind) {
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
        return round_up_8((uint64_t)field->max * field->elem_size);
    case STASIS_KIND_STR:
        return round_up_8(bound + 1);
    case STASIS_KIND_BUF:
        return 8 + round_up_8(bound);
    case STASIS_KIND_STRUCT:
        return round_up_8(stasis_schema_room(field->sub, version));
    case STASIS_KIND_LIST:
        break;
    }
    return 8 + round_up_8(bound * stasis_schema_room(field->sub, version));
}

/* Calls itself along the nesting of the lists (STASIS_SCHEMA_DEPTH_MAX) only. A bound is below 2^32
 * and a room at most 2^22 and one, so nothing overflows. */
uint64_t stasis_schema_room(const struct stasis_schema *schema, uint32_t version)
{
    uint64_t room = 0;

    for (uint32_t i = 0; i < schema->field_count && room <= STASIS_SCHEMA_ROOM_MAX; i++) {
        if (stasis_field_in(&schema->fields[i], version))
            room += field_room(schema, &schema->fields[i], version);
    }
    if (room > STASIS_SCHEMA_ROOM_MAX)
        return (uint64_t)STASIS_SCHEMA_ROOM_MAX + 1;
    return room ? room : 1;
}
