/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the files of the option tables share: members by offset, and the kinds with code of their
 * own.
 */
#ifndef STASIS_VMM_OPTIONS_INTERNAL_H
#define STASIS_VMM_OPTIONS_INTERNAL_H

#include "stasis/notes.h"
#include "vmm/api/options.h"

/* The words of STASIS_OPTION_OUT from this place on take a path. */
#define STASIS_OPTION_OUT_PATHS 2

/* The caller knows whether base may be changed. */
static inline char *stasis_option_at(const void *base, size_t offset)
{
    return (char *)(uintptr_t)base + offset;
}

static inline char **stasis_option_text_at(const void *base, size_t offset)
{
    return (char **)stasis_option_at(base, offset);
}

static inline bool *stasis_option_bool_at(const void *base, size_t offset)
{
    return (bool *)stasis_option_at(base, offset);
}

static inline int *stasis_option_fd_at(const void *base, size_t offset)
{
    return (int *)(void *)stasis_option_at(base, offset);
}

static inline unsigned *stasis_option_word_at(const void *base, size_t offset)
{
    return (unsigned *)(void *)stasis_option_at(base, offset);
}

static inline uint64_t *stasis_option_number_at(const void *base, size_t offset)
{
    return (uint64_t *)(void *)stasis_option_at(base, offset);
}

static inline struct stasis_notes **stasis_option_notes_at(const void *base, size_t offset)
{
    return (struct stasis_notes **)stasis_option_at(base, offset);
}

/* NUMBER, SIZE, TIME and FD. */
STASIS_MUST_CHECK int stasis_option_set_number(const struct stasis_option_key *key, void *base,
                                               uint64_t number, struct stasis_error *err);

/* options_notes.c: adds the note KEY=VALUE to *notes, which is made if it is NULL. STASIS_ERR_ARG:
 * also if the key is there already. */
STASIS_MUST_CHECK int stasis_option_add_note(struct stasis_notes **notes, const char *value,
                                             struct stasis_error *err);

/* options.c: stasis_option_parse() of an item. */
STASIS_MUST_CHECK int stasis_option_parse_item(const struct stasis_option *option, void *base,
                                               const char *text, uint32_t have, uint32_t *ret_given,
                                               struct stasis_error *err);

/* options_list.c: adds a copy to the texts of the key. STASIS_ERR_ARG: there are too many. */
STASIS_MUST_CHECK int stasis_option_add_text(const struct stasis_option_key *key, void *base,
                                             const char *value, struct stasis_error *err);
void stasis_option_clear_texts(const struct stasis_option_key *key, void *base);

#endif
