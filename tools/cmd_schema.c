/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the records of a file are made of, by the schemas that came with it; or, without a file,
 * those of this release. Each state is listed once, nested ones before those that hold them, so
 * that the output is as long as the schemas are and no longer.
 */
#include <inttypes.h>
#include <string.h>

#include "stasis/schema_set.h"
#include "tools/inspect.h"
#include "tools/text.h"

enum { OPTION_JSON };

/* A state on its way out; places count from 1. */
struct listed {
    const struct stasis_schema *schema;
    uint32_t version; /* in which it is read */
    bool nested;
};

struct listing {
    FILE *out;
    struct stasis_json *json; /* NULL: text */
    size_t count;
    struct listed states[STASIS_SCHEMA_STATES_MAX];
};

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

static void print_state(FILE *out, const struct listed *state)
{
    const struct stasis_schema *schema = state->schema;

    if (state->nested)
        fprintf(out, "%s, nested: ", schema->type);
    else
        fprintf(out, "%s, version %u: ", schema->type, schema->version);
    stasis_text_put(out, schema->doc ? schema->doc : "");
    fputc('\n', out);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];

        if (!stasis_field_in(field, state->version))
            continue;
        fprintf(out, "%5u  %-22s ", field->id, field->name);
        print_type(out, field);
        stasis_text_put(out, field->doc ? field->doc : "");
        fputc('\n', out);
    }
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

/* Where a state is among those listed before it; it is one of them. */
static size_t place_of(const struct listing *listing, const struct stasis_schema *schema)
{
    size_t i = 0;

    while (i < listing->count && listing->states[i].schema != schema)
        i++;
    return i;
}

static void put_default(struct stasis_json *json, const struct stasis_field *field)
{
    if (field->kind == STASIS_KIND_STR)
        put_str(json, "default", field->default_str);
    if (field->kind != STASIS_KIND_INT)
        return;
    stasis_json_key(json, "default");
    if (field->is_signed)
        stasis_json_i64(json, (int64_t)field->default_int);
    else
        stasis_json_u64(json, field->default_int);
}

static void put_field(const struct listing *listing, const struct stasis_field *field)
{
    struct stasis_json *json = listing->json;

    stasis_json_object_begin(json);
    put_u64(json, "id", field->id);
    put_str(json, "name", field->name);
    put_str(json, "kind", kind_name(field));
    if (field->kind != STASIS_KIND_STR && !field->sub)
        put_u64(json, "size", field->elem_size);
    put_u64(json, "maximum", field->max);
    if (field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS)
        put_u64(json, "mask", field->mask);
    put_default(json, field);
    if (field->sub)
        put_u64(json, "state", place_of(listing, field->sub));
    put_str(json, "text", field->doc);
    stasis_json_object_end(json);
}

static void put_state(const struct listing *listing, const struct listed *state)
{
    struct stasis_json *json = listing->json;

    stasis_json_object_begin(json);
    put_str(json, "name", state->schema->type);
    put_u64(json, "version", state->nested ? 0 : state->schema->version);
    put_str(json, "text", state->schema->doc);
    stasis_json_key(json, "fields");
    stasis_json_array_begin(json);
    for (uint32_t i = 0; i < state->schema->field_count; i++)
        if (stasis_field_in(&state->schema->fields[i], state->version))
            put_field(listing, &state->schema->fields[i]);
    stasis_json_array_end(json);
    stasis_json_object_end(json);
}

/* ---- both ---- */

static void list(struct listing *listing, const struct stasis_schema *schema, uint32_t version,
                 bool nested)
{
    struct listed *state = &listing->states[listing->count];

    *state = (struct listed){schema, version, nested};
    if (listing->json)
        put_state(listing, state);
    else
        print_state(listing->out, state);
    listing->count++;
}

/* Calls itself along the nesting of the lists only. */
static void list_nested(struct listing *listing, const struct stasis_schema *schema,
                        uint32_t version)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_schema *sub = schema->fields[i].sub;

        if (!sub || !stasis_field_in(&schema->fields[i], version) ||
            place_of(listing, sub) < listing->count)
            continue;
        list_nested(listing, sub, version);
        list(listing, sub, version, true);
    }
}

static void list_ours(struct listing *listing)
{
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);

    for (size_t i = 0; i < count; i++) {
        list_nested(listing, all[i], all[i]->version);
        list(listing, all[i], all[i]->version, false);
    }
}

/* They come in this order, and have the fields of their version only. */
static void list_set(struct listing *listing, const struct stasis_schema_set *set)
{
    for (size_t i = 0; set && i < stasis_schema_set_count(set); i++) {
        const struct stasis_schema *schema = stasis_schema_set_at(set, i);

        list(listing, schema, UINT32_MAX, !schema->version);
    }
}

static void list_all(struct listing *listing, const struct stasis_snap *snap)
{
    if (snap)
        list_set(listing, stasis_snap_schemas(snap));
    else
        list_ours(listing);
    if (!listing->json && !listing->count)
        fputs("the file came without schemas\n", listing->out);
}

/* Here the schemas are the data: damage to them is an error. */
static int open_schemas(const struct stasis_inspect_args *args, struct stasis_snap **ret_snap,
                        struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc = stasis_inspect_open_alone(args, args->operands[0], &snap, err);

    if (rc)
        return rc;
    rc = stasis_snap_read_schemas(snap, err);
    if (rc)
        stasis_snap_free(snap);
    else
        *ret_snap = snap;
    return rc;
}

int stasis_inspect_schema(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    struct listing listing = {.out = out};
    struct stasis_snap *snap = NULL;
    struct stasis_json json;
    int rc = args->operand_count ? open_schemas(args, &snap, err) : 0;

    if (rc)
        return rc;
    if (args->values[OPTION_JSON]) {
        listing.json = &json;
        stasis_json_init(&json, out);
        stasis_json_array_begin(&json);
    }
    list_all(&listing, snap);
    if (listing.json) {
        stasis_json_array_end(&json);
        if (stasis_json_finish(&json))
            rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output");
    }
    stasis_snap_free(snap);
    return rc;
}
