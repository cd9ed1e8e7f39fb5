/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether a table is one. Ours are checked as they are compiled (def_fields.h); this is for those
 * that others write. What calls itself does so at most STASIS_SCHEMA_DEPTH_MAX deep.
 */
#include "stasis/schema.h"

#include <inttypes.h>
#include <string.h>

#include "stasis/field.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz0123456789"

struct table {
    const struct stasis_schema *record;
    const struct stasis_schema *schema;
    const struct stasis_field *field;
    unsigned depth;
    struct stasis_error *err;
};

static int refuse(const struct table *table, const char *what)
{
    return stasis_fail(table->err, STASIS_ERR_ARG, "schema %s, field %u (%s): %s",
                       table->schema->type ? table->schema->type : "without a type",
                       table->field->id, table->field->name ? table->field->name : "", what);
}

static int refuse_schema(const struct table *table, const char *what)
{
    return stasis_fail(table->err, STASIS_ERR_ARG, "schema %s: %s",
                       table->schema->type ? table->schema->type : "without a type", what);
}

static bool is_inside(const struct table *table, size_t offset, uint64_t size)
{
    return offset <= table->schema->size && size <= table->schema->size - offset;
}

/* Whether the one mask, or maximum, allows all that the other does. */
static bool is_within(const struct stasis_field *field, uint64_t bound, uint64_t limit)
{
    bool is_mask = field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS;

    return is_mask ? !(bound & ~limit) : bound <= limit;
}

static int check_int(const struct table *table)
{
    const struct stasis_field *field = table->field;
    uint32_t size = field->elem_size;

    if (size != 1 && size != 2 && size != 4 && size != 8)
        return refuse(table, "an integer has 1, 2, 4 or 8 bytes");
    if (field->is_signed && field->kind == STASIS_KIND_INTS)
        return refuse(table, "the integers of an array are unsigned");
    if (!stasis_field_fits(field, field->mask))
        return refuse(table, "its mask is wider than its type");
    if (field->default_int & ~field->mask || !stasis_field_fits(field, field->default_int))
        return refuse(table, "its default is outside its mask");
    return 0;
}

static int check_str(const struct table *table)
{
    const char *str = table->field->default_str;

    if (!str || strlen(str) > table->field->max || !stasis_utf8_valid(str, strlen(str)))
        return refuse(table,
                      "its default is missing, too long, not UTF-8 or has control characters");
    return 0;
}

static int check_fields(struct table *table);

static int check_nested(const struct table *table)
{
    struct table sub = {.record = table->record,
                        .schema = table->field->sub,
                        .depth = table->depth + 1,
                        .err = table->err};

    if (!sub.schema || sub.schema->size != table->field->elem_size)
        return refuse(table, "its schema is missing, or of a struct of another size");
    if (sub.depth > STASIS_SCHEMA_DEPTH_MAX)
        return refuse(table, "nested too deep");
    return check_fields(&sub);
}

static int check_kind(const struct table *table)
{
    const struct stasis_field *field = table->field;

    switch (field->kind) {
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
        return check_int(table);
    case STASIS_KIND_STR:
        return check_str(table);
    case STASIS_KIND_BUF:
        if (!field->elem_size || field->max % field->elem_size)
            return refuse(table, "its maximum is not whole registers");
        return 0;
    case STASIS_KIND_STRUCT:
    case STASIS_KIND_LIST:
        return check_nested(table);
    }
    return refuse(table, "no such kind");
}

static bool has_elements(const struct stasis_field *field)
{
    return field->kind == STASIS_KIND_BUF || field->kind == STASIS_KIND_LIST;
}

/* Bytes in the struct. */
static uint64_t size_of(const struct stasis_field *field)
{
    if (field->is_pointer)
        return sizeof(void *);
    if (field->kind == STASIS_KIND_STR)
        return (uint64_t)field->max + 1;
    return field->kind == STASIS_KIND_BUF ? field->max : (uint64_t)field->max * field->elem_size;
}

/* Where the number of elements comes from. */
static int check_count(const struct table *table)
{
    const struct stasis_field *field = table->field;
    uint32_t size = field->count_size ? field->count_size : 4;

    if (field->is_fixed && (field->kind != STASIS_KIND_LIST || field->is_pointer))
        return refuse(table, "only a list in its struct can be without a count");
    if (field->is_pointer && !has_elements(field))
        return refuse(table, "only bytes and lists can be behind a pointer");
    if (!has_elements(field) || field->is_fixed)
        return 0;
    if (size != 1 && size != 2 && size != 4 && size != 8)
        return refuse(table, "its count has 1, 2, 4 or 8 bytes");
    if (!is_inside(table, field->count_offset, size))
        return refuse(table, "its count lies outside the struct");
    if (field->max > UINT64_MAX >> (64 - 8 * size))
        return refuse(table, "its count is too small for its maximum");
    return 0;
}

static int check_place(const struct table *table)
{
    const struct stasis_field *field = table->field;

    if (!field->max)
        return refuse(table, "has no room");
    if (field->max != 1 && (field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_STRUCT))
        return refuse(table, "its kind holds one value, so its maximum must be 1");
    if (!is_inside(table, field->offset, size_of(field)))
        return refuse(table, "lies outside its struct");
    return check_count(table);
}

static int check_versions(const struct table *table)
{
    const struct stasis_field *field = table->field;

    if (!field->since || field->since > table->record->version)
        return refuse(table, "came with a version that the record does not have");
    if (field->until && (field->until <= field->since || field->until > table->record->version))
        return refuse(table, "went before it came, or with a version that there is not");
    return 0;
}

static bool is_text(const char *text, size_t max)
{
    return text && strlen(text) <= max && stasis_utf8_valid(text, strlen(text));
}

static bool is_word(const char *word, size_t max, const char *letters)
{
    return is_text(word, max) && word[0] && !word[strspn(word, letters)];
}

static int check_field(const struct table *table)
{
    int rc;

    if (!is_word(table->field->name, STASIS_SCHEMA_NAME_MAX, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"))
        return refuse(table, "its name must be letters, digits and _, at most 64");
    if (!is_text(table->field->doc, STASIS_SCHEMA_DOC_MAX))
        return refuse(
            table,
            "its doc is missing, longer than 255 bytes, not UTF-8 or has control characters");
    rc = check_versions(table);
    if (!rc)
        rc = check_place(table);
    return rc ? rc : check_kind(table);
}

/* Whether readers take the bound: of a mask any, of a maximum none that leaves no room. */
static bool is_bound(const struct stasis_field *field, uint64_t bound)
{
    if (field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS)
        return true;
    if (field->is_fixed && bound != field->max)
        return false;
    return bound && (field->kind != STASIS_KIND_BUF || bound % field->elem_size == 0);
}

static int check_history(struct table *table)
{
    for (const struct stasis_old_bound *old = table->schema->history; old && old->before; old++) {
        if (old->before < 2 || old->before > table->record->version || !old->id ||
            old->id > table->schema->field_count)
            return refuse_schema(table, "a row of its past has no such version or field");
        table->field = &table->schema->fields[old->id - 1];
        if (!is_bound(table->field, old->bound))
            return refuse(
                table,
                "its past has a bound of 0, of a part of a register, or of a list without a count");
        if (!is_within(table->field, old->bound,
                       stasis_field_bound(table->schema, table->field, old->before)))
            return refuse(table, "its past allows more than came after it");
    }
    return 0;
}

static bool is_before(const struct stasis_field *a, const struct stasis_field *b)
{
    return a->until && a->until <= b->since;
}

/* Readers use names as keys, so no version may have one twice. */
static int check_unique(const struct table *table, uint32_t index)
{
    const struct stasis_field *field = &table->schema->fields[index];

    for (uint32_t i = 0; i < index; i++) {
        const struct stasis_field *other = &table->schema->fields[i];

        if (!strcmp(other->name, field->name) && !is_before(other, field) &&
            !is_before(field, other))
            return refuse(table, "another field has its name");
    }
    return 0;
}

static int check_fields(struct table *table)
{
    const struct stasis_schema *schema = table->schema;
    int rc = 0;

    if (!is_word(schema->type, STASIS_TYPE_MAX, LETTERS "._-"))
        return refuse_schema(table, "its type must be of [a-z0-9._-], at most 32");
    if (!is_text(schema->doc, STASIS_SCHEMA_DOC_MAX))
        return refuse_schema(
            table,
            "its doc is missing, longer than 255 bytes, not UTF-8 or has control characters");
    if ((!schema->fields && schema->field_count) || schema->field_count > STASIS_SCHEMA_FIELDS_MAX)
        return refuse_schema(table, "has no table of fields, or more than 1024");
    for (uint32_t i = 0; !rc && i < schema->field_count; i++) {
        table->field = &schema->fields[i];
        rc = table->field->id == i + 1 ? check_field(table)
                                       : refuse(table, "ids start at 1 and rise by one");
        if (!rc)
            rc = check_unique(table, i);
    }
    return rc ? rc : check_history(table);
}

static int check_migrations(const struct table *table)
{
    uint16_t before = 1;

    for (const struct stasis_migration *migration = table->schema->migrations;
         migration && migration->to; migration++) {
        if (migration->to <= before || migration->to > table->schema->version)
            return refuse_schema(table, "its migrations do not rise from 2 to its version");
        before = migration->to;
    }
    return 0;
}

/* Of every version: a field that went may have been a large one. */
static int check_room(const struct table *table)
{
    for (uint32_t version = 1; version <= table->schema->version; version++) {
        if (stasis_schema_room(table->schema, version) > STASIS_SCHEMA_ROOM_MAX)
            return refuse_schema(table, "takes more than 4 MiB (STASIS_SCHEMA_ROOM_MAX)");
    }
    return 0;
}

int stasis_schema_check(const struct stasis_schema *schema, struct stasis_error *err)
{
    struct table table = {.record = schema, .schema = schema, .err = err};
    int rc;

    if (!schema->version)
        return refuse_schema(&table, "versions start at 1");
    rc = check_fields(&table);
    if (!rc)
        rc = check_room(&table);
    return rc ? rc : check_migrations(&table);
}
