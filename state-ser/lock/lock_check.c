/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The walk along frozen text, line by line; records and named numbers against those of today.
 */
#include <inttypes.h>
#include <string.h>

#include "lock_internal.h"

/* The text under way. */
struct walk {
    struct stasis_lock_check check;
    char set[STASIS_LOCK_NAME_MAX];
    uint32_t value_count; /* lines of it so far */
    unsigned head;        /* lines of the head seen: format, release */
    bool ended;
};

static const struct stasis_schema *find_state(const struct stasis_schema *record, const char *type)
{
    const struct stasis_schema *states[STASIS_LOCK_NESTED_MAX];
    size_t count = record ? stasis_lock_states(record, states) : 0;

    for (size_t i = 1; i < count; i++) {
        if (!strcmp(states[i]->type, type))
            return states[i];
    }
    return NULL;
}

/* ---- named numbers ---- */

static const struct stasis_enum_value *find_value(const struct walk *walk, const char *name,
                                                  const uint64_t *number)
{
    const struct stasis_lock_set *set = walk->check.set;

    for (size_t i = 0; i < set->value_count; i++) {
        const struct stasis_enum_value *value = &set->values[i];

        if (!strcmp(value->set->name, walk->set) && (!name || !strcmp(value->name, name)) &&
            (!number || value->number == *number))
            return value;
    }
    return NULL;
}

static void compare_value(struct walk *walk, const char *name, uint64_t number, uint64_t since)
{
    const struct stasis_enum_value *named = find_value(walk, name, NULL);
    const struct stasis_enum_value *numbered = find_value(walk, NULL, &number);
    struct stasis_lock_check *check = &walk->check;

    walk->value_count++;
    check->result.values++;
    if (named && named->number != number)
        stasis_lock_tell(check, name, STASIS_LOCK_BREAKING, "files hold the old number",
                         "was %" PRIu64 ", is %" PRIu32, number, named->number);
    else if (!numbered)
        stasis_lock_tell(check, name, STASIS_LOCK_BREAKING, "files hold it",
                         "(%" PRIu64 ") is gone", number);
    else if (numbered->since != since)
        stasis_lock_tell(check, name, STASIS_LOCK_BREAKING, NULL,
                         "came with version %" PRIu64 ", now with %u", since, numbered->since);
    else if (!named)
        stasis_lock_tell(check, name, STASIS_LOCK_COMPATIBLE, NULL, "(%" PRIu64 ") is named %s",
                         number, numbered->name);
}

/* Values that the release did not have. */
static void compare_new_values(struct walk *walk)
{
    const struct stasis_lock_set *set = walk->check.set;
    struct stasis_lock_check *check = &walk->check;
    uint32_t old = 0;

    for (size_t i = 0; i < set->value_count; i++) {
        const struct stasis_enum_value *value = &set->values[i];

        if (strcmp(value->set->name, walk->set) != 0)
            continue;
        if (value->since > check->then)
            stasis_lock_tell(check, value->name, STASIS_LOCK_COMPATIBLE, NULL,
                             "(%" PRIu32 ") is new, since version %u", value->number, value->since);
        else
            old++;
    }
    if (old > walk->value_count)
        stasis_lock_tell(
            check, "", STASIS_LOCK_COMPATIBLE, "give a new value that version for its `since`",
            "has %" PRIu32 " values in released versions, had %" PRIu32, old, walk->value_count);
}

static void end_block(struct walk *walk)
{
    struct stasis_lock_check *check = &walk->check;

    if (walk->set[0])
        compare_new_values(walk);
    else
        stasis_lock_compare_rest(check);
    check->fields = check->old_bounds = check->migrations = 0;
    check->state = NULL;
    walk->set[0] = '\0';
    walk->value_count = 0;
}

/* ---- lines, each from behind its first word ---- */

static void line_format(struct walk *walk, struct stasis_lock_line *line)
{
    char number[STASIS_LOCK_NAME_MAX];

    stasis_lock_word(line, number);
    line->bad |= walk->head != 0 || strcmp(number, "1") != 0;
    walk->head = 1;
}

static void line_release(struct walk *walk, struct stasis_lock_line *line)
{
    char name[STASIS_LOCK_NAME_MAX];

    stasis_lock_word(line, name);
    line->bad |= walk->head != 1 || strlen(name) >= sizeof(walk->check.result.release);
    walk->head = 2;
    if (!line->bad)
        memcpy(walk->check.result.release, name, strlen(name) + 1);
}

/* "<name> record=<type> version=<n>" and "<type> version=<n>" have a version to be compared with.
 */
static void begin(struct walk *walk, const char *type, const char *name, uint64_t version)
{
    struct stasis_lock_check *check = &walk->check;

    end_block(walk);
    snprintf(check->type, sizeof(check->type), "%s", type);
    snprintf(check->name, sizeof(check->name), "%s", name);
    check->then = (uint32_t)version;
    check->record = stasis_lock_record(check->set, type);
}

static void line_record(struct walk *walk, struct stasis_lock_line *line)
{
    struct stasis_lock_check *check = &walk->check;
    char type[STASIS_LOCK_NAME_MAX];
    uint64_t version, optional;

    stasis_lock_word(line, type);
    version = stasis_lock_number(line, "version");
    optional = stasis_lock_number(line, "optional");
    if (!stasis_lock_ends(line))
        return;
    begin(walk, type, type, version);
    check->state = check->record;
    check->result.records++;
    if (!check->record) {
        stasis_lock_tell(check, "", STASIS_LOCK_BREAKING, "put the record type back", "is gone");
        return;
    }
    if (check->record->version < version)
        stasis_lock_tell(check, "", STASIS_LOCK_BREAKING, "versions only rise",
                         "had version %" PRIu64 ", has %u", version, check->record->version);
    if (check->record->optional != !!optional)
        stasis_lock_tell(check, "", STASIS_LOCK_BREAKING, NULL, "was %s, is %s",
                         optional ? "optional" : "mandatory", optional ? "mandatory" : "optional");
}

static void line_nested(struct walk *walk, struct stasis_lock_line *line)
{
    struct stasis_lock_check *check = &walk->check;
    const struct stasis_schema *record = check->record;
    char name[STASIS_LOCK_NAME_MAX];

    stasis_lock_word(line, name);
    line->bad |= !check->type[0];
    if (!stasis_lock_ends(line))
        return;
    end_block(walk);
    memcpy(check->name, name, sizeof(name));
    check->state = find_state(record, name); /* if it is gone, the field that held it tells */
    check->result.nested++;
}

static void line_migration(struct walk *walk, struct stasis_lock_line *line)
{
    uint32_t to = (uint32_t)stasis_lock_number(line, "to");
    struct stasis_lock_check *check = &walk->check;

    if (!stasis_lock_ends(line))
        return;
    check->migrations++;
    if (check->record && !stasis_lock_has_migration(check, to - 1, to))
        stasis_lock_tell(check, "", STASIS_LOCK_BREAKING, "put the migration back",
                         "has lost its migration to version %" PRIu32, to);
}

static void line_field(struct walk *walk, struct stasis_lock_line *line)
{
    struct stasis_lock_field field;

    stasis_lock_parse_field(line, &field);
    /* Ids are dense, which is how new ones are told from old ones. */
    line->bad |= !walk->check.type[0] || walk->set[0] || field.id != walk->check.fields + 1;
    if (stasis_lock_ends(line))
        stasis_lock_compare_field(&walk->check, &field);
}

static void line_was(struct walk *walk, struct stasis_lock_line *line)
{
    uint64_t id = stasis_lock_number(line, "id");
    uint64_t before = stasis_lock_number(line, "before");
    uint64_t bound = stasis_lock_number(line, "bound");

    if (stasis_lock_ends(line))
        stasis_lock_compare_history(&walk->check, id, before, bound);
}

static void line_enum(struct walk *walk, struct stasis_lock_line *line)
{
    char name[STASIS_LOCK_NAME_MAX], type[STASIS_LOCK_NAME_MAX];
    uint64_t version;

    stasis_lock_word(line, name);
    stasis_lock_key(line, "record", type);
    version = stasis_lock_number(line, "version");
    if (!stasis_lock_ends(line))
        return;
    begin(walk, type, name, version);
    memcpy(walk->set, name, sizeof(name));
}

static void line_value(struct walk *walk, struct stasis_lock_line *line)
{
    char name[STASIS_LOCK_NAME_MAX];
    uint64_t number, since;

    stasis_lock_word(line, name);
    number = stasis_lock_number(line, "number");
    since = stasis_lock_number(line, "since");
    line->bad |= !walk->set[0];
    if (stasis_lock_ends(line))
        compare_value(walk, name, number, since);
}

static void line_end(struct walk *walk, struct stasis_lock_line *line)
{
    (void)line;
    end_block(walk);
    walk->ended = true;
}

static void walk_line(struct walk *walk, struct stasis_lock_line *line)
{
    static const struct {
        const char *word;
        void (*take)(struct walk *walk, struct stasis_lock_line *line);
    } lines[] = {
        {"format", line_format},  {"release", line_release}, {"record", line_record},
        {"step", line_migration}, {"field", line_field},     {"was", line_was},
        {"nested", line_nested},  {"enum", line_enum},       {"value", line_value},
        {"end", line_end},
    };
    char word[STASIS_LOCK_NAME_MAX];

    stasis_lock_word(line, word);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strcmp(word, lines[i].word) != 0)
            continue;
        line->bad |= walk->ended || (walk->head < 2 && i > 1);
        if (!line->bad)
            lines[i].take(walk, line);
        line->bad |= !stasis_lock_ends(line);
        return;
    }
    line->bad = true;
}

int stasis_lock_check(const struct stasis_lock_set *set, const char *text, size_t len,
                      void (*change)(void *ctx, enum stasis_lock_class kind, bool refused,
                                     const char *text),
                      void *ctx, struct stasis_lock_result *ret_result, struct stasis_error *err)
{
    struct walk walk = {.check = {.set = set, .change = change, .ctx = ctx}};
    const char *end = text + len;
    unsigned number = 0;

    if (set->size != sizeof(*set))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the lock set has another size than this library's");
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t size = newline ? (size_t)(newline - text) : STASIS_LOCK_LINE_MAX + 1;
        char copy[STASIS_LOCK_LINE_MAX + 1];
        struct stasis_lock_line line = {.at = copy, .bad = size > STASIS_LOCK_LINE_MAX};

        number++;
        if (!line.bad) {
            memcpy(copy, text, size);
            copy[size] = '\0';
            line.bad = strlen(copy) != size;
        }
        if (!line.bad && size && copy[0] != '#')
            walk_line(&walk, &line);
        if (line.bad)
            return stasis_fail(err, STASIS_ERR_CORRUPT,
                               "line %u is not one of a release's frozen states", number);
        text += size + 1;
    }
    if (!walk.ended)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the frozen states have no end");
    *ret_result = walk.check.result;
    if (walk.check.result.refused)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "%" PRIu32 " changes since release %s are refused",
                           walk.check.result.refused, walk.check.result.release);
    return 0;
}
