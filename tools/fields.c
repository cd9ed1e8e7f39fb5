/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * walk_states() calls itself along the nesting of schemas only, which is bounded wherever they come
 * from (STASIS_SCHEMA_DEPTH_MAX).
 */
#include "tools/fields.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"
#include "tools/fields_keys.h"
#include "tools/text.h"

/* A name, a key and a dot at each depth. */
#define PATH_MAX_LEN                                                                               \
    ((STASIS_SCHEMA_DEPTH_MAX + 1) * (STASIS_SCHEMA_NAME_MAX + STASIS_KEY_TEXT_MAX + 1) + 1)

#define BYTES_SHOWN 64u

enum { A, B };

struct walk {
    stasis_fields_fn *fn;
    void *ctx;
    struct stasis_error *err;
    int rc; /* the first failure, which ends it */
    char path[PATH_MAX_LEN];
};

/* ---- sides and scalars ---- */

int stasis_side_init(struct stasis_side *side, const struct stasis_records *records, size_t index,
                     struct stasis_error *err)
{
    struct stasis_record record = stasis_records_at(records, index);
    int rc;

    *side = (struct stasis_side){.schema = record.schema};
    if (!record.schema)
        return 0;
    side->version = record.embedded ? record.version : record.schema->version;
    side->state = malloc(record.schema->size);
    rc = side->state ? stasis_records_get(records, record.schema, record.instance, side->state, err)
                     : stasis_fail(err, STASIS_ERR_NOMEM, "record %s: out of memory", record.type);
    if (rc)
        stasis_side_fini(side);
    return rc;
}

void stasis_side_fini(struct stasis_side *side)
{
    free(side->state);
    side->state = NULL;
}

/* The bytes that a byte string, or a register of one, consists of. */
static const uint8_t *scalar_bytes(const struct stasis_scalar *scalar, uint32_t *ret_len)
{
    const struct stasis_field *field = scalar->field;

    *ret_len =
        field->elem_size == 1 ? stasis_field_get_count(field, scalar->base) : field->elem_size;
    return scalar->base + field->offset + (size_t)scalar->index * field->elem_size;
}

static bool is_same(const struct stasis_scalar *a, const struct stasis_scalar *b)
{
    const uint8_t *bytes[2];
    uint32_t len[2];

    if (a->field->kind == STASIS_KIND_INT || a->field->kind == STASIS_KIND_INTS)
        return stasis_field_get_int(a->field, a->base, a->index) ==
               stasis_field_get_int(b->field, b->base, b->index);
    if (a->field->kind == STASIS_KIND_STR)
        return !strcmp((const char *)a->base + a->field->offset,
                       (const char *)b->base + b->field->offset);
    bytes[A] = scalar_bytes(a, &len[A]);
    bytes[B] = scalar_bytes(b, &len[B]);
    return len[A] == len[B] && !memcmp(bytes[A], bytes[B], len[A]);
}

static void put_bytes(const struct stasis_scalar *scalar, FILE *out)
{
    uint32_t len;
    const uint8_t *bytes = scalar_bytes(scalar, &len);

    if (!len)
        fputs("no bytes", out);
    for (uint32_t i = 0; i < len && i < BYTES_SHOWN; i++)
        fprintf(out, "%02x", bytes[i]);
    if (len > BYTES_SHOWN)
        fprintf(out, "... (%" PRIu32 " bytes)", len);
}

void stasis_scalar_put_text(const struct stasis_scalar *scalar, FILE *out)
{
    const struct stasis_field *field = scalar->field;

    if (field->kind == STASIS_KIND_STR) {
        fputc('"', out);
        stasis_text_put(out, (const char *)scalar->base + field->offset);
        fputc('"', out);
    } else if (field->kind == STASIS_KIND_BUF) {
        put_bytes(scalar, out);
    } else {
        uint64_t value = stasis_field_get_int(field, scalar->base, scalar->index);

        if (field->is_signed)
            fprintf(out, "%" PRId64, (int64_t)value);
        else
            fprintf(out, "0x%" PRIx64, value);
    }
}

void stasis_scalar_put_json(const struct stasis_scalar *scalar, struct stasis_json *json)
{
    const struct stasis_field *field = scalar->field;
    const uint8_t *bytes;
    uint64_t value;
    uint32_t len;

    if (field->kind == STASIS_KIND_STR) {
        stasis_json_str(json, (const char *)scalar->base + field->offset);
        return;
    }
    if (field->kind == STASIS_KIND_BUF) {
        bytes = scalar_bytes(scalar, &len);
        stasis_json_hex(json, bytes, len);
        return;
    }
    value = stasis_field_get_int(field, scalar->base, scalar->index);
    if (field->is_signed)
        stasis_json_i64(json, (int64_t)value);
    else
        stasis_json_u64(json, value);
}

/* ---- the walk ---- */

/* One side of a field: where it is, or a NULL field. */
struct place {
    const struct stasis_field *field;
    const uint8_t *base;
    uint32_t version;
};

static void walk_states(struct walk *walk, const struct stasis_side *a,
                        const struct stasis_side *b);

/* Appends to the path; returns its length before. */
static size_t push(struct walk *walk, const char *text)
{
    size_t len = strlen(walk->path);

    snprintf(walk->path + len, sizeof(walk->path) - len, "%s", text);
    return len;
}

static void tell(struct walk *walk, const struct place places[2], const bool there[2],
                 uint32_t index)
{
    struct stasis_scalar a = {places[A].field, places[A].base, index};
    struct stasis_scalar b = {places[B].field, places[B].base, index};

    if (there[A] && there[B] && is_same(&a, &b))
        return;
    walk->fn(walk->ctx, walk->path, there[A] ? &a : NULL, there[B] ? &b : NULL);
}

/* Integers of an array, or registers of a byte string. */
static uint32_t count_parts(const struct place *place)
{
    if (!place->field)
        return 0;
    if (place->field->kind == STASIS_KIND_INTS)
        return place->field->max;
    return stasis_field_get_count(place->field, place->base) / place->field->elem_size;
}

static void walk_parts(struct walk *walk, const struct place places[2])
{
    uint32_t counts[2] = {count_parts(&places[A]), count_parts(&places[B])};

    for (uint32_t i = 0; i < counts[A] || i < counts[B]; i++) {
        char text[STASIS_KEY_TEXT_MAX];
        size_t len;

        snprintf(text, sizeof(text), "[%" PRIu32 "]", i);
        len = push(walk, text);
        tell(walk, places, (const bool[2]){i < counts[A], i < counts[B]}, i);
        walk->path[len] = '\0';
    }
}

/* An element of a list (or the one nested state), if it is there. */
static struct stasis_side element(const struct place *place, bool there, uint32_t index)
{
    const struct stasis_field *field = place->field;

    if (!field || !there)
        return (struct stasis_side){.schema = NULL};
    return (struct stasis_side){field->sub, place->version,
                                (uint8_t *)(uintptr_t)(place->base + field->offset) +
                                    (size_t)index * field->elem_size};
}

static void walk_elements(struct walk *walk, const struct place places[2], const char *text,
                          const bool there[2], const uint32_t indexes[2])
{
    struct stasis_side a = element(&places[A], there[A], indexes[A]);
    struct stasis_side b = element(&places[B], there[B], indexes[B]);
    size_t len = push(walk, text);

    walk_states(walk, &a, &b);
    walk->path[len] = '\0';
}

static void walk_by_position(struct walk *walk, const struct place places[2],
                             const struct stasis_keys keys[2])
{
    for (uint32_t i = 0; i < keys[A].count || i < keys[B].count; i++) {
        char text[STASIS_KEY_TEXT_MAX];

        snprintf(text, sizeof(text), "[%" PRIu32 "]", i);
        walk_elements(walk, places, text, (const bool[2]){i < keys[A].count, i < keys[B].count},
                      (const uint32_t[2]){i, i});
    }
}

/* Both are ascending. */
static void walk_by_key(struct walk *walk, const struct place places[2],
                        const struct stasis_keys keys[2])
{
    uint32_t at[2] = {0, 0};

    while (at[A] < keys[A].count || at[B] < keys[B].count) {
        const struct stasis_key *a = &keys[A].keys[at[A]];
        const struct stasis_key *b = &keys[B].keys[at[B]];
        int order = at[A] == keys[A].count   ? 1
                    : at[B] == keys[B].count ? -1
                                             : stasis_key_compare(a, b);
        const bool there[2] = {order <= 0, order >= 0};
        char text[STASIS_KEY_TEXT_MAX];

        stasis_key_text(&keys[there[A] ? A : B], there[A] ? a : b, text);
        walk_elements(walk, places, text, there,
                      (const uint32_t[2]){there[A] ? a->index : 0, there[B] ? b->index : 0});
        at[A] += there[A];
        at[B] += there[B];
    }
}

static void walk_list(struct walk *walk, const struct place places[2])
{
    struct stasis_keys keys[2] = {{0}};
    int rc = stasis_keys_init(&keys[A], places[A].field, places[A].base, walk->err);

    if (!rc)
        rc = stasis_keys_init(&keys[B], places[B].field, places[B].base, walk->err);
    if (rc)
        walk->rc = rc;
    else if (keys[A].keys && keys[B].keys)
        walk_by_key(walk, places, keys);
    else
        walk_by_position(walk, places, keys);
    stasis_keys_fini(&keys[A]);
    stasis_keys_fini(&keys[B]);
}

static void walk_field(struct walk *walk, const struct place places[2])
{
    const struct stasis_field *field = places[A].field ? places[A].field : places[B].field;
    const bool there[2] = {places[A].field, places[B].field};
    size_t len = push(walk, walk->path[0] ? "." : "");

    push(walk, field->name);
    if (field->kind == STASIS_KIND_LIST)
        walk_list(walk, places);
    else if (field->kind == STASIS_KIND_STRUCT)
        walk_elements(walk, places, "", there, (const uint32_t[2]){0, 0});
    else if (field->kind == STASIS_KIND_INTS ||
             (field->kind == STASIS_KIND_BUF && field->elem_size > 1))
        walk_parts(walk, places);
    else
        tell(walk, places, there, 0);
    walk->path[len] = '\0';
}

static bool are_alike(const struct stasis_field *a, const struct stasis_field *b)
{
    return a->id == b->id && a->kind == b->kind && a->is_signed == b->is_signed &&
           (a->kind != STASIS_KIND_BUF || a->elem_size == b->elem_size);
}

/* The field of the other side that is the same as `field`; most often it has the same index. */
static const struct stasis_field *partner(const struct stasis_side *other,
                                          const struct stasis_field *field, uint32_t index)
{
    const struct stasis_schema *schema = other->schema;

    if (!schema)
        return NULL;
    if (index >= schema->field_count || schema->fields[index].id != field->id)
        for (index = 0; index < schema->field_count; index++)
            if (schema->fields[index].id == field->id)
                break;
    if (index == schema->field_count || !are_alike(&schema->fields[index], field) ||
        !stasis_field_in(&schema->fields[index], other->version))
        return NULL;
    return &schema->fields[index];
}

static void walk_states(struct walk *walk, const struct stasis_side *a, const struct stasis_side *b)
{
    for (uint32_t i = 0; a->schema && i < a->schema->field_count && !walk->rc; i++) {
        const struct stasis_field *field = &a->schema->fields[i];

        if (stasis_field_in(field, a->version))
            walk_field(walk, (const struct place[2]){{field, a->state, a->version},
                                                     {partner(b, field, i), b->state, b->version}});
    }
    for (uint32_t i = 0; b->schema && i < b->schema->field_count && !walk->rc; i++) {
        const struct stasis_field *field = &b->schema->fields[i];

        if (stasis_field_in(field, b->version) && !partner(a, field, i))
            walk_field(walk,
                       (const struct place[2]){{NULL, NULL, 0}, {field, b->state, b->version}});
    }
}

int stasis_fields_walk(const struct stasis_side *a, const struct stasis_side *b,
                       stasis_fields_fn *fn, void *ctx, struct stasis_error *err)
{
    struct walk walk = {.fn = fn, .ctx = ctx, .err = err};

    walk_states(&walk, a, b);
    return walk.rc;
}
