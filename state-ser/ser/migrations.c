/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A state between versions of its record. The lists say which fields a version has and within what
 * bounds; migrations say the rest. Functions that call themselves do so along the nesting of the
 * lists (STASIS_SCHEMA_DEPTH_MAX) only.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "encoding.h"
#include "stasis/field.h"

uint32_t stasis_schema_count(const struct stasis_schema *schema, uint32_t version)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < schema->field_count; i++)
        count += stasis_field_in(&schema->fields[i], version);
    return count;
}

/* Elements of a field that are states themselves. */
static uint32_t nested_count(const struct stasis_field *field, const void *state)
{
    if (field->kind == STASIS_KIND_LIST)
        return stasis_field_get_count(field, state);
    return field->kind == STASIS_KIND_STRUCT;
}

static void *nested_at(const struct stasis_field *field, void *state, uint32_t index)
{
    return (uint8_t *)stasis_field_at(field, state) + (size_t)index * field->elem_size;
}

/* What a field holds that is not on the wire has no meaning. */
static void clear_unknown_fields(const struct stasis_schema *schema, uint32_t version, void *state)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (!stasis_field_in(field, version))
            stasis_field_set_default(field, state);
        for (uint32_t n = 0; n < nested_count(field, state); n++)
            clear_unknown_fields(field->sub, version, nested_at(field, state, n));
    }
}

void stasis_migrations_up(const struct stasis_schema *schema, uint32_t version, void *state)
{
    if (version == schema->version)
        return;
    for (const struct stasis_migration *migration = schema->migrations; migration && migration->to;
         migration++) {
        if (migration->to > version && migration->up)
            migration->up(state);
    }
    clear_unknown_fields(schema, schema->version, state);
}

void stasis_migrations_down(const struct stasis_schema *schema, uint32_t version, void *state)
{
    size_t count = 0;

    while (schema->migrations && schema->migrations[count].to)
        count++;
    while (count-- > 0 && schema->migrations[count].to > version) {
        if (schema->migrations[count].down)
            schema->migrations[count].down(state);
    }
}

/* ---- what an older version cannot say ---- */

struct downgrade {
    uint32_t version;
    uint32_t now; /* the record's own version */
    stasis_dropped_fn *dropped;
    void *ctx;
    unsigned drops;
};

STASIS_PRINTF(4, 5)
static void drop(struct downgrade *downgrade, const char *path, const struct stasis_field *field,
                 const char *fmt, ...)
{
    char value[128]; /* room for what is shown of a string and two numbers */
    char what[384];
    va_list args;

    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    snprintf(what, sizeof(what), "field %s%s %s", path, field->name, value);
    downgrade->drops++;
    if (downgrade->dropped)
        downgrade->dropped(downgrade->ctx, what);
}

/* Says what the field holds that will be gone. */
static void lose_field(struct downgrade *downgrade, const char *path,
                       const struct stasis_field *field, const void *state)
{
    switch (field->kind) {
    case STASIS_KIND_INT:
        drop(downgrade, path, field, "is 0x%" PRIx64 ", not its default 0x%" PRIx64,
             stasis_field_get_int(field, state, 0), field->default_int);
        break;
    case STASIS_KIND_STR:
        drop(downgrade, path, field, "is \"%.64s\"", (const char *)state + field->offset);
        break;
    case STASIS_KIND_BUF:
        drop(downgrade, path, field, "has %" PRIu32 " bytes", stasis_field_get_count(field, state));
        break;
    case STASIS_KIND_LIST:
        if (field->is_fixed)
            drop(downgrade, path, field, "is not at its default");
        else
            drop(downgrade, path, field, "has %" PRIu32 " elements",
                 stasis_field_get_count(field, state));
        break;
    case STASIS_KIND_INTS:
    case STASIS_KIND_STRUCT:
        drop(downgrade, path, field, "is not at its default");
        break;
    }
}

static void fit_ints(struct downgrade *downgrade, const char *path,
                     const struct stasis_field *field, uint64_t mask, void *state)
{
    for (uint32_t i = 0; i < field->max; i++) {
        uint64_t value = stasis_field_get_int(field, state, i);

        if (!(value & ~mask))
            continue;
        drop(downgrade, path, field, "is 0x%" PRIx64 ", outside the mask 0x%" PRIx64, value, mask);
        stasis_field_set_int(field, state, i, value & mask);
    }
}

static void fit_count(struct downgrade *downgrade, const char *path,
                      const struct stasis_field *field, uint64_t max, void *state)
{
    uint32_t count = stasis_field_get_count(field, state);

    if (count <= max)
        return;
    drop(downgrade, path, field, "has %" PRIu32 " %s, at most %" PRIu64, count,
         field->kind == STASIS_KIND_BUF ? "bytes" : "elements", max);
    for (uint32_t i = (uint32_t)max; field->sub && i < count; i++)
        stasis_state_fini(field->sub, nested_at(field, state, i));
    stasis_field_set_count(field, state, (uint32_t)max);
}

static void fit_str(struct downgrade *downgrade, const char *path, const struct stasis_field *field,
                    uint64_t max, void *state)
{
    char *str = (char *)state + field->offset;
    size_t len = strlen(str);

    if (len <= max)
        return;
    drop(downgrade, path, field, "is \"%.64s\", %zu bytes, at most %" PRIu64, str, len, max);
    len = (size_t)max;
    while (len && ((unsigned char)str[len] & 0xc0) == 0x80) /* not within a character */
        len--;
    memset(str + len, 0, (size_t)field->max + 1 - len);
}

static void fit_fields(struct downgrade *downgrade, const char *path,
                       const struct stasis_schema *schema, void *state);

static void fit_nested(struct downgrade *downgrade, const char *path,
                       const struct stasis_field *field, void *state)
{
    for (uint32_t n = 0; n < nested_count(field, state); n++) {
        char below[160];

        if (field->kind == STASIS_KIND_LIST)
            snprintf(below, sizeof(below), "%.80s%s[%" PRIu32 "].", path, field->name, n);
        else
            snprintf(below, sizeof(below), "%.80s%s.", path, field->name);
        fit_fields(downgrade, below, field->sub, nested_at(field, state, n));
    }
}

static void fit_field(struct downgrade *downgrade, const char *path,
                      const struct stasis_schema *schema, const struct stasis_field *field,
                      void *state)
{
    uint64_t bound = stasis_field_bound(schema, field, downgrade->version);

    switch (field->kind) {
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
        fit_ints(downgrade, path, field, bound, state);
        break;
    case STASIS_KIND_STR:
        fit_str(downgrade, path, field, bound, state);
        break;
    case STASIS_KIND_BUF:
        fit_count(downgrade, path, field, bound, state);
        break;
    case STASIS_KIND_LIST:
        fit_count(downgrade, path, field, bound, state);
        fit_nested(downgrade, path, field, state);
        break;
    case STASIS_KIND_STRUCT:
        fit_nested(downgrade, path, field, state);
        break;
    }
}

static void fit_fields(struct downgrade *downgrade, const char *path,
                       const struct stasis_schema *schema, void *state)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (stasis_field_in(field, downgrade->version)) {
            fit_field(downgrade, path, schema, field, state);
        } else if (stasis_field_in(field, downgrade->now) &&
                   !stasis_field_is_default(field, state)) {
            lose_field(downgrade, path, field, state);
            stasis_field_set_default(field, state);
        }
    }
}

unsigned stasis_state_downgrade(const struct stasis_schema *schema, uint32_t version, void *state,
                                stasis_dropped_fn *dropped, void *ctx)
{
    struct downgrade downgrade = {
        .version = version, .now = schema->version, .dropped = dropped, .ctx = ctx};

    fit_fields(&downgrade, "", schema, state);
    return downgrade.drops;
}
