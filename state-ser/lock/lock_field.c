/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One state of a release against its list of today: every rule about rows is here.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "lock_internal.h"

const char *stasis_lock_class_str(enum stasis_lock_class class)
{
    static const char *const names[] = {
        [STASIS_LOCK_COMPATIBLE] = "compatible",
        [STASIS_LOCK_NEEDS_MIGRATION] = "needs-migration",
        [STASIS_LOCK_BREAKING] = "breaking",
    };

    return names[class];
}

static uint32_t version_now(const struct stasis_lock_check *check)
{
    return check->record ? check->record->version : 0;
}

void stasis_lock_tell(struct stasis_lock_check *check, const char *where,
                      enum stasis_lock_class class, const char *remedy, const char *fmt, ...)
{
    bool breaking = class == STASIS_LOCK_BREAKING, same = version_now(check) <= check->then;
    char what[512], todo[256] = "", text[1024];
    bool refused = breaking || same || remedy;
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    if (breaking)
        snprintf(todo, sizeof(todo), ": %s", remedy ? remedy : "put back what was released");
    else if (same)
        snprintf(todo, sizeof(todo),
                 ", without a version migration: raise the version of %s above %u%s%s", check->type,
                 check->then, remedy ? " and " : "", remedy ? remedy : "");
    else if (remedy)
        snprintf(todo, sizeof(todo), ": %s", remedy);
    snprintf(text, sizeof(text), "%s: %s%s%s%s%s %s: %s%s", check->result.release, check->type,
             strcmp(check->type, check->name) != 0 ? "/" : "",
             strcmp(check->type, check->name) != 0 ? check->name : "", *where ? "." : "", where,
             what, stasis_lock_class_str(class), todo);
    check->result.refused += refused;
    check->result.allowed += !refused;
    if (check->change)
        check->change(check->ctx, class, refused, text);
}

bool stasis_lock_has_migration(const struct stasis_lock_check *check, uint32_t after, uint32_t to)
{
    const struct stasis_migration *migration = check->record ? check->record->migrations : NULL;

    while (migration && migration->to && (migration->to <= after || migration->to > to))
        migration++;
    return migration && migration->to;
}

static const struct stasis_field *field_by_id(const struct stasis_schema *state, uint32_t id)
{
    for (uint32_t i = 0; i < state->field_count; i++) {
        if (state->fields[i].id == id)
            return &state->fields[i];
    }
    return NULL;
}

static const struct stasis_field *field_by_name(const struct stasis_schema *state, const char *name)
{
    for (uint32_t i = 0; i < state->field_count; i++) {
        if (!strcmp(state->fields[i].name, name))
            return &state->fields[i];
    }
    return NULL;
}

/* What decides how the value lies on the wire, spelt as in frozen text. */
static void describe(const struct stasis_lock_field *field, char *ret_text, size_t size)
{
    bool counted = !strcmp(field->kind, stasis_lock_kind_str(STASIS_KIND_INTS)) ||
                   !strcmp(field->kind, STASIS_LOCK_FIXED);

    snprintf(ret_text, size, "kind=%s size=%" PRIu64 " signed=%" PRIu64 " count=%" PRIu64 " sub=%s",
             field->kind, field->size, field->is_signed, counted ? field->max : 1, field->sub);
}

static bool same_shape(struct stasis_lock_check *check, const struct stasis_lock_field *then,
                       const struct stasis_lock_field *now)
{
    char was[256], is[256];

    describe(then, was, sizeof(was));
    describe(now, is, sizeof(is));
    if (!strcmp(was, is))
        return true;
    stasis_lock_tell(check, then->name, STASIS_LOCK_BREAKING,
                     "give the row back its type and size, retire it, and add a new one",
                     "was %s, is %s", was, is);
    return false;
}

/* Names are not on the wire, but people and their scripts read them. */
static void compare_name(struct stasis_lock_check *check, const struct stasis_lock_field *then,
                         const struct stasis_lock_field *now)
{
    if (strcmp(then->name, now->name) != 0)
        stasis_lock_tell(check, then->name, STASIS_LOCK_COMPATIBLE, NULL,
                         "(id %" PRIu32 ") is named %s", then->id, now->name);
}

static void compare_life(struct stasis_lock_check *check, const struct stasis_lock_field *then,
                         const struct stasis_lock_field *now)
{
    uint32_t until = (uint32_t)now->until;

    if (then->since != now->since)
        stasis_lock_tell(check, then->name, STASIS_LOCK_BREAKING,
                         "keep the `since` of a released row, and never reuse its id",
                         "(id %" PRIu32 ") came with version %" PRIu64 ", now with %" PRIu64
                         " and as %s",
                         then->id, then->since, now->since, now->name);
    if (then->until == until)
        return;
    if (then->until || until <= check->then)
        stasis_lock_tell(check, then->name, STASIS_LOCK_BREAKING,
                         "a released version keeps its fields; retire one with a new version",
                         "was gone from version %" PRIu64 ", now from %" PRIu32 " (0: never)",
                         then->until, until);
    else
        stasis_lock_tell(check, then->name, STASIS_LOCK_NEEDS_MIGRATION,
                         stasis_lock_has_migration(check, until - 1, until)
                             ? NULL
                             : "register a migration to the version it is gone from",
                         "is gone from version %" PRIu32, until);
}

/* Any other migration to a new version leaves the old default in the states that are read. */
static void compare_default(struct stasis_lock_check *check, const struct stasis_lock_field *then,
                            const struct stasis_field *field, const struct stasis_lock_field *now)
{
    if (strcmp(then->def, now->def) != 0)
        stasis_lock_tell(check, then->name, STASIS_LOCK_NEEDS_MIGRATION,
                         stasis_lock_converts_default(check, field, then)
                             ? NULL
                             : "register a migration that makes the new default of the old one, "
                               "and back",
                         "defaulted to \"%s\", now to \"%s\"", then->def, now->def);
}

static void compare_bound(struct stasis_lock_check *check, const struct stasis_lock_field *then,
                          const struct stasis_field *field)
{
    bool is_int = field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS;
    uint64_t was = is_int ? then->mask : then->max, is = is_int ? field->mask : field->max;
    uint64_t row = stasis_field_bound(check->state, field, check->then);
    const char *bound = is_int ? "mask" : "maximum";

    if (was == is && row == was)
        return;
    if (is_int ? was & ~is : was > is)
        stasis_lock_tell(check, then->name, STASIS_LOCK_BREAKING,
                         "masks and maximums only grow: files hold what they allowed",
                         "had %s 0x%" PRIx64 ", has 0x%" PRIx64, bound, was, is);
    else if (row != was && row != is)
        stasis_lock_tell(
            check, then->name, STASIS_LOCK_BREAKING, "STASIS_OLD_BOUND says what the release had",
            "had %s 0x%" PRIx64 ", which STASIS_OLD_BOUND calls 0x%" PRIx64, bound, was, row);
    else
        stasis_lock_tell(check, then->name, STASIS_LOCK_COMPATIBLE,
                         row == was ? NULL : "add a row STASIS_OLD_BOUND with the new version",
                         "had %s 0x%" PRIx64 ", has 0x%" PRIx64, bound, was, is);
}

void stasis_lock_compare_field(struct stasis_lock_check *check,
                               const struct stasis_lock_field *then)
{
    const struct stasis_field *field, *namesake;
    struct stasis_lock_field now;

    check->fields++;
    check->result.fields++;
    if (!check->state)
        return;
    namesake = field_by_name(check->state, then->name);
    field = field_by_id(check->state, then->id);
    if (namesake && namesake->id != then->id) {
        stasis_lock_tell(check, then->name, STASIS_LOCK_BREAKING,
                         "rows keep their ids and their order", "had id %" PRIu32 ", has %u",
                         then->id, namesake->id);
        return;
    }
    if (!field) {
        stasis_lock_tell(check, then->name, STASIS_LOCK_BREAKING,
                         "put the row back, and retire it with STASIS_REMOVED", "is gone");
        return;
    }
    stasis_lock_field_of(field, &now);
    compare_name(check, then, &now);
    compare_life(check, then, &now);
    if (!same_shape(check, then, &now))
        return;
    compare_default(check, then, field, &now);
    compare_bound(check, then, field);
}

void stasis_lock_compare_history(struct stasis_lock_check *check, uint64_t id, uint64_t before,
                                 uint64_t bound)
{
    const struct stasis_old_bound *old = check->state ? check->state->history : NULL;

    check->old_bounds++;
    while (old && old->before && (old->id != id || old->before != before || old->bound != bound))
        old++;
    if (check->state && (!old || !old->before))
        stasis_lock_tell(check, "", STASIS_LOCK_BREAKING, NULL,
                         "has lost the row STASIS_OLD_BOUND(%" PRIu64 ", %" PRIu64
                         ", ..., 0x%" PRIx64 ")",
                         before, id, bound);
}

static void compare_migrations(struct stasis_lock_check *check)
{
    uint32_t migrations = 0;

    for (const struct stasis_migration *migration = check->record->migrations;
         migration && migration->to; migration++)
        migrations += migration->to <= check->then;
    if (migrations > check->migrations)
        stasis_lock_tell(check, "", STASIS_LOCK_BREAKING, "migrations lead to new versions only",
                         "has %" PRIu32 " migrations to released versions, had %" PRIu32,
                         migrations, check->migrations);
}

void stasis_lock_compare_rest(struct stasis_lock_check *check)
{
    uint32_t old_bounds = 0;

    if (!check->state)
        return;
    for (uint32_t i = 0; i < check->state->field_count; i++) {
        const struct stasis_field *field = &check->state->fields[i];

        if (field->id > check->fields)
            stasis_lock_tell(check, field->name, STASIS_LOCK_COMPATIBLE,
                             field->since > check->then ? NULL : "give the row that `since`",
                             "(id %u) is new, since version %u", field->id, field->since);
    }
    for (const struct stasis_old_bound *old = check->state->history; old && old->before; old++)
        old_bounds += old->before <= check->then;
    if (old_bounds > check->old_bounds)
        stasis_lock_tell(check, "", STASIS_LOCK_BREAKING, NULL,
                         "has %" PRIu32
                         " rows STASIS_OLD_BOUND about released versions, had %" PRIu32,
                         old_bounds, check->old_bounds);
    if (check->state == check->record)
        compare_migrations(check);
}
