/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Between the parts of stasis/lock.h: the lines of frozen text, and the comparison under way.
 */
#ifndef STASIS_LOCK_INTERNAL_H
#define STASIS_LOCK_INTERNAL_H

#include "stasis/lock.h"

/* States within one record, itself included. */
#define STASIS_LOCK_NESTED_MAX 64
/* Bytes of a name in frozen text, with the NUL; of a line, without it. */
#define STASIS_LOCK_NAME_MAX 64
#define STASIS_LOCK_LINE_MAX 1024

/* The record and the states nested in it, each once; returns how many, or 0 if they are more than
 * there is room for. */
size_t stasis_lock_states(const struct stasis_schema *record,
                          const struct stasis_schema *ret_states[STASIS_LOCK_NESTED_MAX]);

/* The set's record of that type, or NULL. */
const struct stasis_schema *stasis_lock_record(const struct stasis_lock_set *set, const char *type);

/* The kind of a list without a count. */
#define STASIS_LOCK_FIXED "states"

/* "int", "ints", "bytes", "string", "state", "list". */
const char *stasis_lock_kind_str(enum stasis_kind kind);

/* A field as a release had it: the line of frozen text, and what a row of today would print. */
struct stasis_lock_field {
    uint32_t id;
    char name[STASIS_LOCK_NAME_MAX];
    char kind[STASIS_LOCK_NAME_MAX];
    uint64_t size; /* of an integer or register; 0 for nested states */
    uint64_t is_signed;
    uint64_t since;
    uint64_t until;
    uint64_t max;
    uint64_t mask;
    char sub[STASIS_LOCK_NAME_MAX]; /* "-" if there is none */
    char def[STASIS_LOCK_LINE_MAX]; /* default: hexadecimal, or the string itself; else empty */
};

void stasis_lock_field_of(const struct stasis_field *field, struct stasis_lock_field *ret_field);

/* A line being taken apart; `bad` sticks once it does not match. */
struct stasis_lock_line {
    const char *at;
    bool bad;
};

/* Copies the next word, which must fit into STASIS_LOCK_NAME_MAX. */
void stasis_lock_word(struct stasis_lock_line *line, char ret_word[STASIS_LOCK_NAME_MAX]);
/* The value of "key=", as a word or a number (decimal, or hexadecimal with 0x). */
void stasis_lock_key(struct stasis_lock_line *line, const char *key,
                     char ret_word[STASIS_LOCK_NAME_MAX]);
uint64_t stasis_lock_number(struct stasis_lock_line *line, const char *key);
/* What is behind the word "field". */
void stasis_lock_parse_field(struct stasis_lock_line *line, struct stasis_lock_field *ret_field);
/* Nothing is left of the line, and it matched. */
bool stasis_lock_ends(const struct stasis_lock_line *line);

/* A comparison under way: where the frozen text is, and what stands for it today. */
struct stasis_lock_check {
    const struct stasis_lock_set *set;
    void (*change)(void *ctx, enum stasis_lock_class kind, bool refused, const char *text);
    void *ctx;
    struct stasis_lock_result result;
    const struct stasis_schema *record;      /* NULL: gone, which has been told */
    const struct stasis_schema *state;       /* the record or one nested in it; NULL: gone */
    char type[STASIS_LOCK_NAME_MAX];         /* of the record */
    char name[STASIS_LOCK_NAME_MAX];         /* of the state */
    uint32_t then;                           /* version of the record in the release */
    uint32_t fields, old_bounds, migrations; /* lines of the block so far */
};

/* Tells of a difference of `where` in the state at hand. A breaking one is refused; others where
 * `remedy` is not NULL or the record has no new version. */
STASIS_PRINTF(5, 6)
void stasis_lock_tell(struct stasis_lock_check *check, const char *where,
                      enum stasis_lock_class class, const char *remedy, const char *fmt, ...);

/* Whether a step leads to a version in (after, to]. */
bool stasis_lock_has_migration(const struct stasis_lock_check *check, uint32_t after, uint32_t to);

/* Whether the migrations from the released version to that of today make today's default of the
 * field of the release's, and back. Not so if there is no memory to try it. */
bool stasis_lock_converts_default(const struct stasis_lock_check *check,
                                  const struct stasis_field *field,
                                  const struct stasis_lock_field *then);

/* Compares one frozen field; and looks for rows that the release did not have. */
void stasis_lock_compare_field(struct stasis_lock_check *check,
                               const struct stasis_lock_field *then);
void stasis_lock_compare_rest(struct stasis_lock_check *check);

/* A frozen row STASIS_OLD_BOUND. */
void stasis_lock_compare_history(struct stasis_lock_check *check, uint64_t id, uint64_t before,
                                 uint64_t bound);

#endif
