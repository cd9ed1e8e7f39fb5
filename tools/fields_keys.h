/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the elements of a list are called, if they have names of their own.
 */
#ifndef STASIS_TOOLS_FIELDS_KEYS_H
#define STASIS_TOOLS_FIELDS_KEYS_H

#include "stasis/schema.h"

#define STASIS_KEY_TEXT_MAX 48 /* room for "[0x...]" of any key */

struct stasis_key {
    const char *name; /* of a device; else "" */
    uint64_t numbers[2];
    uint32_t index; /* of the element */
};

struct stasis_keys {
    struct stasis_key *keys; /* ascending; NULL: the elements have no names, or not each its own */
    uint32_t count;          /* elements of the list */
    unsigned numbers;        /* in use in each key */
};

/* Of the list `field` (may be NULL: an empty list) in the struct at `base`. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_keys_init(struct stasis_keys *keys, const struct stasis_field *field,
                                       const uint8_t *base, struct stasis_error *err);
void stasis_keys_fini(struct stasis_keys *keys);

int stasis_key_compare(const struct stasis_key *a, const struct stasis_key *b);
void stasis_key_text(const struct stasis_keys *keys, const struct stasis_key *key,
                     char ret_text[STASIS_KEY_TEXT_MAX]);

#endif
