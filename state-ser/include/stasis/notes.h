/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Notes: keys and values that travel in a snapshot, such as image=debian-12 or ticket=4711. They
 * are for people and their tools; no guest is restored by them. docs/snapshot-format.md, "Notes
 * section", is the specification.
 *
 * Threads: a set may be read by many threads at once and changed by one.
 */
#ifndef STASIS_NOTES_H
#define STASIS_NOTES_H

#include "stasis/ser.h"

STASIS_BEGIN_DECLS

/* Bounds that the format sets. */
#define STASIS_NOTES_MAX         64u          /* notes */
#define STASIS_NOTE_KEY_MAX      32u          /* characters of a-z, 0-9, '.', '_', '-' */
#define STASIS_NOTE_VALUE_MAX    1024u        /* bytes of UTF-8 without control characters */
#define STASIS_NOTES_SECTION_MAX (128u << 10) /* bytes of the section */

struct stasis_notes; /* sorted by key, each key once */

/* The pointers live until the set is changed or freed. */
struct stasis_note {
    const char *key;
    const char *value; /* may be empty */
};

/* An empty set; NULL when memory is short. free(NULL) is fine. */
STASIS_EXPORT struct stasis_notes *stasis_notes_new(void);
STASIS_EXPORT void stasis_notes_free(struct stasis_notes *notes);

/* Sets or replaces the note of this key; value NULL removes it, if it is there. STASIS_ERR_RANGE: a
 * key or value beyond the bounds above; STASIS_ERR_FULL; STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_notes_set(struct stasis_notes *notes, const char *key,
                                                     const char *value, struct stasis_error *err);

/* Sets every note of `from` in `to`. The same errors; notes may then have been set in part. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_notes_copy(const struct stasis_notes *from,
                                                      struct stasis_notes *to,
                                                      struct stasis_error *err);

/* The value of the key, or NULL. */
STASIS_EXPORT const char *stasis_notes_get(const struct stasis_notes *notes, const char *key);

/* Number of notes, and the note at an index below it. */
STASIS_EXPORT size_t stasis_notes_count(const struct stasis_notes *notes);
STASIS_EXPORT struct stasis_note stasis_notes_at(const struct stasis_notes *notes, size_t index);

/* The set as the bytes of a section, which the caller frees with free(); and back.
 * STASIS_ERR_NOMEM; STASIS_ERR_CORRUPT. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_notes_encode(const struct stasis_notes *notes,
                                                        uint8_t **ret_bytes, size_t *ret_len,
                                                        struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_notes_parse(const uint8_t *bytes, size_t len,
                                                       struct stasis_notes **ret_notes,
                                                       struct stasis_error *err);

STASIS_END_DECLS

#endif
