/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * States to msgpack. msgpack-c writes every integer and length in its shortest form and spells
 * integers that are not negative as unsigned, whatever their C type; that is the canonical form.
 * encode_fields() calls itself along the nesting of the lists (STASIS_SCHEMA_DEPTH_MAX) only.
 */
#include "encoding.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"

#define BUFFER_SIZE_MIN 4096 /* most records are smaller */

/* Bytes of the longest integer. */
#define INTEGER_MAX 9u

void stasis_buffer_fini(struct stasis_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct stasis_buffer){0};
}

static void buffer_grow(struct stasis_buffer *buffer, size_t len)
{
    size_t size = buffer->size ? buffer->size : BUFFER_SIZE_MIN;
    uint8_t *data;

    while (size - buffer->len < len)
        size *= 2;
    data = realloc(buffer->data, size);
    if (!data) {
        buffer->failed = true;
        return;
    }
    buffer->data = data;
    buffer->size = size;
}

void stasis_buffer_write(struct stasis_buffer *buffer, const void *bytes, size_t len)
{
    if (buffer->size - buffer->len < len && !buffer->failed)
        buffer_grow(buffer, len);
    if (buffer->failed || !len)
        return;
    memcpy(buffer->data + buffer->len, bytes, len);
    buffer->len += len;
}

/* Failure sticks in the buffer, so the packer's own results need no look. Nearly all writes are an
 * id or an integer, of 1, 2, 3, 5 or 9 bytes: with its length known a copy is one or two moves, and
 * a call of memcpy is a third of the work. */
static int buffer_callback(void *ctx, const char *bytes, size_t len)
{
    struct stasis_buffer *buffer = ctx;
    uint8_t *at;

    if (buffer->size - buffer->len < INTEGER_MAX || len > INTEGER_MAX) {
        stasis_buffer_write(buffer, bytes, len);
        return 0;
    }
    at = buffer->data + buffer->len;
    if (len == 1)
        *at = (uint8_t)*bytes;
    else if (len == 2)
        memcpy(at, bytes, 2);
    else if (len == 3)
        memcpy(at, bytes, 3);
    else if (len == 5)
        memcpy(at, bytes, 5);
    else if (len == INTEGER_MAX)
        memcpy(at, bytes, INTEGER_MAX);
    else
        memcpy(at, bytes, len);
    buffer->len += len;
    return 0;
}

/* An integer below 128 is its own spelling (positive fixint). Most ids and values are. */
static inline void pack_uint(msgpack_packer *packer, uint64_t value)
{
    struct stasis_buffer *buffer = packer->data;

    if (value < 128 && buffer->len < buffer->size)
        buffer->data[buffer->len++] = (uint8_t)value;
    else
        msgpack_pack_uint64(packer, value);
}

static void pack_str(msgpack_packer *packer, const char *str)
{
    size_t len = strlen(str);

    msgpack_pack_str(packer, len);
    msgpack_pack_str_body(packer, str, len);
}

static inline void pack_int(msgpack_packer *packer, const struct stasis_field *field,
                            const void *base, uint32_t index)
{
    uint64_t value = stasis_field_get_int(field, base, index);

    if (field->is_signed)
        msgpack_pack_int64(packer, (int64_t)value);
    else
        pack_uint(packer, value);
}

static void encode_fields(msgpack_packer *packer, const struct stasis_schema *schema,
                          uint32_t version, uint32_t field_count, const uint8_t *base);

/* Elements of a list are alike, so their fields are counted once. */
static void encode_list(msgpack_packer *packer, const struct stasis_field *field, uint32_t version,
                        const uint8_t *base)
{
    uint32_t count = stasis_field_get_count(field, base);
    uint32_t field_count = stasis_schema_count(field->sub, version);
    const uint8_t *at = stasis_field_at(field, base);

    msgpack_pack_array(packer, count);
    for (uint32_t i = 0; i < count; i++)
        encode_fields(packer, field->sub, version, field_count, at + (size_t)i * field->elem_size);
}

static void encode_field(msgpack_packer *packer, const struct stasis_field *field, uint32_t version,
                         const uint8_t *base)
{
    const uint8_t *at = stasis_field_at(field, base);
    uint32_t count;

    switch (field->kind) {
    case STASIS_KIND_INT:
        pack_int(packer, field, base, 0);
        break;
    case STASIS_KIND_INTS:
        msgpack_pack_array(packer, field->max);
        for (uint32_t i = 0; i < field->max; i++)
            pack_int(packer, field, base, i);
        break;
    case STASIS_KIND_BUF:
        count = stasis_field_get_count(field, base);
        msgpack_pack_bin(packer, count);
        if (count) /* behind a pointer, nothing is NULL */
            msgpack_pack_bin_body(packer, at, count);
        break;
    case STASIS_KIND_STR:
        pack_str(packer, (const char *)at);
        break;
    case STASIS_KIND_STRUCT:
        encode_fields(packer, field->sub, version, stasis_schema_count(field->sub, version), at);
        break;
    case STASIS_KIND_LIST:
        encode_list(packer, field, version, base);
        break;
    }
}

static void encode_fields(msgpack_packer *packer, const struct stasis_schema *schema,
                          uint32_t version, uint32_t field_count, const uint8_t *base)
{
    msgpack_pack_map(packer, field_count);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!stasis_field_in(&schema->fields[i], version))
            continue;
        pack_uint(packer, schema->fields[i].id);
        encode_field(packer, &schema->fields[i], version, base);
    }
}

void stasis_encode_array(struct stasis_buffer *buffer, uint32_t count)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, buffer, buffer_callback);
    msgpack_pack_array(&packer, count);
}

void stasis_encode_str(struct stasis_buffer *buffer, const char *str)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, buffer, buffer_callback);
    pack_str(&packer, str);
}

void stasis_encode_record(struct stasis_buffer *buffer, const struct stasis_schema *schema,
                          uint32_t version, const char *instance, const void *state,
                          size_t *ret_fields_at)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, buffer, buffer_callback);
    msgpack_pack_array(&packer, STASIS_RECORD_PARTS);
    pack_str(&packer, schema->type);
    pack_str(&packer, instance);
    msgpack_pack_uint32(&packer, version);
    msgpack_pack_uint8(&packer, schema->optional ? STASIS_RECORD_OPTIONAL : 0);
    *ret_fields_at = buffer->len;
    encode_fields(&packer, schema, version, stasis_schema_count(schema, version), state);
}
