/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Schemas to msgpack. add_state() calls itself along the nesting of the lists
 * (STASIS_SCHEMA_DEPTH_MAX) only.
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "schema_wire.h"
#include "stasis/schema_set.h"

struct encoder {
    struct stasis_buffer buffer;
    msgpack_packer msgpack;
    /* What has been packed, in order. */
    struct {
        const struct stasis_schema *schema;
        uint32_t version; /* of the record that holds it */
        uint32_t listed;  /* version on the wire: 0 for a nested one */
    } states[STASIS_SCHEMA_STATES_MAX];
    uint32_t count;
};

static int write_buffer(void *ctx, const char *bytes, size_t len)
{
    stasis_buffer_write(ctx, bytes, len);
    return 0;
}

static void pack_str(msgpack_packer *msgpack, const char *str)
{
    size_t len = strlen(str);

    msgpack_pack_str(msgpack, len);
    msgpack_pack_str_body(msgpack, str, len);
}

/* Index behind the state's, or 0: it is not there yet. A record type that is also nested is there
 * twice, since readers refuse to nest a record type. */
static uint32_t find_state(const struct encoder *encoder, const struct stasis_schema *schema,
                           uint32_t version, uint32_t listed)
{
    for (uint32_t i = 0; i < encoder->count; i++) {
        if (encoder->states[i].schema == schema && encoder->states[i].version == version &&
            encoder->states[i].listed == listed)
            return i + 1;
    }
    return 0;
}

/* Whether the type is described in that version, by this schema or a copy of it. */
static bool is_listed(const struct encoder *encoder, const struct stasis_record *record)
{
    for (uint32_t i = 0; i < encoder->count; i++) {
        if (encoder->states[i].listed == record->version &&
            !strcmp(encoder->states[i].schema->type, record->type))
            return true;
    }
    return false;
}

static enum stasis_schema_kind wire_kind(const struct stasis_field *field)
{
    switch (field->kind) {
    case STASIS_KIND_INT:
        return field->is_signed ? STASIS_SCHEMA_SIGNED : STASIS_SCHEMA_UNSIGNED;
    case STASIS_KIND_INTS:
        return STASIS_SCHEMA_UNSIGNEDS;
    case STASIS_KIND_BUF:
        return STASIS_SCHEMA_BYTES;
    case STASIS_KIND_STR:
        return STASIS_SCHEMA_STRING;
    case STASIS_KIND_STRUCT:
        return STASIS_SCHEMA_STATE;
    case STASIS_KIND_LIST:
        break;
    }
    return STASIS_SCHEMA_STATES;
}

/* The format has signed integers of 64 bits only, with the same values and masks. */
static uint32_t wire_size(const struct stasis_field *field)
{
    if (field->sub || field->kind == STASIS_KIND_STR)
        return 0;
    return field->is_signed ? sizeof(int64_t) : field->elem_size;
}

/* Tables know the default of their newest version only. An older mask or maximum may be too narrow
 * for it, and no reader would take such a schema: it says 0 or empty then. */
static void pack_default(msgpack_packer *msgpack, const struct stasis_field *field, uint64_t bound)
{
    if (field->kind == STASIS_KIND_STR)
        pack_str(msgpack, strlen(field->default_str) > bound ? "" : field->default_str);
    else if (field->kind == STASIS_KIND_INT)
        msgpack_pack_uint64(msgpack, field->default_int & ~bound ? 0 : field->default_int);
    else
        msgpack_pack_uint64(msgpack, 0);
}

static void pack_field(struct encoder *encoder, const struct stasis_schema *schema,
                       uint32_t version, const struct stasis_field *field)
{
    msgpack_packer *msgpack = &encoder->msgpack;
    uint64_t bound = stasis_field_bound(schema, field, version);
    bool is_int = field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS;

    msgpack_pack_array(msgpack, STASIS_SCHEMA_FIELD_PARTS);
    msgpack_pack_uint16(msgpack, field->id);
    pack_str(msgpack, field->name);
    msgpack_pack_uint32(msgpack, wire_kind(field));
    msgpack_pack_uint32(msgpack, wire_size(field));
    msgpack_pack_uint64(msgpack, is_int ? field->max : bound);
    msgpack_pack_uint64(msgpack, is_int ? bound : 0);
    pack_default(msgpack, field, bound);
    msgpack_pack_uint32(msgpack, field->sub ? find_state(encoder, field->sub, version, 0) : 0);
    pack_str(msgpack, field->doc ? field->doc : "");
}

/* Appends the state, what is nested in it first. `listed` is 0 for a nested one. */
static int add_state(struct encoder *encoder, const struct stasis_schema *schema, uint32_t version,
                     uint32_t listed, struct stasis_error *err)
{
    msgpack_packer *msgpack = &encoder->msgpack;

    if (find_state(encoder, schema, version, listed))
        return 0;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];
        int rc = field->sub && stasis_field_in(field, version)
                     ? add_state(encoder, field->sub, version, 0, err)
                     : 0;

        if (rc)
            return rc;
    }
    if (encoder->count == STASIS_SCHEMA_STATES_MAX)
        return stasis_fail(err, STASIS_ERR_RANGE, "more than %u schemas", STASIS_SCHEMA_STATES_MAX);
    msgpack_pack_array(msgpack, STASIS_SCHEMA_STATE_PARTS);
    pack_str(msgpack, schema->type);
    msgpack_pack_uint32(msgpack, listed);
    pack_str(msgpack, schema->doc ? schema->doc : "");
    msgpack_pack_array(msgpack, stasis_schema_count(schema, version));
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (stasis_field_in(&schema->fields[i], version))
            pack_field(encoder, schema, version, &schema->fields[i]);
    }
    encoder->states[encoder->count].schema = schema;
    encoder->states[encoder->count].version = version;
    encoder->states[encoder->count].listed = listed;
    encoder->count++;
    return 0;
}

static int add_all(struct encoder *encoder, const struct stasis_records *records,
                   struct stasis_error *err)
{
    int rc = 0;

    msgpack_packer_init(&encoder->msgpack, &encoder->buffer, write_buffer);
    for (size_t i = 0; !rc && i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);

        if (!record.schema || is_listed(encoder, &record))
            continue;
        rc = record.embedded ? 0 : stasis_check_schema(record.schema, err); /* parsed, so checked */
        if (!rc)
            rc = add_state(encoder, record.schema, record.version, record.version, err);
    }
    if (!rc && encoder->buffer.failed)
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the schemas");
    return rc;
}

/* The count of an array stands before what is counted. */
static int with_count(struct encoder *encoder, uint8_t **ret_bytes, size_t *ret_len,
                      struct stasis_error *err)
{
    struct stasis_buffer whole = {0};

    stasis_encode_array(&whole, encoder->count);
    stasis_buffer_write(&whole, encoder->buffer.data, encoder->buffer.len);
    if (whole.failed || whole.len > STASIS_SCHEMA_SET_MAX) {
        int rc = whole.failed ? stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the schemas")
                              : stasis_fail(err, STASIS_ERR_RANGE, "more than %u bytes of schemas",
                                            STASIS_SCHEMA_SET_MAX);
        stasis_buffer_fini(&whole);
        return rc;
    }
    *ret_bytes = whole.data;
    *ret_len = whole.len;
    return 0;
}

int stasis_schema_set_encode(const struct stasis_records *records, uint8_t **ret_bytes,
                             size_t *ret_len, struct stasis_error *err)
{
    struct encoder *encoder = calloc(1, sizeof(*encoder));
    int rc;

    if (!encoder)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the schemas");
    rc = add_all(encoder, records, err);
    if (!rc)
        rc = with_count(encoder, ret_bytes, ret_len, err);
    stasis_buffer_fini(&encoder->buffer);
    free(encoder);
    return rc;
}
