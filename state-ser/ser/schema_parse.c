/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * msgpack to schemas. What comes out are tables like those of the lists, for structs that only this
 * file has laid out, so that decoder and JSON need not know where a schema came from.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "schema_wire.h"
#include "stasis/field.h"
#include "stasis/schema_set.h"

struct stasis_schema_set {
    struct stasis_schema *schemas;
    uint8_t *depths; /* of nesting below each */
    uint32_t count;
    char *text; /* every string, each with a NUL behind it */
    size_t text_len;
};

struct parser {
    struct stasis_reader reader;
    struct stasis_schema_set *set;
    char why[160];
};

STASIS_PRINTF(2, 3) static void refuse(struct parser *parser, const char *fmt, ...)
{
    va_list args;

    if (parser->reader.fault)
        return;
    va_start(args, fmt);
    vsnprintf(parser->why, sizeof(parser->why), fmt, args);
    va_end(args);
    stasis_reader_refuse(&parser->reader, parser->why);
}

/* ---- parts ---- */

/* A copy with a NUL; there is room for all strings that the input can hold. */
static const char *keep(struct parser *parser, const char *str, size_t len)
{
    char *copy = parser->set->text + parser->set->text_len;

    if (len)
        memcpy(copy, str, len);
    copy[len] = '\0';
    parser->set->text_len += len + 1;
    return copy;
}

static const char *parse_text(struct parser *parser, size_t max, const char *what)
{
    const char *str;
    size_t len = stasis_reader_str(&parser->reader, &str);

    if (len > max)
        refuse(parser, "%s of %zu bytes, at most %zu", what, len, max);
    else if (!stasis_utf8_valid(str, len))
        refuse(parser, "%s is not UTF-8, or has control characters", what);
    return parser->reader.fault ? "" : keep(parser, str, len);
}

/* Letters, digits and _: it is a key of JSON and a word in messages. */
static const char *parse_field_name(struct parser *parser)
{
    const char *name = parse_text(parser, STASIS_SCHEMA_NAME_MAX, "a field's name");
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    if (!name[0] || name[len])
        refuse(parser, "a field's name must be letters, digits and _");
    return name;
}

static uint64_t parse_uint(struct parser *parser, uint64_t min, uint64_t max, const char *what)
{
    uint64_t value = stasis_reader_uint(&parser->reader);

    if (value < min || value > max)
        refuse(parser, "%s is %" PRIu64 ", must be %" PRIu64 " to %" PRIu64, what, value, min, max);
    return value;
}

/* ---- layout ---- */

/* Gives the next `size` bytes of the struct, aligned for any type. */
static size_t place(struct parser *parser, struct stasis_schema *schema, uint64_t size)
{
    size_t at = schema->size;

    if (size > STASIS_SCHEMA_ROOM_MAX - at) {
        refuse(parser, "%s would have more than %u bytes", schema->type, STASIS_SCHEMA_ROOM_MAX);
        return 0;
    }
    schema->size = (at + (size_t)size + 7) / 8 * 8;
    return at;
}

/* The factors are below 2^22 and 2^32. */
static void lay_out(struct parser *parser, struct stasis_schema *schema, struct stasis_field *field)
{
    uint64_t max = field->max;

    switch (field->kind) {
    case STASIS_KIND_INT:
    case STASIS_KIND_INTS:
    case STASIS_KIND_STRUCT:
        field->offset = place(parser, schema, max * field->elem_size);
        break;
    case STASIS_KIND_STR:
        field->offset = place(parser, schema, max + 1);
        break;
    case STASIS_KIND_BUF:
        field->count_offset = place(parser, schema, sizeof(uint32_t));
        field->offset = place(parser, schema, max);
        break;
    case STASIS_KIND_LIST:
        field->count_offset = place(parser, schema, sizeof(uint32_t));
        field->offset = place(parser, schema, max * field->elem_size);
        break;
    }
}

/* ---- fields ---- */

static void parse_kind(struct parser *parser, struct stasis_field *field)
{
    static const enum stasis_kind kinds[] = {
        [STASIS_SCHEMA_UNSIGNED] = STASIS_KIND_INT,   [STASIS_SCHEMA_SIGNED] = STASIS_KIND_INT,
        [STASIS_SCHEMA_UNSIGNEDS] = STASIS_KIND_INTS, [STASIS_SCHEMA_BYTES] = STASIS_KIND_BUF,
        [STASIS_SCHEMA_STRING] = STASIS_KIND_STR,     [STASIS_SCHEMA_STATE] = STASIS_KIND_STRUCT,
        [STASIS_SCHEMA_STATES] = STASIS_KIND_LIST,
    };
    uint64_t kind =
        parse_uint(parser, STASIS_SCHEMA_UNSIGNED, STASIS_SCHEMA_STATES, "a field's kind");

    if (parser->reader.fault)
        return;
    field->kind = kinds[kind];
    field->is_signed = kind == STASIS_SCHEMA_SIGNED;
}

static bool is_int(const struct stasis_field *field)
{
    return field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS;
}

static void parse_sizes(struct parser *parser, struct stasis_field *field)
{
    uint64_t size = stasis_reader_uint(&parser->reader);
    uint64_t max = stasis_reader_uint(&parser->reader);
    uint64_t mask = stasis_reader_uint(&parser->reader);
    bool power = size == 1 || size == 2 || size == 4 || size == 8;

    if (is_int(field) && (!power || (field->is_signed && size != 8)))
        refuse(parser, "an integer of %" PRIu64 " bytes", size);
    else if (field->kind == STASIS_KIND_BUF ? !size || size > max || max % size
                                            : !is_int(field) && size)
        refuse(parser, "field %s: a size that its kind does not have", field->name);
    if (max > STASIS_SCHEMA_ROOM_MAX || (field->kind != STASIS_KIND_BUF && !max) ||
        ((field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_STRUCT) && max != 1))
        refuse(parser, "field %s: maximum %" PRIu64, field->name, max);
    if (!is_int(field) ? mask : size < 8 && mask >> (8 * size))
        refuse(parser, "field %s: mask 0x%" PRIx64 " is wider than the field", field->name, mask);
    if (parser->reader.fault)
        return;
    field->elem_size = is_int(field) || field->kind == STASIS_KIND_BUF ? (uint32_t)size : 1;
    field->max = (uint32_t)max;
    field->mask = mask;
}

static void parse_default(struct parser *parser, struct stasis_field *field)
{
    if (field->kind == STASIS_KIND_STR) {
        field->default_str = parse_text(parser, field->max, "a default");
        return;
    }
    field->default_int = stasis_reader_uint(&parser->reader);
    if (field->kind == STASIS_KIND_INT ? field->default_int & ~field->mask : field->default_int)
        refuse(parser, "field %s: default 0x%" PRIx64 " is none it can have", field->name,
               field->default_int);
}

/* Only what stands before can be nested, so that nothing nests itself. */
static void parse_sub(struct parser *parser, struct stasis_field *field, uint8_t *depth)
{
    bool nests = field->kind == STASIS_KIND_STRUCT || field->kind == STASIS_KIND_LIST;
    uint64_t sub = parse_uint(parser, nests, nests ? parser->set->count : 0, "a nested state");

    if (parser->reader.fault || !nests)
        return;
    field->sub = &parser->set->schemas[sub - 1];
    field->elem_size = (uint32_t)field->sub->size;
    if (*depth < parser->set->depths[sub - 1] + 1)
        *depth = (uint8_t)(parser->set->depths[sub - 1] + 1);
    if (field->sub->version)
        refuse(parser, "field %s nests a record", field->name);
    if (*depth > STASIS_SCHEMA_DEPTH_MAX)
        refuse(parser, "field %s nests too deeply", field->name);
}

static void parse_field(struct parser *parser, struct stasis_schema *schema,
                        struct stasis_field *field, uint8_t *depth)
{
    uint64_t after = schema->field_count ? (field - 1)->id : 0;

    if (stasis_reader_array(&parser->reader) != STASIS_SCHEMA_FIELD_PARTS)
        refuse(parser, "a field must have %d parts", STASIS_SCHEMA_FIELD_PARTS);
    field->id = (uint16_t)parse_uint(parser, after + 1, UINT16_MAX, "a field's id");
    field->since = 1;
    field->name = parse_field_name(parser);
    parse_kind(parser, field);
    parse_sizes(parser, field);
    parse_default(parser, field);
    parse_sub(parser, field, depth);
    field->doc = parse_text(parser, STASIS_SCHEMA_DOC_MAX, "a field's text");
    if (!parser->reader.fault)
        lay_out(parser, schema, field);
    schema->field_count++;
}

/* ---- states ---- */

static const char *parse_type(struct parser *parser)
{
    const char *name = parse_text(parser, STASIS_TYPE_MAX, "a state's name");

    if (!stasis_is_name(name, strlen(name)))
        refuse(parser, "a state's name must be 1 to 32 of a-z 0-9 . _ -");
    return name;
}

static int parse_fields(struct parser *parser, struct stasis_schema *schema, uint8_t *depth,
                        struct stasis_error *err)
{
    uint32_t count = stasis_reader_array(&parser->reader); /* vouched for by the bytes left */
    struct stasis_field *fields;

    if (count > STASIS_SCHEMA_FIELDS_MAX)
        refuse(parser, "%s has %" PRIu32 " fields, at most %u", schema->type, count,
               STASIS_SCHEMA_FIELDS_MAX);
    if (parser->reader.fault)
        return 0;
    fields = calloc((size_t)count + 1, sizeof(*fields));
    if (!fields)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the schemas");
    schema->fields = fields;
    for (uint32_t i = 0; i < count && !parser->reader.fault; i++)
        parse_field(parser, schema, &fields[i], depth);
    return 0;
}

static int parse_state(struct parser *parser, struct stasis_error *err)
{
    struct stasis_schema_set *set = parser->set;
    struct stasis_schema *schema = &set->schemas[set->count];
    int rc;

    if (stasis_reader_array(&parser->reader) != STASIS_SCHEMA_STATE_PARTS)
        refuse(parser, "a state must have %d parts", STASIS_SCHEMA_STATE_PARTS);
    schema->type = parse_type(parser);
    schema->version = (uint16_t)parse_uint(parser, 0, UINT16_MAX, "a state's version");
    schema->doc = parse_text(parser, STASIS_SCHEMA_DOC_MAX, "a state's text");
    if (!parser->reader.fault && schema->version &&
        stasis_schema_set_find(set, schema->type, schema->version))
        refuse(parser, "%s is there twice", schema->type);
    rc = parse_fields(parser, schema, &set->depths[set->count], err);
    if (!schema->size)
        schema->size = 1;
    set->count++;
    return rc;
}

static int parse_all(struct parser *parser, struct stasis_error *err)
{
    uint32_t count = stasis_reader_array(&parser->reader);
    int rc = 0;

    if (count > STASIS_SCHEMA_STATES_MAX)
        refuse(parser, "%" PRIu32 " states, at most %u", count, STASIS_SCHEMA_STATES_MAX);
    for (uint32_t i = 0; !rc && i < count && !parser->reader.fault; i++)
        rc = parse_state(parser, err);
    if (!rc && parser->reader.pos != parser->reader.end)
        refuse(parser, "bytes behind the last state");
    if (!rc && parser->reader.fault)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "schema section, state %" PRIu32 ": %s",
                         parser->set->count, parser->reader.fault);
    return rc;
}

/* ---- the set ---- */

static struct stasis_schema_set *set_new(size_t len)
{
    struct stasis_schema_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->schemas = calloc(STASIS_SCHEMA_STATES_MAX, sizeof(*set->schemas));
    set->depths = calloc(STASIS_SCHEMA_STATES_MAX, 1);
    set->text = malloc(2 * len + 1); /* a string takes a byte of input at least */
    if (set->schemas && set->depths && set->text)
        return set;
    stasis_schema_set_free(set);
    return NULL;
}

void stasis_schema_set_free(struct stasis_schema_set *set)
{
    if (!set)
        return;
    for (uint32_t i = 0; set->schemas && i < STASIS_SCHEMA_STATES_MAX; i++)
        free((struct stasis_field *)(uintptr_t)set->schemas[i].fields);
    free(set->schemas);
    free(set->depths);
    free(set->text);
    free(set);
}

int stasis_schema_set_parse(const uint8_t *bytes, size_t len, struct stasis_schema_set **ret_set,
                            struct stasis_error *err)
{
    struct parser parser = {.set = NULL};
    int rc;

    if (len > STASIS_SCHEMA_SET_MAX)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "schema section: %zu bytes, at most %u", len,
                           STASIS_SCHEMA_SET_MAX);
    parser.set = set_new(len);
    stasis_reader_init(&parser.reader, bytes, len);
    rc = parser.set ? parse_all(&parser, err)
                    : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the schemas");
    if (!rc) {
        *ret_set = parser.set;
        parser.set = NULL;
    }
    stasis_schema_set_free(parser.set);
    return rc;
}

size_t stasis_schema_set_count(const struct stasis_schema_set *set)
{
    return set->count;
}

const struct stasis_schema *stasis_schema_set_at(const struct stasis_schema_set *set, size_t index)
{
    return &set->schemas[index];
}

const struct stasis_schema *stasis_schema_set_find(const struct stasis_schema_set *set,
                                                   const char *type, uint32_t version)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->schemas[i].version == version && !strcmp(set->schemas[i].type, type))
            return &set->schemas[i];
    }
    return NULL;
}
