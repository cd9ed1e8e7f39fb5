/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the records of a file are made of, by the schemas that came with it; or, without a file,
 * those of this release. print_fields() calls itself along the nesting of the schemas only.
 */
#include <inttypes.h>
#include <string.h>

#include "stasis/schema_set.h"
#include "tools/inspect.h"
#include "tools/text.h"

enum { OPTION_JSON };

/* ---- text ---- */

static void print_type(FILE *out, const struct stasis_field *field)
{
    char text[STASIS_TEXT_MAX];

    switch (field->kind) {
    case STASIS_KIND_INT:
        snprintf(text, sizeof(text), "%s%" PRIu32, field->is_signed ? "int" : "uint",
                 8 * field->elem_size);
        break;
    case STASIS_KIND_INTS:
        snprintf(text, sizeof(text), "uint%" PRIu32 "[%" PRIu32 "]", 8 * field->elem_size,
                 field->max);
        break;
    case STASIS_KIND_BUF:
        snprintf(text, sizeof(text), "bytes<=%" PRIu32, field->max);
        break;
    case STASIS_KIND_STR:
        snprintf(text, sizeof(text), "string<=%" PRIu32, field->max);
        break;
    case STASIS_KIND_STRUCT:
        snprintf(text, sizeof(text), "%.32s", field->sub->type);
        break;
    case STASIS_KIND_LIST:
        snprintf(text, sizeof(text), "%.32s<=%" PRIu32, field->sub->type, field->max);
        break;
    }
    fprintf(out, "%-22s ", text);
}

static void print_fields(FILE *out, const struct stasis_schema *schema, uint32_t version,
                         unsigned depth)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (!stasis_field_in(field, version))
            continue;
        fprintf(out, "%*s%5u  %-*s ", (int)depth * 7, "", field->id, 22, field->name);
        print_type(out, field);
        stasis_text_put(out, field->doc ? field->doc : "");
        fputc('\n', out);
        if (field->sub)
            print_fields(out, field->sub, version, depth + 1);
    }
}

static void print_schema(FILE *out, const struct stasis_schema *schema)
{
    fprintf(out, "%s, version %u: ", schema->type, schema->version);
    stasis_text_put(out, schema->doc ? schema->doc : "");
    fputc('\n', out);
    print_fields(out, schema, schema->version, 0);
}

/* ---- JSON ---- */

static const char *kind_name(const struct stasis_field *field)
{
    static const char *const names[] = {
        [STASIS_KIND_INT] = "unsigned", [STASIS_KIND_INTS] = "array",   [STASIS_KIND_BUF] = "bytes",
        [STASIS_KIND_STR] = "string",   [STASIS_KIND_STRUCT] = "state", [STASIS_KIND_LIST] = "list",
    };

    return field->is_signed ? "signed" : names[field->kind];
}

static void put_u64(struct stasis_json *json, const char *key, uint64_t value)
{
    stasis_json_key(json, key);
    stasis_json_u64(json, value);
}

static void put_str(struct stasis_json *json, const char *key, const char *value)
{
    stasis_json_key(json, key);
    stasis_json_str(json, value ? value : "");
}

static void put_fields(struct stasis_json *json, const struct stasis_schema *schema,
                       uint32_t version)
{
    stasis_json_key(json, "fields");
    stasis_json_array_begin(json);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (!stasis_field_in(field, version))
            continue;
        stasis_json_object_begin(json);
        put_u64(json, "id", field->id);
        put_str(json, "name", field->name);
        put_str(json, "kind", kind_name(field));
        if (!field->sub)
            put_u64(json, "size", field->elem_size);
        put_u64(json, "max", field->max);
        if (field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS)
            put_u64(json, "mask", field->mask);
        if (field->kind == STASIS_KIND_STR)
            put_str(json, "default", field->default_str);
        else if (field->kind == STASIS_KIND_INT)
            put_u64(json, "default", field->default_int);
        put_str(json, "text", field->doc);
        if (field->sub) {
            put_str(json, "state", field->sub->type);
            put_fields(json, field->sub, version);
        }
        stasis_json_object_end(json);
    }
    stasis_json_array_end(json);
}

static void put_schema(struct stasis_json *json, const struct stasis_schema *schema)
{
    stasis_json_object_begin(json);
    put_str(json, "type", schema->type);
    put_u64(json, "version", schema->version);
    put_str(json, "text", schema->doc);
    put_fields(json, schema, schema->version);
    stasis_json_object_end(json);
}

/* ---- both ---- */

struct listing {
    FILE *out;
    struct stasis_json *json; /* NULL: text */
};

static void list(const struct listing *listing, const struct stasis_schema *schema)
{
    if (listing->json)
        put_schema(listing->json, schema);
    else
        print_schema(listing->out, schema);
}

static void list_ours(const struct listing *listing)
{
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);

    for (size_t i = 0; i < count; i++)
        list(listing, all[i]);
}

static void list_set(const struct listing *listing, const struct stasis_schema_set *set)
{
    for (size_t i = 0; set && i < stasis_schema_set_count(set); i++) {
        if (stasis_schema_set_at(set, i)->version) /* nested ones stand where they are used */
            list(listing, stasis_schema_set_at(set, i));
    }
}

int stasis_inspect_schema(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    struct listing listing = {.out = out};
    struct stasis_snap *snap = NULL;
    struct stasis_json json;
    int rc = args->operand_count ? stasis_inspect_open_any(args->operands[0], &snap, err) : 0;

    if (rc)
        return rc;
    stasis_json_init(&json, out);
    if (args->values[OPTION_JSON]) {
        listing.json = &json;
        stasis_json_array_begin(&json);
    }
    if (snap)
        list_set(&listing, stasis_snap_schemas(snap));
    else
        list_ours(&listing);
    if (listing.json) {
        stasis_json_array_end(&json);
        if (stasis_json_finish(&json))
            rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output");
    } else if (snap && !stasis_snap_schemas(snap)) {
        fputs("the file came without schemas\n", out);
    }
    stasis_snap_free(snap);
    return rc;
}
