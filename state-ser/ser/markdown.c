/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The field tables as Markdown. A nested state is printed once, behind the record that holds it.
 * print_schema() calls itself along the nesting of the lists only.
 */
#include "stasis/ser.h"

#include <inttypes.h>

static void print_type(FILE *out, const struct stasis_field *field)
{
    switch (field->kind) {
    case STASIS_KIND_INT:
        fprintf(out, "%s%" PRIu32, field->is_signed ? "int" : "uint", 8 * field->elem_size);
        break;
    case STASIS_KIND_INTS:
        fprintf(out, "array of %" PRIu32 " uint%" PRIu32, field->max, 8 * field->elem_size);
        break;
    case STASIS_KIND_BUF:
        fprintf(out, "bytes, at most %" PRIu32, field->max);
        if (field->elem_size > 1)
            fprintf(out, ", registers of %" PRIu32, field->elem_size);
        break;
    case STASIS_KIND_STR:
        fprintf(out, "string, at most %" PRIu32, field->max);
        break;
    case STASIS_KIND_STRUCT:
        fprintf(out, "%s", field->sub->type);
        break;
    case STASIS_KIND_LIST:
        fprintf(out,
                field->is_fixed ? "list of %s, exactly %" PRIu32 : "list of %s, at most %" PRIu32,
                field->sub->type, field->max);
        break;
    }
}

static void print_default(FILE *out, const struct stasis_field *field)
{
    if (field->kind == STASIS_KIND_INT && field->is_signed)
        fprintf(out, "%" PRId64, (int64_t)field->default_int);
    else if (field->kind == STASIS_KIND_INT)
        fprintf(out, field->default_int < 10 ? "%" PRIu64 : "0x%" PRIx64, field->default_int);
    else if (field->kind == STASIS_KIND_STR)
        fprintf(out, "\"%s\"", field->default_str);
}

static void print_mask(FILE *out, const struct stasis_field *field)
{
    uint64_t full = field->is_signed ? UINT64_MAX : UINT64_MAX >> (64 - 8 * field->elem_size);

    if (field->mask != full)
        fprintf(out, "0x%" PRIx64, field->mask);
}

/* " (before version 2: 0x3)" */
static void print_history(FILE *out, const struct stasis_schema *schema,
                          const struct stasis_field *field, bool is_int)
{
    for (const struct stasis_old_bound *old = schema->history; old && old->before; old++) {
        if (old->id != field->id)
            continue;
        fprintf(out, " (before version %u: ", old->before);
        fprintf(out, is_int ? "0x%" PRIx64 : "%" PRIu64, old->bound);
        fputc(')', out);
    }
}

static void print_field(FILE *out, const struct stasis_schema *schema,
                        const struct stasis_field *field)
{
    bool is_int = field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS;

    fprintf(out, "| %u | `%s` | ", field->id, field->name);
    print_type(out, field);
    if (!is_int)
        print_history(out, schema, field, is_int);
    fprintf(out, " | %u", field->since);
    if (field->until)
        fprintf(out, " to %u", field->until - 1);
    fputs(" | ", out);
    print_default(out, field);
    fputs(" | ", out);
    if (is_int) {
        print_mask(out, field);
        print_history(out, schema, field, is_int);
    }
    fprintf(out, " | %s |\n", field->doc);
}

static bool is_first_use(const struct stasis_schema *schema, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (schema->fields[i].sub == schema->fields[index].sub)
            return false;
    }
    return schema->fields[index].sub;
}

static void print_schema(FILE *out, const struct stasis_schema *schema)
{
    fputs("\n| id | field | type | since | default | mask | meaning |\n"
          "| --- | --- | --- | --- | --- | --- | --- |\n",
          out);
    for (uint32_t i = 0; i < schema->field_count; i++)
        print_field(out, schema, &schema->fields[i]);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!is_first_use(schema, i))
            continue;
        fprintf(out, "\n#### `%s`: %s\n", schema->fields[i].sub->type, schema->fields[i].sub->doc);
        print_schema(out, schema->fields[i].sub);
    }
}

void stasis_schema_markdown_one(FILE *out, const struct stasis_schema *schema)
{
    fprintf(out, "### `%s`: %s\n\nVersion %u, %s.\n", schema->type, schema->doc, schema->version,
            schema->optional ? "optional" : "mandatory");
    print_schema(out, schema);
}

void stasis_schema_markdown(FILE *out)
{
    const struct stasis_schema *const *all;
    size_t count;

    all = stasis_schema_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (i)
            fputc('\n', out);
        stasis_schema_markdown_one(out, all[i]);
    }
}
