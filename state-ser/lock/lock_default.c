/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether the migrations of a record convert the default of one field: they are run on a state that
 * has the field, in every place where the state of the field is nested, at the default of the
 * release and at that of today. Functions that call themselves do so along the nesting of the lists
 * (STASIS_SCHEMA_DEPTH_MAX) only.
 */
#include <stdlib.h>
#include <string.h>

#include "lock_internal.h"
#include "stasis/field.h"

struct probe {
    const struct stasis_schema *owner; /* of the field */
    const struct stasis_field *field;
    const struct stasis_lock_field *then;
    bool released; /* the default is that of the release, else that of today */
};

static void put_default(const struct probe *probe, uint8_t *state)
{
    stasis_field_set_default(probe->field, state);
    if (!probe->released)
        return;
    if (probe->field->kind == STASIS_KIND_INT)
        stasis_field_set_int(probe->field, state, 0, strtoull(probe->then->def, NULL, 16));
    else
        snprintf((char *)state + probe->field->offset, (size_t)probe->field->max + 1, "%s",
                 probe->then->def);
}

static bool has_default(const struct probe *probe, const uint8_t *state)
{
    if (!probe->released)
        return stasis_field_is_default(probe->field, state);
    if (probe->field->kind == STASIS_KIND_INT)
        return stasis_field_get_int(probe->field, state, 0) == strtoull(probe->then->def, NULL, 16);
    return !strcmp((const char *)state + probe->field->offset, probe->then->def);
}

/* Gives a list one element; false without memory for it. */
static bool put_element(const struct stasis_field *field, uint8_t *state)
{
    void *element = field->is_pointer ? calloc(1, field->elem_size) : NULL;

    if (field->is_pointer && !element)
        return false;
    if (element)
        stasis_field_set_pointer(field, state, element);
    stasis_field_set_count(field, state, 1);
    stasis_state_init(field->sub, stasis_field_at(field, state));
    return true;
}

/* Sets the field to its default wherever it is; lists have one element each. */
static bool put_all(const struct probe *probe, const struct stasis_schema *schema, uint8_t *state)
{
    bool done = true;

    for (uint32_t i = 0; done && i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (field->kind == STASIS_KIND_LIST)
            done = put_element(field, state);
        if (done && field->sub)
            done = put_all(probe, field->sub, stasis_field_at(field, state));
    }
    if (schema == probe->owner)
        put_default(probe, state);
    return done;
}

/* A migration may empty a list: what is not there holds nothing wrong. */
static bool all_have(const struct probe *probe, const struct stasis_schema *schema,
                     const uint8_t *state)
{
    bool all = schema != probe->owner || has_default(probe, state);

    for (uint32_t i = 0; all && i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (field->sub && (field->kind != STASIS_KIND_LIST || stasis_field_get_count(field, state)))
            all = all_have(probe, field->sub, stasis_field_at(field, state));
    }
    return all;
}

static void migrate_up(const struct stasis_schema *record, uint32_t from, void *state)
{
    const struct stasis_migration *migration = record->migrations;

    for (; migration && migration->to; migration++) {
        if (migration->to > from && migration->up)
            migration->up(state);
    }
}

static void migrate_down(const struct stasis_schema *record, uint32_t to, void *state)
{
    size_t count = 0;

    while (record->migrations && record->migrations[count].to)
        count++;
    while (count-- > 0 && record->migrations[count].to > to) {
        if (record->migrations[count].down)
            record->migrations[count].down(state);
    }
}

/* Upwards from the default of the release, or downwards from that of today. */
static bool converts(struct probe *probe, const struct stasis_lock_check *check, bool up,
                     uint8_t *state)
{
    bool converted;

    stasis_state_init(check->record, state);
    probe->released = up;
    converted = put_all(probe, check->record, state);
    if (converted)
        (up ? migrate_up : migrate_down)(check->record, check->then, state);
    probe->released = !up;
    converted = converted && all_have(probe, check->record, state);
    stasis_state_fini(check->record, state);
    return converted;
}

bool stasis_lock_converts_default(const struct stasis_lock_check *check,
                                  const struct stasis_field *field,
                                  const struct stasis_lock_field *then)
{
    struct probe probe = {.owner = check->state, .field = field, .then = then};
    bool fits = field->kind == STASIS_KIND_INT || strlen(then->def) <= field->max;
    uint8_t *state;
    bool converted;

    if (!fits || stasis_schema_check(check->record, NULL))
        return false;
    state = malloc(check->record->size);
    converted =
        state && converts(&probe, check, true, state) && converts(&probe, check, false, state);
    free(state);
    return converted;
}
