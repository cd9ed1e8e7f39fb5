/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Options that can be given several times.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/options_internal.h"

/* ---- items ---- */

void *stasis_option_item(const struct stasis_option *option, const void *base, unsigned index)
{
    return stasis_option_at(base, option->item_offset + index * option->item_size);
}

unsigned stasis_option_count(const struct stasis_option *option, const void *base)
{
    unsigned count = 0;

    if (!option->items)
        return 1;
    while (count < option->items &&
           stasis_option_is_set(option->keys, stasis_option_item(option, base, count)))
        count++;
    return count;
}

static void clear_item(const struct stasis_option *option, void *item)
{
    for (const struct stasis_option_key *key = option->keys; key->name; key++)
        stasis_option_clear(key, item);
}

void stasis_option_clear_all(const struct stasis_option *option, void *base)
{
    for (unsigned i = 0; i < option->items || !i; i++)
        clear_item(option, stasis_option_item(option, base, i));
}

int stasis_option_parse(const struct stasis_option *option, void *base, const char *text,
                        uint32_t have, uint32_t *ret_given, struct stasis_error *err)
{
    const unsigned count = stasis_option_count(option, base);
    void *item;
    int rc;

    *ret_given = 0;
    if (!option->items)
        return stasis_option_parse_item(option, base, text, have, ret_given, err);
    if (count == option->items)
        return stasis_fail(err, STASIS_ERR_ARG, "it is given more than %u times; leave out %.60s",
                           count, text);
    item = stasis_option_item(option, base, count);
    rc = stasis_option_parse_item(option, item, text, 0, ret_given, err);
    if (rc)
        clear_item(option, item);
    return rc;
}

/* ---- texts ---- */

int stasis_option_add_text(const struct stasis_option_key *key, void *base, const char *value,
                           struct stasis_error *err)
{
    char **texts = stasis_option_text_at(base, key->offset);
    uint64_t count = 0;

    if (!*value || strlen(value) > key->max)
        return stasis_fail(err, STASIS_ERR_ARG, "%s", key->remedy);
    while (count < key->min && texts[count] && strcmp(texts[count], value) != 0)
        count++;
    if (count == key->min)
        return stasis_fail(err, STASIS_ERR_ARG, "there are more than %" PRIu64 "; leave it out",
                           count);
    if (texts[count])
        return stasis_fail(err, STASIS_ERR_ARG, "it is given twice; give it once");
    texts[count] = strdup(value);
    return texts[count]
               ? 0
               : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the value of an option");
}

void stasis_option_clear_texts(const struct stasis_option_key *key, void *base)
{
    char **texts = stasis_option_text_at(base, key->offset);

    for (uint64_t i = 0; i < key->min; i++) {
        free(texts[i]);
        texts[i] = NULL;
    }
}
