/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Between records.c and the walkers: one record to bytes and back.
 *
 * A record is an array of five: type, instance, version, flags, and a map from field id to value.
 */
#ifndef STASIS_SER_CODEC_H
#define STASIS_SER_CODEC_H

#include "reader.h"
#include "stasis/ser.h"

#define STASIS_RECORD_PARTS    5
#define STASIS_RECORD_OPTIONAL 1u /* the only flag */

/* Nesting that is accepted in records of a type we do not know. */
#define STASIS_UNKNOWN_DEPTH_MAX 8

/* Whether a reader takes what is written of the schema: stasis_schema_check(), but nothing for the
 * schemas of stasis_schema_all(). */
STASIS_MUST_CHECK int stasis_check_schema(const struct stasis_schema *schema,
                                          struct stasis_error *err);

/* [a-z0-9._-], 1 to STASIS_TYPE_MAX: sorts alike everywhere, and can be shown and typed. */
bool stasis_is_name(const char *name, size_t len);

/* Inserts a copy of the record, whose map begins at fields_at of its bytes, at `index`; the caller
 * has checked order and bounds. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_records_insert(struct stasis_records *set, size_t index,
                                            const struct stasis_record *record,
                                            const uint8_t *bytes, size_t len, size_t fields_at,
                                            struct stasis_error *err);

/* Appends a copy of the record at `index`, which sorts behind all that are in `to`. */
STASIS_MUST_CHECK int stasis_records_copy(const struct stasis_records *from, size_t index,
                                          struct stasis_records *to, struct stasis_error *err);

/* Grows as msgpack-c writes into it; `failed` sticks when memory is short. */
struct stasis_buffer {
    uint8_t *data;
    size_t len;
    size_t size;
    bool failed;
};

void stasis_buffer_fini(struct stasis_buffer *buffer);
void stasis_buffer_write(struct stasis_buffer *buffer, const void *bytes, size_t len);
void stasis_encode_array(struct stasis_buffer *buffer, uint32_t count);
void stasis_encode_str(struct stasis_buffer *buffer, const char *str);

/* Appends a whole record in that version, whose bounds the state is within; *ret_fields_at is the
 * offset in the buffer where its map begins. */
void stasis_encode_record(struct stasis_buffer *buffer, const struct stasis_schema *schema,
                          uint32_t version, const char *instance, const void *state,
                          size_t *ret_fields_at);

/* How many of its fields are on the wire in that version of the record. */
uint32_t stasis_schema_count(const struct stasis_schema *schema, uint32_t version);

/* Takes *state from that version to the schema's own; and back. */
void stasis_migrations_up(const struct stasis_schema *schema, uint32_t version, void *state);
void stasis_migrations_down(const struct stasis_schema *schema, uint32_t version, void *state);

/* Makes *state one that the version can say, as far as steps do not: what it lacks becomes default,
 * what it bounds is cut. Each loss is told to `dropped` ("field.name 0x12"); returns their number.
 */
typedef void stasis_dropped_fn(void *ctx, const char *what);
unsigned stasis_state_downgrade(const struct stasis_schema *schema, uint32_t version, void *state,
                                stasis_dropped_fn *dropped, void *ctx);

/* Reads the map at the cursor into *scratch (schema->size bytes; undefined on failure), takes it
 * to the schema's version and checks it. Of the record, type, instance, version and embedded are
 * used. Of a embedded one only what the record says is written, and nothing cleared: every field is
 * in it, and a hostile schema may describe 4 MiB for each record of a few bytes.
 * What the pointers of its rows point to is the caller's after success, see stasis_state_fini().
 * STASIS_ERR_VERSION, STASIS_ERR_NOMEM, or STASIS_ERR_CORRUPT with the place in words. */
STASIS_MUST_CHECK int stasis_decode_fields(struct stasis_reader *reader,
                                           const struct stasis_record *record,
                                           const struct stasis_schema *schema, void *scratch,
                                           struct stasis_error *err);

/* Walks the map at the cursor without a schema: canonical form, ascending ids, bounded depth, else
 * reader->fault. Shown on `json` if that is not NULL. */
void stasis_unknown_walk(struct stasis_reader *reader, struct stasis_json *json);

#endif
