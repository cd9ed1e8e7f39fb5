/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Records as JSON, by their tables. show_state() calls itself along the nesting of the lists only.
 */
#include "encoding.h"

#include <stdlib.h>

#include "stasis/field.h"

static void show_int(struct stasis_json *json, const struct stasis_field *field,
                     const uint8_t *base, uint32_t index)
{
    uint64_t value = stasis_field_get_int(field, base, index);

    if (field->is_signed)
        stasis_json_i64(json, (int64_t)value);
    else
        stasis_json_u64(json, value);
}

/* One hex string, or one for each register, so that a difference can be named. */
static void show_buf(struct stasis_json *json, const struct stasis_field *field,
                     const uint8_t *base)
{
    const uint8_t *bytes = stasis_field_at(field, base);
    uint32_t len = stasis_field_get_count(field, base);

    if (field->elem_size == 1) {
        stasis_json_hex(json, bytes, len);
        return;
    }
    stasis_json_array_begin(json);
    for (uint32_t at = 0; at < len; at += field->elem_size)
        stasis_json_hex(json, bytes + at, field->elem_size);
    stasis_json_array_end(json);
}

static void show_state(struct stasis_json *json, const struct stasis_schema *schema,
                       uint32_t version, const uint8_t *base);

static void show_field(struct stasis_json *json, const struct stasis_field *field, uint32_t version,
                       const uint8_t *base)
{
    const uint8_t *at = stasis_field_at(field, base);
    uint32_t count;

    switch (field->kind) {
    case STASIS_KIND_INT:
        show_int(json, field, base, 0);
        break;
    case STASIS_KIND_INTS:
        stasis_json_array_begin(json);
        for (uint32_t i = 0; i < field->max; i++)
            show_int(json, field, base, i);
        stasis_json_array_end(json);
        break;
    case STASIS_KIND_BUF:
        show_buf(json, field, base);
        break;
    case STASIS_KIND_STR:
        stasis_json_str(json, (const char *)at);
        break;
    case STASIS_KIND_STRUCT:
        show_state(json, field->sub, version, at);
        break;
    case STASIS_KIND_LIST:
        count = stasis_field_get_count(field, base);
        stasis_json_array_begin(json);
        for (uint32_t i = 0; i < count; i++)
            show_state(json, field->sub, version, at + (size_t)i * field->elem_size);
        stasis_json_array_end(json);
        break;
    }
}

static void show_state(struct stasis_json *json, const struct stasis_schema *schema,
                       uint32_t version, const uint8_t *base)
{
    stasis_json_object_begin(json);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!stasis_field_in(&schema->fields[i], version))
            continue;
        stasis_json_key(json, schema->fields[i].name);
        show_field(json, &schema->fields[i], version, base);
    }
    stasis_json_object_end(json);
}

static void show_header(struct stasis_json *json, const struct stasis_record *record)
{
    stasis_json_key(json, "type");
    stasis_json_str(json, record->type);
    stasis_json_key(json, "instance");
    stasis_json_str(json, record->instance);
    stasis_json_key(json, "version");
    stasis_json_u64(json, record->version);
    stasis_json_key(json, "optional");
    stasis_json_bool(json, record->optional);
    stasis_json_key(json, "known");
    stasis_json_bool(json, record->schema && !record->embedded);
    stasis_json_key(json, "state");
}

static int show_record(struct stasis_json *json, const struct stasis_record *record,
                       struct stasis_error *err)
{
    struct stasis_reader reader;
    void *state = NULL;
    int rc = 0;

    stasis_reader_init(&reader, record->fields, record->fields_len);
    if (record->schema) {
        state = malloc(record->schema->size);
        rc = state ? stasis_decode_fields(&reader, record, record->schema, state, err)
                   : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
        if (rc)
            goto out;
    }
    stasis_json_object_begin(json);
    show_header(json, record);
    if (record->schema)
        show_state(json, record->schema, record->schema->version, state);
    else
        stasis_unknown_walk(&reader, json);
    stasis_json_object_end(json);
    if (state)
        stasis_state_fini(record->schema, state);
out:
    free(state);
    return rc;
}

int stasis_records_json(const struct stasis_records *set, struct stasis_json *json,
                        struct stasis_error *err)
{
    stasis_json_array_begin(json);
    for (size_t i = 0; i < stasis_records_count(set); i++) {
        struct stasis_record record = stasis_records_at(set, i);
        int rc = show_record(json, &record, err);

        if (rc)
            return rc;
    }
    stasis_json_array_end(json);
    return 0;
}
