/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Bytes of a state section to a set of records.
 *
 * Every record is decoded twice: here, where the state is thrown away and the bytes are kept, and
 * in stasis_records_get(). Here, so that all of a file is valid before a machine is touched; only
 * the bytes are kept, since a state may take 4 MiB. The second decode of a record by the same
 * schema cannot fail: stasis_decode_fields() depends on nothing but the bytes, the record's version
 * and the schema with its migrations and checks (pure functions), none of which changes. What
 * stasis_records_get() can still report is a record that is missing, no memory, or another schema
 * of the caller's.
 */
#include "encoding.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct stasis_reader reader;
    struct stasis_parse_opts opts;
    struct stasis_records *set;
    void *scratch; /* as large as the largest state */
};

static size_t largest(const struct stasis_schema *const *schemas, size_t count)
{
    size_t size = 1;

    for (size_t i = 0; i < count; i++) {
        if (schemas[i]->size > size)
            size = schemas[i]->size;
    }
    return size;
}

static void *scratch_new(const struct stasis_parse_opts *opts)
{
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);
    size_t ours = largest(all, count), theirs = largest(opts->schemas, opts->schema_count);

    return malloc(ours > theirs ? ours : theirs);
}

/* The schema by which this program reads the record, or NULL. */
static const struct stasis_schema *find_schema(const struct stasis_parse_opts *opts,
                                               const struct stasis_record *record)
{
    const struct stasis_schema *schema = NULL;

    for (size_t i = 0; i < opts->schema_count && !schema; i++) {
        if (!strcmp(opts->schemas[i]->type, record->type))
            schema = opts->schemas[i];
    }
    if (!schema)
        schema = stasis_schema_find(record->type);
    /* A wrong flag comes first, see check_head(). */
    if (schema && opts->tolerant && record->version > schema->version &&
        record->optional == schema->optional)
        return NULL;
    return schema;
}

static void parse_name(struct stasis_reader *reader, char ret_name[STASIS_TYPE_MAX + 1])
{
    const char *str;
    size_t len = stasis_reader_str(reader, &str);

    ret_name[0] = '\0';
    if (!stasis_is_name(str, len)) {
        stasis_reader_refuse(reader, "a name must be 1 to 32 of a-z 0-9 . _ -");
        return;
    }
    memcpy(ret_name, str, len);
    ret_name[len] = '\0';
}

/* What stands before the map of fields; returns the flags. type and instance have room for the
 * longest name. */
static uint64_t parse_head(struct stasis_reader *reader, struct stasis_record *record, char *type,
                           char *instance)
{
    uint64_t version, flags;

    if (stasis_reader_array(reader) != STASIS_RECORD_PARTS)
        stasis_reader_refuse(reader, "a record must have 5 parts");
    parse_name(reader, type);
    parse_name(reader, instance);
    version = stasis_reader_uint(reader);
    flags = stasis_reader_uint(reader);
    if (!version || version > UINT16_MAX)
        stasis_reader_refuse(reader, "a record's version must be 1 to 65535");
    record->version = (uint32_t)version;
    record->optional = flags & STASIS_RECORD_OPTIONAL;
    return flags;
}

/* Order, flags and type: what can be judged before the fields are read. */
static int check_head(const struct parser *parser, const struct stasis_record *record,
                      uint64_t flags, struct stasis_error *err)
{
    const struct stasis_records *set = parser->set;
    size_t count = stasis_records_count(set);

    if (count) {
        struct stasis_record last = stasis_records_at(set, count - 1);
        int order = strcmp(last.type, record->type);

        if (order > 0 || (order == 0 && strcmp(last.instance, record->instance) >= 0))
            return stasis_fail(err, STASIS_ERR_CORRUPT, "record %s %s does not sort after %s %s",
                               record->type, record->instance, last.type, last.instance);
    }
    if (flags & ~(uint64_t)STASIS_RECORD_OPTIONAL)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "record %s %s has flags 0x%" PRIx64
                           " that this release does not know: use the program that wrote it",
                           record->type, record->instance, flags);
    if (!record->schema && !record->optional && !parser->opts.tolerant)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "record %s %s is of a type that this release does not know: "
                           "use the program that wrote it",
                           record->type, record->instance);
    if (record->schema && record->schema->optional != record->optional)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "record %s %s: optional must be %d",
                           record->type, record->instance, record->schema->optional);
    return 0;
}

static int parse_fields(struct parser *parser, const struct stasis_record *record,
                        struct stasis_error *err)
{
    if (record->schema) {
        int rc =
            stasis_decode_fields(&parser->reader, record, record->schema, parser->scratch, err);

        if (!rc)
            stasis_state_fini(record->schema, parser->scratch);
        return rc;
    }
    stasis_unknown_walk(&parser->reader, NULL);
    if (parser->reader.fault)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "record %s %s: %s", record->type,
                           record->instance, parser->reader.fault);
    return 0;
}

static int parse_record(struct parser *parser, struct stasis_error *err)
{
    char type[STASIS_TYPE_MAX + 1], instance[STASIS_TYPE_MAX + 1];
    struct stasis_record record = {.type = type, .instance = instance};
    const uint8_t *begin = parser->reader.pos, *fields;
    size_t count = stasis_records_count(parser->set);
    uint64_t flags = parse_head(&parser->reader, &record, type, instance);
    int rc;

    if (parser->reader.fault)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "state section, record %zu: %s", count,
                           parser->reader.fault);
    record.schema = find_schema(&parser->opts, &record);
    rc = check_head(parser, &record, flags, err);
    if (rc)
        return rc;
    fields = parser->reader.pos;
    rc = parse_fields(parser, &record, err);
    if (rc)
        return rc;
    return stasis_records_insert(parser->set, count, &record, begin,
                                 (size_t)(parser->reader.pos - begin), (size_t)(fields - begin),
                                 err);
}

static int parse_section(struct parser *parser, struct stasis_error *err)
{
    uint32_t count = stasis_reader_array(&parser->reader);

    if (count > STASIS_RECORDS_MAX)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "state section: %" PRIu32 " records, at most %d", count,
                           STASIS_RECORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        int rc = parse_record(parser, err);

        if (rc)
            return rc;
    }
    if (parser->reader.pos != parser->reader.end)
        stasis_reader_refuse(&parser->reader, "bytes behind the last record");
    if (parser->reader.fault)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "state section: %s", parser->reader.fault);
    return 0;
}

static int parse(const uint8_t *bytes, size_t len, const struct stasis_parse_opts *opts,
                 struct stasis_records **ret_set, struct stasis_error *err)
{
    struct parser parser = {.opts = *opts};
    int rc;

    parser.set = stasis_records_new();
    parser.scratch = scratch_new(&parser.opts);
    stasis_reader_init(&parser.reader, bytes, len);
    if (!parser.set || !parser.scratch)
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "state section: out of memory");
    else if (len > STASIS_STATE_MAX)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "state section: %zu bytes, at most %u", len,
                         STASIS_STATE_MAX);
    else
        rc = parse_section(&parser, err);
    if (!rc) {
        *ret_set = parser.set;
        parser.set = NULL;
    }
    stasis_records_free(parser.set);
    free(parser.scratch);
    return rc;
}

int stasis_records_parse(const uint8_t *bytes, size_t len, const struct stasis_parse_opts *opts,
                         struct stasis_records **ret_set, struct stasis_error *err)
{
    struct stasis_parse_opts own = {.size = sizeof(own)};
    int rc;

    if (opts && opts->size != sizeof(*opts))
        return stasis_fail(err, STASIS_ERR_ARG, "parse options of %zu bytes, expected %zu",
                           opts->size, sizeof(*opts));
    if (opts)
        own = *opts;
    rc = parse(bytes, len, &own, ret_set, err);
    if (rc != STASIS_ERR_CORRUPT || !own.tolerant)
        return rc;
    /* A newer release may give records another form. What only such a reader can judge is not
     * corrupt: the first fault counts, and a tolerant parse has passed over some. */
    own.tolerant = false;
    return parse(bytes, len, &own, ret_set, err);
}
