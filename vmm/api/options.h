/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Tables of options: each row is at once a key of `key=value` text, a member of a JSON object, a
 * member of a C struct, and a line of the help. config_table.c is that of struct stasis_vmm_config;
 * the program has one of its own for what concerns it alone.
 *
 * Offsets are those in the struct that an option fills, called base below. An option that can be
 * given several times fills the next of several structs each time, its items, which base holds one
 * behind the other; offsets are then those in an item. Or it adds to lists: it `repeats`.
 */
#ifndef STASIS_VMM_OPTIONS_H
#define STASIS_VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"
#include "stasis/json.h"

enum stasis_option_kind {
    STASIS_OPTION_TEXT,       /* char *: a copy, not empty, at most max bytes if that is set */
    STASIS_OPTION_EMPTY_TEXT, /* char *: a copy, may be empty */
    STASIS_OPTION_NUMBER,     /* uint64_t: min..max */
    STASIS_OPTION_SIZE,       /* the same; in text with K, M or G */
    STASIS_OPTION_TIME,       /* the same; bool `also`: it is given */
    STASIS_OPTION_FD,         /* int: a descriptor above 2 */
    STASIS_OPTION_WORD,       /* unsigned: place in words */
    STASIS_OPTION_SWITCH,     /* bool: in text set by the one word */
    STASIS_OPTION_LEVEL,      /* uint64_t: 0 for the first word; for the second min, or ":N" */
    STASIS_OPTION_OUT,        /* unsigned: place in words; from the third on ":PATH", at `also` */
    STASIS_OPTION_NOTES,      /* struct stasis_notes *: KEY=VALUE, any number of times */
    STASIS_OPTION_TEXTS, /* char *[min]: copies, of at most max bytes; ends with NULL or full */
};

/* Rows end with a NULL name. In text the first key of an option may be left out before its value;
 * it is the only one that must be given, and an item whose first key has no value is not in use.
 * All this is not so of an option that repeats, and one that has choices needs one of these. */
struct stasis_option_key {
    const char *name;
    enum stasis_option_kind kind;
    size_t offset;
    const char *arg;    /* as the help shows it */
    const char *remedy; /* for a bad value: "give ..." */
    uint64_t min;
    uint64_t max;
    const char *const *words; /* ends with NULL */
    size_t also;              /* offset of a second member, see the kinds */
    size_t out;               /* word of the option's first key, an OUT, that it is for; 0: any */
    uint64_t value;           /* NUMBER, SIZE: what 0 stands for, if it stands for a number */
    const char *json;         /* name in JSON; NULL: the same */
};

/* Which guest an option is for. */
enum stasis_option_guest {
    STASIS_OPTION_ANY_GUEST = 0,
    STASIS_OPTION_NEW_GUEST,
    STASIS_OPTION_THAWED_GUEST
};

struct stasis_option {
    const char *name;
    const struct stasis_option_key *keys; /* NULL: takes no value, and sets the bool at `flag` */
    const char *help;                     /* lines, each ending in a newline */
    const char *group;                    /* heading printed before it, or NULL */
    const char *json;                     /* name of its object in JSON; options may share one */
    size_t flag;
    enum stasis_option_guest guest;
    bool is_whole;      /* the value may be left out */
    bool repeats;       /* may be given several times, with any key of it */
    unsigned items;     /* how many; 0: it has none */
    size_t item_size;   /* of each */
    size_t item_offset; /* of the first, in base */
    unsigned choices;   /* so many of the first keys exclude each other, and one must be given; 0:
                         * the first must be */
    const char *absent; /* CMake option that this build lacks for it, or NULL */
};

#define STASIS_OPTION_BIT(place) (UINT32_C(1) << (place)) /* of a key in a set of keys */

/* The set of keys of which one must be given. */
static inline uint32_t stasis_option_needed(const struct stasis_option *option)
{
    return option->choices ? STASIS_OPTION_BIT(option->choices) - 1 : 1;
}

/* Place of the first `len` bytes of value in words, or -1. */
int stasis_option_word(const char *const *words, const char *value, size_t len);

/* Sets what base holds for the key, and frees what it held. A note is added. On failure nothing has
 * changed. STASIS_ERR_ARG: the message is the remedy alone; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_option_set(const struct stasis_option_key *key, void *base,
                                        const char *value, struct stasis_error *err);

/* Whether base holds something other than the default; and whether it holds a value, which a
 * default may be. */
bool stasis_option_is_set(const struct stasis_option_key *key, const void *base);
bool stasis_option_has_value(const struct stasis_option_key *key, const void *base);

/* Whether the key goes with the output that base holds for the option. */
bool stasis_option_fits(const struct stasis_option *option, const struct stasis_option_key *key,
                        const void *base);

/* Back to the default. */
void stasis_option_clear(const struct stasis_option_key *key, void *base);

/* ---- items; options_list.c ---- */

/* An option without items has one, which is base itself, in use. */
void *stasis_option_item(const struct stasis_option *option, const void *base, unsigned index);
/* How many are in use; they are the first ones. */
unsigned stasis_option_count(const struct stasis_option *option, const void *base);
/* All keys, of all items, back to the default. The option has keys. */
void stasis_option_clear_all(const struct stasis_option *option, void *base);

/* Whether the option may be given several times. */
static inline bool stasis_option_is_list(const struct stasis_option *option)
{
    return option->repeats || option->items;
}

/* Takes the whole text of an option, which is not NULL and has keys: key=value,key=value. It fills
 * the next item, if the option has items; and notes in it replace those that base has. `have` is
 * the set of keys that have a value already; *ret_given is that of the keys in the text, also on
 * failure, with which an item stays unused. STASIS_ERR_ARG does not name the option. */
STASIS_MUST_CHECK int stasis_option_parse(const struct stasis_option *option, void *base,
                                          const char *text, uint32_t have, uint32_t *ret_given,
                                          struct stasis_error *err);

/* ---- JSON ----
 *
 * Values are strings as in text, but numbers for NUMBER, SIZE, TIME and FD, true or false for
 * SWITCH, and a list of strings for NOTES and TEXTS. Items are a list of objects. options_read.h
 * reads them. */

/* The name that a key has in its object. */
const char *stasis_option_json_name(const struct stasis_option_key *key);

/* Writes name and value into the object that `json` is in, unless base has none. `path` is that of
 * the key, for messages. STASIS_ERR_ARG: a string is no UTF-8. */
STASIS_MUST_CHECK int stasis_option_write(const struct stasis_option_key *key, const void *base,
                                          const char *path, struct stasis_json *json,
                                          struct stasis_error *err);

#endif
