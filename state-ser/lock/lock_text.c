/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frozen text: how it is written, and how a line of it is taken apart.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lock_internal.h"

size_t stasis_lock_states(const struct stasis_schema *record,
                          const struct stasis_schema *ret_states[STASIS_LOCK_NESTED_MAX])
{
    size_t count = 1;

    ret_states[0] = record;
    for (size_t at = 0; at < count; at++) {
        for (uint32_t i = 0; i < ret_states[at]->field_count; i++) {
            const struct stasis_schema *sub = ret_states[at]->fields[i].sub;
            size_t known = 0;

            while (known < count && ret_states[known] != sub)
                known++;
            if (!sub || known < count)
                continue;
            if (count == STASIS_LOCK_NESTED_MAX)
                return 0;
            ret_states[count++] = sub;
        }
    }
    return count;
}

const char *stasis_lock_kind_str(enum stasis_kind kind)
{
    static const char *const names[] = {
        [STASIS_KIND_INT] = "int",    [STASIS_KIND_INTS] = "ints",    [STASIS_KIND_BUF] = "bytes",
        [STASIS_KIND_STR] = "string", [STASIS_KIND_STRUCT] = "state", [STASIS_KIND_LIST] = "list",
    };

    return names[kind];
}

void stasis_lock_field_of(const struct stasis_field *field, struct stasis_lock_field *ret_field)
{
    *ret_field = (struct stasis_lock_field){
        .id = field->id,
        .size = field->sub ? 0 : field->elem_size,
        .is_signed = field->is_signed,
        .since = field->since,
        .until = field->until,
        .max = field->max,
        .mask = field->mask,
    };
    snprintf(ret_field->name, sizeof(ret_field->name), "%s", field->name);
    snprintf(ret_field->kind, sizeof(ret_field->kind), "%s",
             field->is_fixed ? STASIS_LOCK_FIXED : stasis_lock_kind_str(field->kind));
    snprintf(ret_field->sub, sizeof(ret_field->sub), "%s", field->sub ? field->sub->type : "-");
    if (field->kind == STASIS_KIND_INT)
        snprintf(ret_field->def, sizeof(ret_field->def), "0x%" PRIx64, field->default_int);
    else if (field->kind == STASIS_KIND_STR)
        snprintf(ret_field->def, sizeof(ret_field->def), "%s", field->default_str);
}

static void write_state(const struct stasis_schema *state, FILE *out)
{
    for (uint32_t i = 0; i < state->field_count; i++) {
        struct stasis_lock_field field;

        stasis_lock_field_of(&state->fields[i], &field);
        fprintf(out,
                "field %" PRIu32 " %s kind=%s size=%" PRIu64 " signed=%" PRIu64 " since=%" PRIu64
                " until=%" PRIu64 " max=%" PRIu64 " mask=0x%" PRIx64 " sub=%s default=%s\n",
                field.id, field.name, field.kind, field.size, field.is_signed, field.since,
                field.until, field.max, field.mask, field.sub, field.def);
    }
    for (const struct stasis_old_bound *old = state->history; old && old->before; old++)
        fprintf(out, "was id=%u before=%u bound=0x%" PRIx64 "\n", old->id, old->before, old->bound);
}

static void write_record(const struct stasis_schema *record, FILE *out)
{
    const struct stasis_schema *states[STASIS_LOCK_NESTED_MAX];
    size_t count = stasis_lock_states(record, states);

    fprintf(out, "\nrecord %s version=%u optional=%d\n", record->type, record->version,
            record->optional);
    for (const struct stasis_migration *step = record->migrations; step && step->to; step++)
        fprintf(out, "step to=%u\n", step->to);
    write_state(record, out);
    for (size_t i = 1; i < count; i++) {
        fprintf(out, "nested %s\n", states[i]->type);
        write_state(states[i], out);
    }
}

static void write_values(const struct stasis_lock_set *set, FILE *out)
{
    for (size_t i = 0; i < set->value_count; i++) {
        const struct stasis_enum_value *value = &set->values[i];

        if (!i || value->set != set->values[i - 1].set)
            fprintf(out, "\nenum %s record=%s version=%u\n", value->set->name, value->set->record,
                    stasis_lock_record(set, value->set->record)->version);
        fprintf(out, "value %s number=%" PRIu32 " since=%u\n", value->name, value->number,
                value->since);
    }
}

int stasis_lock_write(const struct stasis_lock_set *set, const char *release, FILE *out,
                      struct stasis_error *err)
{
    struct stasis_lock_result limits;
    size_t len = strlen(release);
    int rc = stasis_lock_check_set(set, err);

    if (rc)
        return rc;
    if (!len || len >= sizeof(limits.release) || strpbrk(release, " \t\r\n"))
        return stasis_fail(err, STASIS_ERR_ARG, "\"%s\" is no name of a release", release);
    fprintf(out, "format 1\nrelease %s\n", release);
    for (size_t i = 0; i < set->schema_count; i++)
        write_record(set->schemas[i], out);
    write_values(set, out);
    fputs("\nend\n", out); /* so that a piece is not taken for the whole */
    return 0;
}

/* ---- a line ---- */

void stasis_lock_word(struct stasis_lock_line *line, char ret_word[STASIS_LOCK_NAME_MAX])
{
    size_t len = strcspn(line->at, " ");

    ret_word[0] = '\0';
    if (!len || len >= STASIS_LOCK_NAME_MAX)
        line->bad = true;
    if (line->bad)
        return;
    memcpy(ret_word, line->at, len);
    ret_word[len] = '\0';
    line->at += len;
    if (*line->at && line->at[1])
        line->at++;
}

/* Steps over "key=". */
static void skip_key(struct stasis_lock_line *line, const char *key)
{
    size_t len = strlen(key);

    if (line->bad || strncmp(line->at, key, len) != 0 || line->at[len] != '=')
        line->bad = true;
    else
        line->at += len + 1;
}

void stasis_lock_key(struct stasis_lock_line *line, const char *key,
                     char ret_word[STASIS_LOCK_NAME_MAX])
{
    skip_key(line, key);
    stasis_lock_word(line, ret_word);
}

static uint64_t number_of(struct stasis_lock_line *line, const char *word)
{
    bool hex = word[0] == '0' && word[1] == 'x';
    const char *digits = hex ? word + 2 : word;
    size_t len = strlen(digits);
    uint64_t number = strtoull(digits, NULL, hex ? 16 : 10);

    /* As few digits as can overflow neither; longer numbers do not occur. */
    if (!len || len > (hex ? 16 : 10) ||
        strspn(digits, hex ? "0123456789abcdef" : "0123456789") != len)
        line->bad = true;
    return line->bad ? 0 : number;
}

uint64_t stasis_lock_number(struct stasis_lock_line *line, const char *key)
{
    char word[STASIS_LOCK_NAME_MAX];

    stasis_lock_key(line, key, word);
    return number_of(line, word);
}

void stasis_lock_parse_field(struct stasis_lock_line *line, struct stasis_lock_field *ret_field)
{
    char id[STASIS_LOCK_NAME_MAX];

    stasis_lock_word(line, id);
    ret_field->id = (uint32_t)number_of(line, id);
    stasis_lock_word(line, ret_field->name);
    stasis_lock_key(line, "kind", ret_field->kind);
    ret_field->size = stasis_lock_number(line, "size");
    ret_field->is_signed = stasis_lock_number(line, "signed");
    ret_field->since = stasis_lock_number(line, "since");
    ret_field->until = stasis_lock_number(line, "until");
    ret_field->max = stasis_lock_number(line, "max");
    ret_field->mask = stasis_lock_number(line, "mask");
    stasis_lock_key(line, "sub", ret_field->sub);
    skip_key(line, "default");
    snprintf(ret_field->def, sizeof(ret_field->def), "%s", line->bad ? "" : line->at);
    line->at += strlen(line->at);
}

bool stasis_lock_ends(const struct stasis_lock_line *line)
{
    return !line->bad && !*line->at;
}
