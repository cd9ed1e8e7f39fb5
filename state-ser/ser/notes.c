/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The section is an array of pairs of strings, in ascending order of the keys.
 */
#include "stasis/notes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "stasis/field.h"

#define NOTE_PARTS 2

static_assert(STASIS_NOTE_KEY_MAX == STASIS_TYPE_MAX, "a key is a name as that of a record");

struct entry {
    char key[STASIS_NOTE_KEY_MAX + 1];
    char value[];
};

struct stasis_notes {
    struct entry *entries[STASIS_NOTES_MAX];
    size_t count;
};

struct stasis_notes *stasis_notes_new(void)
{
    return calloc(1, sizeof(struct stasis_notes));
}

void stasis_notes_free(struct stasis_notes *notes)
{
    if (!notes)
        return;
    for (size_t i = 0; i < notes->count; i++)
        free(notes->entries[i]);
    free(notes);
}

static struct entry *entry_new(const char *key, size_t key_len, const char *value, size_t len)
{
    struct entry *entry = calloc(1, sizeof(*entry) + len + 1);

    if (entry) {
        memcpy(entry->key, key, key_len);
        memcpy(entry->value, value, len);
    }
    return entry;
}

static bool is_value(const char *value, size_t len)
{
    return len <= STASIS_NOTE_VALUE_MAX && stasis_utf8_valid(value, len);
}

/* Index of the first note whose key is not below this one. */
static size_t place_of(const struct stasis_notes *notes, const char *key)
{
    size_t i = 0;

    while (i < notes->count && strcmp(notes->entries[i]->key, key) < 0)
        i++;
    return i;
}

static bool is_at(const struct stasis_notes *notes, size_t i, const char *key)
{
    return i < notes->count && !strcmp(notes->entries[i]->key, key);
}

static void insert(struct stasis_notes *notes, size_t at, struct entry *entry)
{
    memmove(&notes->entries[at + 1], &notes->entries[at],
            (notes->count - at) * sizeof(struct entry *));
    notes->entries[at] = entry;
    notes->count++;
}

static void remove_at(struct stasis_notes *notes, size_t at)
{
    free(notes->entries[at]);
    notes->count--;
    memmove(&notes->entries[at], &notes->entries[at + 1],
            (notes->count - at) * sizeof(struct entry *));
}

static int check(const char *key, const char *value, struct stasis_error *err)
{
    if (!stasis_is_name(key, strlen(key)))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "\"%.60s\" cannot be the key of a note: give 1 to %u characters of a-z, "
                           "0-9, '.', '_' and '-'",
                           key, STASIS_NOTE_KEY_MAX);
    if (value && !is_value(value, strlen(value)))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "the value of the note %s has more than %u bytes, is not UTF-8, or has "
                           "control characters",
                           key, STASIS_NOTE_VALUE_MAX);
    return 0;
}

int stasis_notes_set(struct stasis_notes *notes, const char *key, const char *value,
                     struct stasis_error *err)
{
    size_t at = place_of(notes, key);
    bool exists = is_at(notes, at, key);
    struct entry *entry;
    int rc = check(key, value, err);

    if (rc)
        return rc;
    if (!value) {
        if (exists)
            remove_at(notes, at);
        return 0;
    }
    if (!exists && notes->count == STASIS_NOTES_MAX)
        return stasis_fail(err, STASIS_ERR_FULL, "no room for the note %s: there are %u", key,
                           STASIS_NOTES_MAX);
    entry = entry_new(key, strlen(key), value, strlen(value));
    if (!entry)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the note %s", key);
    if (exists)
        remove_at(notes, at);
    insert(notes, at, entry);
    return 0;
}

int stasis_notes_copy(const struct stasis_notes *from, struct stasis_notes *to,
                      struct stasis_error *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < from->count; i++)
        rc = stasis_notes_set(to, from->entries[i]->key, from->entries[i]->value, err);
    return rc;
}

const char *stasis_notes_get(const struct stasis_notes *notes, const char *key)
{
    size_t at = place_of(notes, key);

    return is_at(notes, at, key) ? notes->entries[at]->value : NULL;
}

size_t stasis_notes_count(const struct stasis_notes *notes)
{
    return notes->count;
}

struct stasis_note stasis_notes_at(const struct stasis_notes *notes, size_t index)
{
    assert(index < notes->count);
    return (struct stasis_note){notes->entries[index]->key, notes->entries[index]->value};
}

int stasis_notes_encode(const struct stasis_notes *notes, uint8_t **ret_bytes, size_t *ret_len,
                        struct stasis_error *err)
{
    struct stasis_buffer buffer = {0};

    stasis_encode_array(&buffer, (uint32_t)notes->count);
    for (size_t i = 0; i < notes->count; i++) {
        stasis_encode_array(&buffer, NOTE_PARTS);
        stasis_encode_str(&buffer, notes->entries[i]->key);
        stasis_encode_str(&buffer, notes->entries[i]->value);
    }
    if (buffer.failed) {
        stasis_buffer_fini(&buffer);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the notes");
    }
    *ret_bytes = buffer.data;
    *ret_len = buffer.len;
    return 0;
}

/* Appends the note at the cursor, or refuses it. */
static int parse_note(struct stasis_reader *reader, struct stasis_notes *notes,
                      struct stasis_error *err)
{
    uint32_t parts = stasis_reader_array(reader);
    const char *key;
    const char *value;
    size_t key_len = stasis_reader_str(reader, &key);
    size_t len = stasis_reader_str(reader, &value);
    struct entry *entry;

    if (reader->fault)
        return 0;
    if (parts != NOTE_PARTS)
        stasis_reader_refuse(reader, "it is not a pair");
    else if (!stasis_is_name(key, key_len))
        stasis_reader_refuse(reader, "its key is empty, too long, or not of a-z, 0-9, . _ -");
    else if (!is_value(value, len))
        stasis_reader_refuse(reader, "its value is too long, not UTF-8, or has control characters");
    if (reader->fault)
        return 0;
    entry = entry_new(key, key_len, value, len);
    if (!entry)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the notes");
    if (place_of(notes, entry->key) == notes->count) {
        insert(notes, notes->count, entry);
        return 0;
    }
    free(entry);
    stasis_reader_refuse(reader, "its key is not above the one before");
    return 0;
}

static int parse_all(struct stasis_reader *reader, struct stasis_notes *notes,
                     struct stasis_error *err)
{
    uint32_t count = stasis_reader_array(reader);
    int rc = 0;

    if (count > STASIS_NOTES_MAX)
        stasis_reader_refuse(reader, "too many notes");
    for (uint32_t i = 0; !rc && i < count && !reader->fault; i++)
        rc = parse_note(reader, notes, err);
    if (!rc && !reader->fault && reader->pos != reader->end)
        stasis_reader_refuse(reader, "bytes behind the last note");
    if (!rc && reader->fault)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "notes section, note %zu: %s", notes->count,
                         reader->fault);
    return rc;
}

int stasis_notes_parse(const uint8_t *bytes, size_t len, struct stasis_notes **ret_notes,
                       struct stasis_error *err)
{
    struct stasis_notes *notes = stasis_notes_new();
    struct stasis_reader reader;
    int rc;

    if (!notes)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the notes");
    stasis_reader_init(&reader, bytes, len);
    rc = parse_all(&reader, notes, err);
    if (rc) {
        stasis_notes_free(notes);
        return rc;
    }
    *ret_notes = notes;
    return 0;
}
