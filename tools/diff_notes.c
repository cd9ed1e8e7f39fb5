/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <string.h>

#include "tools/diff.h"

/* The lower of the two keys at hand, or NULL when both sets are at their ends. */
static const char *next_key(const struct stasis_notes *a, size_t i, const struct stasis_notes *b,
                            size_t j)
{
    const char *key_a = i < stasis_notes_count(a) ? stasis_notes_at(a, i).key : NULL;
    const char *key_b = j < stasis_notes_count(b) ? stasis_notes_at(b, j).key : NULL;

    if (!key_a || !key_b)
        return key_a ? key_a : key_b;
    return strcmp(key_a, key_b) < 0 ? key_a : key_b;
}

void stasis_diff_notes(const struct stasis_notes *a, const struct stasis_notes *b,
                       const struct stasis_diff_out *out, struct stasis_diff_counts *counts)
{
    const char *key;
    size_t i = 0;
    size_t j = 0;

    while ((key = next_key(a, i, b, j))) {
        const char *value_a = stasis_notes_get(a, key);
        const char *value_b = stasis_notes_get(b, key);

        counts->notes++;
        if (!value_a || !value_b || strcmp(value_a, value_b) != 0) {
            counts->notes_differ++;
            out->note(out->ctx, key, value_a, value_b);
        }
        i += value_a != NULL;
        j += value_b != NULL;
    }
}
