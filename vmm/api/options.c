/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The engine of the option tables: values, and the text of an option.
 */
#include "vmm/api/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/number.h"
#include "vmm/api/keyval.h"
#include "vmm/api/options_internal.h"

/* ---- values ---- */

int stasis_option_word(const char *const *words, const char *value, size_t len)
{
    for (int i = 0; words[i]; i++)
        if (strlen(words[i]) == len && !memcmp(words[i], value, len))
            return i;
    return -1;
}

static int bad_value(const struct stasis_option_key *key, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG, "%s", key->remedy);
}

static int copy_text(char **at, const char *value, struct stasis_error *err)
{
    char *copy = strdup(value);

    if (!copy)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the value of an option");
    free(*at);
    *at = copy;
    return 0;
}

static int set_text(const struct stasis_option_key *key, void *base, const char *value,
                    struct stasis_error *err)
{
    if ((!*value && key->kind == STASIS_OPTION_TEXT) || (key->max && strlen(value) > key->max))
        return bad_value(key, err);
    return copy_text(stasis_option_text_at(base, key->offset), value, err);
}

int stasis_option_set_number(const struct stasis_option_key *key, void *base, uint64_t number,
                             struct stasis_error *err)
{
    if (key->kind == STASIS_OPTION_FD) {
        if (number <= STDERR_FILENO || number > INT_MAX)
            return bad_value(key, err);
        *stasis_option_fd_at(base, key->offset) = (int)number;
        return 0;
    }
    if (number < key->min || number > key->max)
        return bad_value(key, err);
    *stasis_option_number_at(base, key->offset) = number;
    if (key->kind == STASIS_OPTION_TIME)
        *stasis_option_bool_at(base, key->also) = true;
    return 0;
}

static int set_word(const struct stasis_option_key *key, void *base, const char *value,
                    struct stasis_error *err)
{
    int word = stasis_option_word(key->words, value, strlen(value));

    if (word < 0)
        return bad_value(key, err);
    if (key->kind == STASIS_OPTION_SWITCH)
        *stasis_option_bool_at(base, key->offset) = true;
    else
        *stasis_option_word_at(base, key->offset) = (unsigned)word;
    return 0;
}

static bool read_level(const struct stasis_option_key *key, const char *value, uint64_t *ret_level)
{
    size_t len = strcspn(value, ":");
    int word = stasis_option_word(key->words, value, len);

    if (word == 0 && !value[len]) {
        *ret_level = 0;
        return true;
    }
    *ret_level = key->min;
    if (word != 1 || !value[len])
        return word == 1;
    return stasis_number_read(value + len + 1, false, ret_level) && *ret_level >= key->min &&
           *ret_level <= key->max;
}

static int set_out(const struct stasis_option_key *key, void *base, const char *value,
                   struct stasis_error *err)
{
    char **path = stasis_option_text_at(base, key->also);
    size_t len = strcspn(value, ":");
    int word = stasis_option_word(key->words, value, len);
    bool takes_path = word >= STASIS_OPTION_OUT_PATHS;
    int rc = 0;

    if (word < 0 || takes_path != (value[len] == ':') || (takes_path && !value[len + 1]))
        return bad_value(key, err);
    if (takes_path) {
        rc = copy_text(path, value + len + 1, err);
    } else {
        free(*path);
        *path = NULL;
    }
    if (!rc)
        *stasis_option_word_at(base, key->offset) = (unsigned)word;
    return rc;
}

int stasis_option_set(const struct stasis_option_key *key, void *base, const char *value,
                      struct stasis_error *err)
{
    uint64_t number;

    switch (key->kind) {
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
        return set_text(key, base, value, err);
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_TIME:
    case STASIS_OPTION_FD:
        if (!stasis_number_read(value, key->kind == STASIS_OPTION_SIZE, &number))
            break;
        return stasis_option_set_number(key, base, number, err);
    case STASIS_OPTION_WORD:
    case STASIS_OPTION_SWITCH:
        return set_word(key, base, value, err);
    case STASIS_OPTION_LEVEL:
        if (!read_level(key, value, &number))
            break;
        *stasis_option_number_at(base, key->offset) = number;
        return 0;
    case STASIS_OPTION_OUT:
        return set_out(key, base, value, err);
    case STASIS_OPTION_NOTES:
        return stasis_option_add_note(stasis_option_notes_at(base, key->offset), value, err);
    case STASIS_OPTION_TEXTS:
        return stasis_option_add_text(key, base, value, err);
    }
    return bad_value(key, err);
}

bool stasis_option_is_set(const struct stasis_option_key *key, const void *base)
{
    switch (key->kind) {
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
    case STASIS_OPTION_TEXTS:
        return *stasis_option_text_at(base, key->offset);
    case STASIS_OPTION_TIME:
        return *stasis_option_bool_at(base, key->also);
    case STASIS_OPTION_SWITCH:
        return *stasis_option_bool_at(base, key->offset);
    case STASIS_OPTION_FD:
        return *stasis_option_fd_at(base, key->offset);
    case STASIS_OPTION_WORD:
    case STASIS_OPTION_OUT:
        return *stasis_option_word_at(base, key->offset);
    case STASIS_OPTION_NOTES:
        return *stasis_option_notes_at(base, key->offset);
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_LEVEL:
        break;
    }
    return *stasis_option_number_at(base, key->offset);
}

bool stasis_option_fits(const struct stasis_option *option, const struct stasis_option_key *key,
                        const void *base)
{
    return !key->out || *stasis_option_word_at(base, option->keys->offset) == key->out;
}

static void clear_text(void *base, size_t offset)
{
    char **at = stasis_option_text_at(base, offset);

    free(*at);
    *at = NULL;
}

void stasis_option_clear(const struct stasis_option_key *key, void *base)
{
    switch (key->kind) {
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
        clear_text(base, key->offset);
        break;
    case STASIS_OPTION_TIME:
        *stasis_option_bool_at(base, key->also) = false;
        *stasis_option_number_at(base, key->offset) = 0;
        break;
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_LEVEL:
        *stasis_option_number_at(base, key->offset) = 0;
        break;
    case STASIS_OPTION_FD:
        *stasis_option_fd_at(base, key->offset) = 0;
        break;
    case STASIS_OPTION_SWITCH:
        *stasis_option_bool_at(base, key->offset) = false;
        break;
    case STASIS_OPTION_OUT:
        clear_text(base, key->also);
        *stasis_option_word_at(base, key->offset) = 0;
        break;
    case STASIS_OPTION_WORD:
        *stasis_option_word_at(base, key->offset) = 0;
        break;
    case STASIS_OPTION_NOTES:
        stasis_notes_free(*stasis_option_notes_at(base, key->offset));
        *stasis_option_notes_at(base, key->offset) = NULL;
        break;
    case STASIS_OPTION_TEXTS:
        stasis_option_clear_texts(key, base);
        break;
    }
}

/* ---- keys ---- */

static int unknown_key(const struct stasis_option *option, const char *name,
                       struct stasis_error *err)
{
    char known[200];
    size_t used = 0;

    for (const struct stasis_option_key *key = option->keys; key->name && used < sizeof(known);
         key++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
                                 key->name);
    return stasis_fail(err, STASIS_ERR_ARG, "unknown key %.60s; known: %s", name, known);
}

/* A word alone where there has to be a key. */
static int no_key(const struct stasis_option *option, const char *word, struct stasis_error *err)
{
    for (const struct stasis_option_key *key = option->keys; key->name; key++)
        if (strcmp(key->name, word) == 0)
            return stasis_fail(err, STASIS_ERR_ARG, "%s needs a value: %s=%s", word, word,
                               key->arg);
    if (option->repeats)
        return unknown_key(option, word, err);
    return stasis_fail(err, STASIS_ERR_ARG,
                       "%s is not key=value; put a value that holds commas in quotes", word);
}

/* The key that an item is for; the first one when the item, also the first one, names none. */
static int find_key(const struct stasis_option *option, const struct stasis_keyval *item,
                    uint32_t seen, uint32_t *ret_index, struct stasis_error *err)
{
    uint32_t index = 0;

    if (!item->key && (option->repeats || seen))
        return no_key(option, item->value, err);
    while (item->key && option->keys[index].name &&
           strcmp(option->keys[index].name, item->key) != 0)
        index++;
    if (!option->keys[index].name)
        return unknown_key(option, item->key, err);
    if (seen & STASIS_OPTION_BIT(index) && option->keys[index].kind != STASIS_OPTION_NOTES &&
        option->keys[index].kind != STASIS_OPTION_TEXTS)
        return stasis_fail(err, STASIS_ERR_ARG, "%s is given twice; give it once",
                           option->keys[index].name);
    *ret_index = index;
    return 0;
}

static int parse_item(const struct stasis_option *option, void *base,
                      const struct stasis_keyval *item, uint32_t *seen, struct stasis_error *err)
{
    const struct stasis_option_key *key;
    uint32_t index = 0;
    int rc = find_key(option, item, *seen, &index, err);

    if (rc)
        return rc;
    key = &option->keys[index];
    if (key->kind == STASIS_OPTION_NOTES && !(*seen & STASIS_OPTION_BIT(index)))
        stasis_option_clear(key, base);
    *seen |= STASIS_OPTION_BIT(index);
    rc = stasis_option_set(key, base, item->value, err);
    return rc ? stasis_wrap(err, rc, "%s=%.60s", key->name, item->value) : 0;
}

int stasis_option_parse_item(const struct stasis_option *option, void *base, const char *text,
                             uint32_t have, uint32_t *ret_given, struct stasis_error *err)
{
    char *copy = NULL;
    struct stasis_keyval item;
    char *next;
    int rc = copy_text(&copy, text, err);

    if (rc)
        return rc;
    next = copy;
    while ((rc = stasis_keyval_next(&next, &item, err)) > 0) {
        rc = parse_item(option, base, &item, ret_given, err);
        if (rc)
            break;
    }
    if (!rc && option->repeats && !*ret_given)
        rc = stasis_fail(err, STASIS_ERR_ARG, "it is empty; give %s=%s", option->keys->name,
                         option->keys->arg);
    if (!rc && !option->repeats && !((have | *ret_given) & stasis_option_needed(option)))
        rc = option->choices ? bad_value(option->keys, err)
                             : stasis_fail(err, STASIS_ERR_ARG, "%s=%s is missing",
                                           option->keys->name, option->keys->arg);
    free(copy);
    return rc;
}
