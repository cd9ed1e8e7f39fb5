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

/* [a-z0-9._-], 1 to STASIS_TYPE_MAX: sorts alike everywhere, and can be shown and typed. */
bool stasis_is_name(const char *name, size_t len);

/* Inserts a copy of the record, whose map begins at fields_at of its bytes, at `index`; the caller
 * has checked order and bounds. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_records_insert(struct stasis_records *set, size_t index,
                                            const struct stasis_record *record,
                                            const uint8_t *bytes, size_t len, size_t fields_at,
                                            struct stasis_error *err);

/* Grows as msgpack-c writes into it; `failed` sticks when memory is short. */
struct stasis_sink {
    uint8_t *data;
    size_t len;
    size_t size;
    bool failed;
};

void stasis_sink_fini(struct stasis_sink *sink);
void stasis_sink_write(struct stasis_sink *sink, const void *bytes, size_t len);
void stasis_encode_array(struct stasis_sink *sink, uint32_t count);

/* Appends a whole record; *ret_fields_at is the offset in the sink where its map begins. */
void stasis_encode_record(struct stasis_sink *sink, const struct stasis_schema *schema,
                          const char *instance, const void *state, size_t *ret_fields_at);

/* Reads the map at the cursor into *scratch (schema->size bytes; undefined on failure) and checks
 * the state. Of the record, type, instance and version are used. STASIS_ERR_VERSION, or
 * STASIS_ERR_CORRUPT with the place in words. */
STASIS_MUST_CHECK int stasis_decode_fields(struct stasis_reader *reader,
                                           const struct stasis_record *record,
                                           const struct stasis_schema *schema, void *scratch,
                                           struct stasis_error *err);

/* Walks the map at the cursor without a schema: canonical form, ascending ids, bounded depth, else
 * reader->fault. Shown on `json` if that is not NULL. */
void stasis_unknown_walk(struct stasis_reader *reader, struct stasis_json *json);

#endif
