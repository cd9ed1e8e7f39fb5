/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Values of options as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stasis/field.h"
#include "vmm/api/options_internal.h"

const char *stasis_option_json_name(const struct stasis_option_key *key)
{
    return key->json ? key->json : key->name;
}

static bool is_utf8(const char *text)
{
    size_t len = strlen(text);
    uint32_t code;

    while (len) {
        size_t step = stasis_utf8_decode(text, len, &code);

        if (!step)
            return false;
        text += step;
        len -= step;
    }
    return true;
}

static int write_text(const char *text, const char *path, struct stasis_json *json,
                      struct stasis_error *err)
{
    stasis_json_str(json, text);
    return is_utf8(text)
               ? 0
               : stasis_fail(err, STASIS_ERR_ARG,
                             "%s is no UTF-8, which JSON cannot hold; give it as UTF-8", path);
}

static int write_out(const struct stasis_option_key *key, const void *base, const char *path,
                     struct stasis_json *json, struct stasis_error *err)
{
    char text[16 + 4096]; /* PATH_MAX: no longer path can be opened */
    const unsigned word = *stasis_option_word_at(base, key->offset);
    const bool has_path = word >= STASIS_OPTION_OUT_PATHS;
    const char *out = has_path ? *stasis_option_text_at(base, key->also) : "";
    int len = snprintf(text, sizeof(text), "%s%s%s", key->words[word], has_path ? ":" : "", out);
    int rc = write_text(text, path, json, err);

    if ((size_t)len >= sizeof(text))
        return stasis_fail(err, STASIS_ERR_ARG, "the name in %s is too long; give a shorter one",
                           path);
    return rc;
}

static void write_level(const struct stasis_option_key *key, uint64_t level,
                        struct stasis_json *json)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%s:%" PRIu64, key->words[1], level);
    stasis_json_str(json, level ? text : key->words[0]);
}

static int write_list(const struct stasis_notes *notes, const char *path, struct stasis_json *json,
                      struct stasis_error *err)
{
    char text[STASIS_NOTE_KEY_MAX + 1 + STASIS_NOTE_VALUE_MAX + 1];
    int rc = 0;

    stasis_json_array_begin(json);
    for (size_t i = 0; !rc && i < stasis_notes_count(notes); i++) {
        struct stasis_note note = stasis_notes_at(notes, i);

        (void)snprintf(text, sizeof(text), "%s=%s", note.key, note.value);
        rc = write_text(text, path, json, err);
    }
    stasis_json_array_end(json);
    return rc;
}

static int write_texts(const struct stasis_option_key *key, const void *base, const char *path,
                       struct stasis_json *json, struct stasis_error *err)
{
    char **texts = stasis_option_text_at(base, key->offset);
    int rc = 0;

    stasis_json_array_begin(json);
    for (uint64_t i = 0; !rc && i < key->min && texts[i]; i++)
        rc = write_text(texts[i], path, json, err);
    stasis_json_array_end(json);
    return rc;
}

static uint64_t number_of(const struct stasis_option_key *key, const void *base)
{
    uint64_t number = *stasis_option_number_at(base, key->offset);

    return number ? number : key->value;
}

/* Of these kinds zero is a value; of the others it means that there is none. */
bool stasis_option_has_value(const struct stasis_option_key *key, const void *base)
{
    switch (key->kind) {
    case STASIS_OPTION_WORD:
    case STASIS_OPTION_OUT:
    case STASIS_OPTION_LEVEL:
    case STASIS_OPTION_SWITCH:
        return true;
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
        return number_of(key, base);
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
    case STASIS_OPTION_TIME:
    case STASIS_OPTION_FD:
    case STASIS_OPTION_NOTES:
    case STASIS_OPTION_TEXTS:
        break;
    }
    return stasis_option_is_set(key, base);
}

static int write_value(const struct stasis_option_key *key, const void *base, const char *path,
                       struct stasis_json *json, struct stasis_error *err)
{
    switch (key->kind) {
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
        return write_text(*stasis_option_text_at(base, key->offset), path, json, err);
    case STASIS_OPTION_WORD:
        stasis_json_str(json, key->words[*stasis_option_word_at(base, key->offset)]);
        break;
    case STASIS_OPTION_OUT:
        return write_out(key, base, path, json, err);
    case STASIS_OPTION_LEVEL:
        write_level(key, *stasis_option_number_at(base, key->offset), json);
        break;
    case STASIS_OPTION_SWITCH:
        stasis_json_bool(json, *stasis_option_bool_at(base, key->offset));
        break;
    case STASIS_OPTION_FD:
        stasis_json_u64(json, (uint64_t)*stasis_option_fd_at(base, key->offset));
        break;
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_TIME:
        stasis_json_u64(json, number_of(key, base));
        break;
    case STASIS_OPTION_NOTES:
        return write_list(*stasis_option_notes_at(base, key->offset), path, json, err);
    case STASIS_OPTION_TEXTS:
        return write_texts(key, base, path, json, err);
    }
    return 0;
}

int stasis_option_write(const struct stasis_option_key *key, const void *base, const char *path,
                        struct stasis_json *json, struct stasis_error *err)
{
    if (!stasis_option_has_value(key, base))
        return 0;
    stasis_json_key(json, stasis_option_json_name(key));
    return write_value(key, base, path, json, err);
}
