/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules of lists that need no earlier release.
 */
#include <inttypes.h>
#include <string.h>

#include "lock_internal.h"

const struct stasis_schema *stasis_lock_record(const struct stasis_lock_set *set, const char *type)
{
    for (size_t i = 0; i < set->schema_count; i++) {
        if (!strcmp(set->schemas[i]->type, type))
            return set->schemas[i];
    }
    return NULL;
}

/* What a line of frozen text has room for. */
static bool is_word(const char *name)
{
    size_t len = strlen(name);

    return len && len < STASIS_LOCK_NAME_MAX && !strpbrk(name, " \t\r\n");
}

static int check_field(const struct stasis_schema *record, const struct stasis_schema *state,
                       uint32_t index, struct stasis_error *err)
{
    const struct stasis_field *field = &state->fields[index];

    if (field->id != index + 1 || !is_word(field->name))
        return stasis_fail(
            err, STASIS_ERR_ARG,
            "%s: row %" PRIu32 " has id %u and the name \"%s\"; ids rise by one, and "
            "names are words of at most %d bytes",
            state->type, index + 1, field->id, field->name, STASIS_LOCK_NAME_MAX - 1);
    if (!field->since || field->since > record->version)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s.%s: since version %u, but %s has version %u; raise that",
                           state->type, field->name, field->since, record->type, record->version);
    if (field->until && (field->until <= field->since || field->until > record->version))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s.%s: gone from version %u, but it came with %u and %s has version %u",
                           state->type, field->name, field->until, field->since, record->type,
                           record->version);
    if (field->kind == STASIS_KIND_STR && strlen(field->default_str) > STASIS_LOCK_LINE_MAX / 2)
        return stasis_fail(err, STASIS_ERR_ARG, "%s.%s: the default is too long", state->type,
                           field->name);
    return 0;
}

static int check_history(const struct stasis_schema *record, const struct stasis_schema *state,
                         const struct stasis_old_bound *old, struct stasis_error *err)
{
    if (old->before < 2 || old->before > record->version)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: STASIS_OLD_BOUND(%u, %u, ...), but %s has version %u; raise that",
                           state->type, old->before, old->id, record->type, record->version);
    if (!old->id || old->id > state->field_count)
        return stasis_fail(err, STASIS_ERR_ARG, "%s: STASIS_OLD_BOUND names the unknown id %u",
                           state->type, old->id);
    return 0;
}

static int check_state(const struct stasis_schema *record, const struct stasis_schema *state,
                       struct stasis_error *err)
{
    int rc = 0;

    if (!is_word(state->type))
        return stasis_fail(err, STASIS_ERR_ARG, "the type \"%s\" is not a word of at most %d bytes",
                           state->type, STASIS_LOCK_NAME_MAX - 1);
    for (uint32_t i = 0; !rc && i < state->field_count; i++)
        rc = check_field(record, state, i, err);
    for (const struct stasis_old_bound *old = state->history; !rc && old && old->before; old++)
        rc = check_history(record, state, old, err);
    return rc;
}

static int check_migrations(const struct stasis_schema *record, struct stasis_error *err)
{
    uint16_t before = 1;

    for (const struct stasis_migration *migration = record->migrations; migration && migration->to;
         migration++) {
        if (migration->to <= before || migration->to > record->version)
            return stasis_fail(err, STASIS_ERR_ARG,
                               "%s: a migration to version %u follows version %u; the record has "
                               "version %u; migrations ascend",
                               record->type, migration->to, before, record->version);
        before = migration->to;
    }
    return 0;
}

/* One integer, which has the same single version in every record. */
static bool is_element(const struct stasis_schema *state)
{
    for (size_t i = 0; i < STASIS_ELEMENT_COUNT; i++) {
        if (state == &stasis_element_schemas[i])
            return true;
    }
    return false;
}

/* That no state of record a is in record b as well; types name states. */
static int check_apart(const struct stasis_schema *a, const struct stasis_schema *b,
                       struct stasis_error *err)
{
    const struct stasis_schema *in_a[STASIS_LOCK_NESTED_MAX], *in_b[STASIS_LOCK_NESTED_MAX];
    size_t count_a = stasis_lock_states(a, in_a), count_b = stasis_lock_states(b, in_b);

    for (size_t i = 0; i < count_a; i++) {
        for (size_t j = 0; j < count_b; j++) {
            if (!strcmp(in_a[i]->type, in_b[j]->type) &&
                !(in_a[i] == in_b[j] && is_element(in_a[i])))
                return stasis_fail(err, STASIS_ERR_ARG,
                                   "%s is in %s and in %s; its rows can count the versions of one "
                                   "record only, so give each a state of its own",
                                   in_a[i]->type, a->type, b->type);
        }
    }
    return 0;
}

static int check_record(const struct stasis_lock_set *set, size_t index, struct stasis_error *err)
{
    const struct stasis_schema *record = set->schemas[index], *states[STASIS_LOCK_NESTED_MAX];
    size_t count = stasis_lock_states(record, states);
    int rc = check_migrations(record, err);

    if (!rc && !count)
        rc = stasis_fail(err, STASIS_ERR_ARG, "%s: more than %d states in one record", record->type,
                         STASIS_LOCK_NESTED_MAX);
    for (size_t i = 0; !rc && i < count; i++)
        rc = check_state(record, states[i], err);
    for (size_t i = 0; !rc && i < index; i++)
        rc = check_apart(set->schemas[i], record, err);
    return rc;
}

static int check_value(const struct stasis_lock_set *set, size_t index, struct stasis_error *err)
{
    const struct stasis_enum_value *value = &set->values[index];
    const struct stasis_schema *record = stasis_lock_record(set, value->set->record);

    if (!record || !value->since || value->since > record->version)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s %s: %s has no version %u; give the record that version, or name "
                           "another",
                           value->set->name, value->name, value->set->record, value->since);
    if (!is_word(value->name) || !is_word(value->set->name))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "\"%s\" of \"%s\": names are words of at most %d "
                           "bytes",
                           value->name, value->set->name, STASIS_LOCK_NAME_MAX - 1);
    for (size_t i = 0; i < index; i++) {
        if (set->values[i].set == value->set &&
            (set->values[i].number >= value->number || !strcmp(set->values[i].name, value->name)))
            return stasis_fail(err, STASIS_ERR_ARG,
                               "%s %s: the values of a set ascend, each with its own name",
                               value->set->name, value->name);
    }
    return 0;
}

int stasis_lock_check_set(const struct stasis_lock_set *set, struct stasis_error *err)
{
    int rc = 0;

    if (set->size != sizeof(*set))
        rc = stasis_fail(err, STASIS_ERR_ARG, "the lock set has another size than this library's");
    for (size_t i = 0; !rc && i < set->schema_count; i++)
        rc = check_record(set, i, err);
    for (size_t i = 0; !rc && i < set->value_count; i++)
        rc = check_value(set, i, err);
    return rc;
}
