/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * msgpack to states. The table drives: rows are in the order of their ids, so each field must stand
 * exactly where its row is. decode_map() calls itself along the nesting of the lists
 * (STASIS_SCHEMA_DEPTH_MAX), never along the input.
 */
#include "encoding.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"

struct step {
    const struct stasis_field *field;
    uint32_t index;
};

struct decoder {
    struct stasis_reader *reader;
    uint32_t version;
    bool sparse;    /* what no field writes stays as it was found */
    uint64_t bound; /* of the field being read: its mask or maximum in that version */
    bool no_memory; /* for what a pointer points to; the reader's fault is set too */
    unsigned depth;
    struct step path[STASIS_SCHEMA_DEPTH_MAX + 1]; /* where we are, for the message */
    char why[128];                                 /* what the reader's fault cannot say */
};

STASIS_PRINTF(2, 3) static void refuse(struct decoder *decoder, const char *fmt, ...)
{
    va_list args;

    if (decoder->reader->fault)
        return;
    va_start(args, fmt);
    vsnprintf(decoder->why, sizeof(decoder->why), fmt, args);
    va_end(args);
    stasis_reader_refuse(decoder->reader, decoder->why);
}

static void decode_int(struct decoder *decoder, const struct stasis_field *field, uint8_t *base,
                       uint32_t index)
{
    uint64_t value = field->is_signed ? (uint64_t)stasis_reader_int(decoder->reader)
                                      : stasis_reader_uint(decoder->reader);

    /* The masks of an unsigned field fit its type (stasis_schema_check()); that of a signed one may
     * be -1. */
    if (value & ~decoder->bound)
        refuse(decoder, "0x%" PRIx64 " is outside its mask 0x%" PRIx64, value, decoder->bound);
    else if (field->is_signed && !stasis_field_fits(field, value))
        refuse(decoder, "%" PRId64 " is outside the %" PRIu32 " bits of its type", (int64_t)value,
               8 * field->elem_size);
    else
        stasis_field_set_int(field, base, index, value);
}

static void decode_ints(struct decoder *decoder, const struct stasis_field *field, uint8_t *base)
{
    uint32_t count = stasis_reader_array(decoder->reader);

    if (count != field->max)
        refuse(decoder, "%" PRIu32 " elements, must be %" PRIu32, count, field->max);
    for (uint32_t i = 0; i < field->max && !decoder->reader->fault; i++)
        decode_int(decoder, field, base, i);
}

/* Memory for the elements of a field that is a pointer; the count says how many it holds. NULL for
 * none, and on a fault. */
static void allocate(struct decoder *decoder, const struct stasis_field *field, uint8_t *base,
                     uint32_t count, size_t size)
{
    void *target = count ? calloc(count, size) : NULL;

    if (count && !target) {
        decoder->no_memory = true;
        stasis_reader_refuse(decoder->reader, "out of memory");
        return;
    }
    stasis_field_set_pointer(field, base, target);
}

static void decode_buf(struct decoder *decoder, const struct stasis_field *field, uint8_t *base)
{
    const uint8_t *bytes;
    size_t len = stasis_reader_bin(decoder->reader, &bytes);

    if (len > decoder->bound)
        refuse(decoder, "%zu bytes, at most %" PRIu64, len, decoder->bound);
    else if (field->is_pointer)
        allocate(decoder, field, base, (uint32_t)len, 1);
    if (decoder->reader->fault)
        return;
    if (len)
        memcpy(stasis_field_at(field, base), bytes, len);
    stasis_field_set_count(field, base, (uint32_t)len);
}

static void decode_str(struct decoder *decoder, const struct stasis_field *field, uint8_t *base)
{
    const char *str;
    size_t len = stasis_reader_str(decoder->reader, &str);

    if (len > decoder->bound) {
        refuse(decoder, "%zu bytes, at most %" PRIu64, len, decoder->bound);
    } else if (!stasis_utf8_valid(str, len)) {
        refuse(decoder, "not UTF-8, or with control characters");
    } else {
        if (!decoder->sparse)
            memset(base + field->offset, 0, (size_t)field->max + 1); /* a default may stand there */
        base[field->offset + len] = '\0';
        if (len)
            memcpy(base + field->offset, str, len);
    }
}

static void decode_map(struct decoder *decoder, const struct stasis_schema *schema, uint32_t want,
                       uint8_t *base);

/* One level down and back, to a state of `want` fields; on a fault `depth` stays where it was
 * found. */
static void decode_nested(struct decoder *decoder, const struct stasis_field *field, uint32_t want,
                          uint8_t *base, uint32_t index)
{
    decoder->path[decoder->depth].index = index;
    decoder->depth++;
    assert(decoder->depth <= STASIS_SCHEMA_DEPTH_MAX);
    decode_map(decoder, field->sub, want,
               (uint8_t *)stasis_field_at(field, base) + (size_t)index * field->elem_size);
    if (!decoder->reader->fault)
        decoder->depth--;
}

/* Elements of a list are alike, so their fields are counted once. */
static void decode_list(struct decoder *decoder, const struct stasis_field *field, uint8_t *base)
{
    uint32_t want = stasis_schema_count(field->sub, decoder->version);
    uint32_t count = stasis_reader_array(decoder->reader);

    if (field->is_fixed && count != field->max)
        refuse(decoder, "%" PRIu32 " elements, must be %" PRIu32, count, field->max);
    else if (count > decoder->bound)
        refuse(decoder, "%" PRIu32 " elements, at most %" PRIu64, count, decoder->bound);
    else if (field->is_pointer)
        allocate(decoder, field, base, count, field->elem_size);
    if (decoder->reader->fault)
        return;
    stasis_field_set_count(field, base, count);
    for (uint32_t i = 0; i < count && !decoder->reader->fault; i++)
        decode_nested(decoder, field, want, base, i);
}

static void decode_field(struct decoder *decoder, const struct stasis_field *field, uint8_t *base)
{
    switch (field->kind) {
    case STASIS_KIND_INT:
        decode_int(decoder, field, base, 0);
        break;
    case STASIS_KIND_INTS:
        decode_ints(decoder, field, base);
        break;
    case STASIS_KIND_BUF:
        decode_buf(decoder, field, base);
        break;
    case STASIS_KIND_STR:
        decode_str(decoder, field, base);
        break;
    case STASIS_KIND_STRUCT:
        decode_nested(decoder, field, stasis_schema_count(field->sub, decoder->version), base, 0);
        break;
    case STASIS_KIND_LIST:
        decode_list(decoder, field, base);
        break;
    }
}

static uint64_t bound_of(const struct stasis_field *field)
{
    return field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS ? field->mask
                                                                             : field->max;
}

static void decode_members(struct decoder *decoder, const struct stasis_schema *schema,
                           uint8_t *base)
{
    struct step *step = &decoder->path[decoder->depth];
    bool has_history = schema->history && schema->history->before;

    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct stasis_field *field = &schema->fields[i];
        uint64_t id;

        if (!stasis_field_in(field, decoder->version))
            continue;
        step->field = field;
        decoder->bound =
            has_history ? stasis_field_bound(schema, field, decoder->version) : bound_of(field);
        id = stasis_reader_uint(decoder->reader);
        if (id != field->id)
            refuse(decoder, "id %" PRIu64 " where id %u is expected", id, field->id);
        else
            decode_field(decoder, field, base);
        if (decoder->reader->fault)
            return;
    }
}

/* Reads one map of `want` fields into *base, which is zero, unless sparse. */
static void decode_map(struct decoder *decoder, const struct stasis_schema *schema, uint32_t want,
                       uint8_t *base)
{
    uint32_t count = stasis_reader_map(decoder->reader);

    decoder->path[decoder->depth].field = NULL;
    if (count != want)
        refuse(decoder, "%" PRIu32 " fields, version %" PRIu32 " has %" PRIu32, count,
               decoder->version, want);
    if (decoder->reader->fault)
        return;
    if (want != schema->field_count)
        stasis_state_init(schema, base); /* fields the version does not have keep their default */
    decode_members(decoder, schema, base);
}

/* "record stasis.serial com1, field rx_fifo: 65 bytes, at most 64" */
static int fail_at_path(const struct decoder *decoder, const struct stasis_record *record,
                        struct stasis_error *err)
{
    char path[192] = "";
    size_t used = 0;

    for (unsigned i = 0; i <= decoder->depth && used < sizeof(path); i++) {
        const struct stasis_field *field = decoder->path[i].field;

        if (!field)
            break;
        used += (size_t)snprintf(path + used, sizeof(path) - used, "%s%s", i ? "." : ", field ",
                                 field->name);
        if (field->kind == STASIS_KIND_LIST && i < decoder->depth && used < sizeof(path))
            used += (size_t)snprintf(path + used, sizeof(path) - used, "[%" PRIu32 "]",
                                     decoder->path[i].index);
    }
    return stasis_fail(err, decoder->no_memory ? STASIS_ERR_NOMEM : STASIS_ERR_CORRUPT,
                       "record %s %s%s: %s", record->type, record->instance, path,
                       decoder->reader->fault);
}

/* By what came with the file nothing was allocated, and the rest of the state may be anything. */
static void free_decoded(const struct decoder *decoder, const struct stasis_schema *schema,
                         void *state)
{
    if (!decoder->sparse)
        stasis_state_fini(schema, state);
}

int stasis_decode_fields(struct stasis_reader *reader, const struct stasis_record *record,
                         const struct stasis_schema *schema, void *scratch,
                         struct stasis_error *err)
{
    struct decoder decoder = {
        .reader = reader, .version = record->version, .sparse = record->embedded};
    struct stasis_error inner;

    if (record->version > schema->version)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "record %s %s has version %" PRIu32
                           ", this release reads up to %u: use the program that wrote it",
                           record->type, record->instance, record->version, schema->version);
    if (!record->embedded)
        memset(scratch, 0, schema->size);
    decode_map(&decoder, schema, stasis_schema_count(schema, record->version), scratch);
    if (reader->fault) {
        int rc = fail_at_path(&decoder, record, err);

        reader->fault = "refused"; /* its text may be in our frame */
        free_decoded(&decoder, schema, scratch);
        return rc;
    }
    stasis_migrations_up(schema, record->version, scratch);
    if (!stasis_state_check(schema, scratch, &inner))
        return 0;
    free_decoded(&decoder, schema, scratch);
    return stasis_fail(err, STASIS_ERR_CORRUPT, "record %s %s: %s", record->type, record->instance,
                       inner.msg);
}
