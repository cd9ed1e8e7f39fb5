/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A set of records: an array of pointers in canonical order, each to one entry that owns the names
 * and the bytes of its record.
 */
#include "encoding.h"
#include "stasis/schema_set.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* 0xdd and four bytes: the longest head of the section's array. */
#define HEAD_MAX 5

struct entry {
    struct stasis_record record; /* its pointers point below */
    char type[STASIS_TYPE_MAX + 1];
    char instance[STASIS_TYPE_MAX + 1];
    bool schema_checked;
    size_t len;
    uint8_t bytes[]; /* the whole record */
};

struct stasis_records {
    struct entry **entries;
    size_t count;
    size_t size;
    size_t bytes; /* of all entries */
};

struct stasis_records *stasis_records_new(void)
{
    return calloc(1, sizeof(struct stasis_records));
}

void stasis_records_free(struct stasis_records *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        free(set->entries[i]);
    free(set->entries);
    free(set);
}

bool stasis_is_name(const char *name, size_t len)
{
    if (!len || len > STASIS_TYPE_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static int compare(const struct entry *entry, const char *type, const char *instance)
{
    int order = strcmp(entry->type, type);

    return order ? order : strcmp(entry->instance, instance);
}

/* Index of the first record that is not before (type, instance). */
static size_t lower_bound(const struct stasis_records *set, const char *type, const char *instance)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(set->entries[middle], type, instance) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Copies the record and its bytes, of which the map begins at fields_at. */
static struct entry *entry_new(const struct stasis_record *record, const uint8_t *bytes, size_t len,
                               size_t fields_at)
{
    struct entry *entry = malloc(sizeof(*entry) + len);

    if (!entry)
        return NULL;
    entry->record = *record;
    memcpy(entry->type, record->type, strlen(record->type) + 1);
    memcpy(entry->instance, record->instance, strlen(record->instance) + 1);
    memcpy(entry->bytes, bytes, len);
    entry->len = len;
    entry->schema_checked = false;
    entry->record.type = entry->type;
    entry->record.instance = entry->instance;
    entry->record.fields = entry->bytes + fields_at;
    entry->record.fields_len = len - fields_at;
    return entry;
}

static bool make_room(struct stasis_records *set)
{
    size_t size = set->size ? 2 * set->size : 32;
    struct entry **entries;

    if (set->count < set->size)
        return true;
    entries = realloc(set->entries, size * sizeof(struct entry *));
    if (!entries)
        return false;
    set->entries = entries;
    set->size = size;
    return true;
}

static int no_memory(const struct stasis_record *record, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "record %s %s: out of memory", record->type,
                       record->instance);
}

/* The entry belongs to the set then, or is freed. */
static int insert(struct stasis_records *set, size_t index, struct entry *entry,
                  struct stasis_error *err)
{
    if (!make_room(set)) {
        int rc = no_memory(&entry->record, err);

        free(entry);
        return rc;
    }
    memmove(&set->entries[index + 1], &set->entries[index],
            (set->count - index) * sizeof(struct entry *));
    set->entries[index] = entry;
    set->count++;
    set->bytes += entry->len;
    return 0;
}

int stasis_records_insert(struct stasis_records *set, size_t index,
                          const struct stasis_record *record, const uint8_t *bytes, size_t len,
                          size_t fields_at, struct stasis_error *err)
{
    struct entry *entry = entry_new(record, bytes, len, fields_at);

    return entry ? insert(set, index, entry, err) : no_memory(record, err);
}

int stasis_records_copy(const struct stasis_records *from, size_t index, struct stasis_records *to,
                        struct stasis_error *err)
{
    const struct entry *entry = from->entries[index];

    return stasis_records_insert(to, to->count, &entry->record, entry->bytes, entry->len,
                                 entry->len - entry->record.fields_len, err);
}

/* Whether the record's bytes are what the schema says. */
static bool agrees(const struct stasis_record *record, const struct stasis_schema *schema,
                   void *scratch)
{
    struct stasis_reader reader;

    stasis_reader_init(&reader, record->fields, record->fields_len);
    return !stasis_decode_fields(&reader, record, schema, scratch, NULL) &&
           reader.pos == reader.end;
}

int stasis_records_use_embedded_schemas(struct stasis_records *records,
                                        const struct stasis_schema_set *set,
                                        struct stasis_error *err)
{
    for (size_t i = 0; i < records->count; i++) {
        struct stasis_record *record = &records->entries[i]->record;
        const struct stasis_schema *schema;
        void *scratch;

        if (record->schema)
            continue;
        schema = stasis_schema_set_find(set, record->type, record->version);
        if (!schema)
            continue;
        scratch = malloc(schema->size);
        if (!scratch)
            return stasis_fail(err, STASIS_ERR_NOMEM, "record %s: out of memory", record->type);
        record->embedded = true;
        record->embedded = agrees(record, schema, scratch);
        if (record->embedded)
            record->schema = schema;
        free(scratch);
    }
    return 0;
}

int stasis_check_schema(const struct stasis_schema *schema, struct stasis_error *err)
{
    /* Our own are checked when they are compiled and by the tests. */
    if (schema->type && stasis_schema_find(schema->type) == schema)
        return 0;
    return stasis_schema_check(schema, err);
}

/* Whether a record of this schema was added before: records of a type are neighbours. */
static bool was_checked(const struct stasis_records *set, const struct stasis_schema *schema,
                        size_t index)
{
    for (size_t i = index ? index - 1 : 0; i <= index && i < set->count; i++) {
        if (set->entries[i]->record.schema == schema && set->entries[i]->schema_checked)
            return true;
    }
    return false;
}

static int not_found(const struct stasis_schema *schema, const char *instance,
                     struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOT_FOUND, "there is no record %s%s%s", schema->type,
                       instance ? " " : "", instance ? instance : "");
}

static int check_names(const struct stasis_schema *schema, const char *instance,
                       struct stasis_error *err)
{
    if (!schema->type ||
        !stasis_is_name(schema->type, strnlen(schema->type, STASIS_TYPE_MAX + 1)) ||
        !stasis_is_name(instance, strnlen(instance, STASIS_TYPE_MAX + 1)))
        return stasis_fail(
            err, STASIS_ERR_RANGE, "record %s \"%s\": a name must be 1 to %d of a-z 0-9 . _ -",
            schema->type ? schema->type : "without a type", instance, STASIS_TYPE_MAX);
    return 0;
}

static int check_state(const struct stasis_records *set, const struct stasis_schema *schema,
                       const char *instance, const void *state, size_t index,
                       struct stasis_error *err)
{
    int rc = was_checked(set, schema, index) ? 0 : stasis_check_schema(schema, err);

    if (rc)
        return rc;
    rc = stasis_state_check(schema, state, err);
    return rc ? stasis_wrap(err, rc, "record %s %s", schema->type, instance) : 0;
}

/* The state, checked and encoded, at its index in the set, where `other` bytes are besides it. */
static int make_entry(const struct stasis_records *set, const struct stasis_schema *schema,
                      const char *instance, const void *state, size_t index, size_t other,
                      struct entry **ret_entry, struct stasis_error *err)
{
    const struct stasis_record record = {.type = schema->type,
                                         .instance = instance,
                                         .version = schema->version,
                                         .optional = schema->optional,
                                         .schema = schema};
    struct stasis_buffer buffer = {0};
    struct entry *entry = NULL;
    size_t fields_at;
    int rc = check_state(set, schema, instance, state, index, err);

    if (rc)
        return rc;
    stasis_encode_record(&buffer, schema, schema->version, instance, state, &fields_at);
    if (!buffer.failed && other + buffer.len > STASIS_STATE_MAX - HEAD_MAX) {
        rc = stasis_fail(err, STASIS_ERR_FULL, "record %s %s: more than %u bytes of state",
                         schema->type, instance, STASIS_STATE_MAX);
        goto out;
    }
    if (!buffer.failed)
        entry = entry_new(&record, buffer.data, buffer.len, fields_at);
    if (!entry) {
        rc = no_memory(&record, err);
        goto out;
    }
    entry->schema_checked = true;
    *ret_entry = entry;
out:
    stasis_buffer_fini(&buffer);
    return rc;
}

int stasis_records_add(struct stasis_records *set, const struct stasis_schema *schema,
                       const char *instance, const void *state, struct stasis_error *err)
{
    size_t index = lower_bound(set, schema->type ? schema->type : "", instance);
    struct entry *entry = NULL;
    int rc = check_names(schema, instance, err);

    if (rc)
        return rc;
    if (index < set->count && !compare(set->entries[index], schema->type, instance))
        return stasis_fail(err, STASIS_ERR_EXISTS, "record %s %s is there already", schema->type,
                           instance);
    if (set->count == STASIS_RECORDS_MAX)
        return stasis_fail(err, STASIS_ERR_FULL, "more than %d records", STASIS_RECORDS_MAX);
    rc = make_entry(set, schema, instance, state, index, set->bytes, &entry, err);
    return rc ? rc : insert(set, index, entry, err);
}

int stasis_records_replace(struct stasis_records *set, const struct stasis_schema *schema,
                           const char *instance, const void *state, struct stasis_error *err)
{
    struct entry *entry = NULL;
    size_t index;
    int rc = check_names(schema, instance, err);

    if (rc)
        return rc;
    index = stasis_records_find(set, schema->type, instance);
    if (index == SIZE_MAX)
        return not_found(schema, instance, err);
    rc = make_entry(set, schema, instance, state, index, set->bytes - set->entries[index]->len,
                    &entry, err);
    if (rc)
        return rc;
    set->bytes += entry->len - set->entries[index]->len;
    free(set->entries[index]);
    set->entries[index] = entry;
    return 0;
}

void stasis_records_remove(struct stasis_records *set, size_t index)
{
    struct entry *entry = set->entries[index];

    set->bytes -= entry->len;
    set->count--;
    memmove(&set->entries[index], &set->entries[index + 1],
            (set->count - index) * sizeof(struct entry *));
    free(entry);
}

size_t stasis_records_count(const struct stasis_records *set)
{
    return set->count;
}

struct stasis_record stasis_records_at(const struct stasis_records *set, size_t index)
{
    return set->entries[index]->record;
}

size_t stasis_records_find(const struct stasis_records *set, const char *type, const char *instance)
{
    size_t index = lower_bound(set, type, instance ? instance : "");

    if (index == set->count || strcmp(set->entries[index]->type, type) != 0)
        return SIZE_MAX;
    if (instance && strcmp(set->entries[index]->instance, instance) != 0)
        return SIZE_MAX;
    return index;
}

int stasis_records_get(const struct stasis_records *set, const struct stasis_schema *schema,
                       const char *instance, void *ret_state, struct stasis_error *err)
{
    size_t index = stasis_records_find(set, schema->type, instance);
    const struct stasis_record *record;
    struct stasis_reader reader;
    void *scratch;
    int rc;

    if (index == SIZE_MAX)
        return not_found(schema, instance, err);
    record = &set->entries[index]->record;
    if (record->embedded && record->schema == schema) {
        stasis_reader_init(&reader, record->fields, record->fields_len);
        return stasis_decode_fields(&reader, record, schema, ret_state, err); /* it agrees */
    }
    scratch = malloc(schema->size);
    if (!scratch)
        return stasis_fail(err, STASIS_ERR_NOMEM, "record %s: out of memory", schema->type);
    stasis_reader_init(&reader, record->fields, record->fields_len);
    rc = stasis_decode_fields(&reader, record, schema, scratch, err);
    if (!rc)
        memcpy(ret_state, scratch, schema->size);
    free(scratch);
    return rc;
}

int stasis_records_encode(const struct stasis_records *set, uint8_t **ret_bytes, size_t *ret_len,
                          struct stasis_error *err)
{
    struct stasis_buffer buffer = {0};

    stasis_encode_array(&buffer, (uint32_t)set->count);
    for (size_t i = 0; i < set->count; i++)
        stasis_buffer_write(&buffer, set->entries[i]->bytes, set->entries[i]->len);
    if (buffer.failed ||
        buffer.len > STASIS_STATE_MAX) { /* a conversion may have made them longer */
        int rc = buffer.failed ? stasis_fail(err, STASIS_ERR_NOMEM, "state section: out of memory")
                               : stasis_fail(err, STASIS_ERR_FULL, "more than %u bytes of state",
                                             STASIS_STATE_MAX);
        stasis_buffer_fini(&buffer);
        return rc;
    }
    *ret_bytes = buffer.data;
    *ret_len = buffer.len;
    return 0;
}
