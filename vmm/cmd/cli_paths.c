/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The library names keys by their path in JSON; who gives options on the command line is told
 * theirs. Called by signal handlers, too.
 */
#include <string.h>

#include "vmm/cmd/cli_paths.h"

#define PATH_CHARS "abcdefghijklmnopqrstuvwxyz_."

/* ---- text ---- */

struct text {
    char *bytes;
    size_t len, size;
};

static void put(struct text *text, const char *bytes, size_t len)
{
    size_t room = text->size - 1 - text->len;

    len = len < room ? len : room;
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

static void put_word(struct text *text, const char *before, const char *word)
{
    put(text, before, strlen(before));
    put(text, word, strlen(word));
}

/* ---- paths ---- */

/* Of a path that begins there, with an item's number: "block[1].path"; 0: there is none. */
static size_t path_len(const char *at)
{
    size_t len = strspn(at, PATH_CHARS);
    size_t number = len && at[len] == '[' ? strspn(at + len + 1, "0123456789") : 0;

    if (number && at[len + 1 + number] == ']')
        len += 1 + number + 1 + strspn(at + len + 1 + number + 1, PATH_CHARS);
    return len;
}

/* A path of an item may go without its number. */
static bool is_path(const char *path, size_t len, const struct stasis_option *option,
                    const struct stasis_option_key *key)
{
    char own[STASIS_CONFIG_PATH_MAX];
    struct text text = {.bytes = own, .size = sizeof(own)};
    size_t name = strlen(option->json);

    put_word(&text, "", option->json);
    if (option->items && len > name && path[name] == '[')
        put(&text, path + name, (size_t)(strchr(path, ']') + 1 - (path + name)));
    if (key)
        put_word(&text, ".", stasis_option_json_name(key));
    return text.len == len && !memcmp(own, path, len);
}

static void put_name(struct text *text, const struct stasis_option *option, unsigned place)
{
    const struct stasis_option_key *key = option->keys ? &option->keys[place] : NULL;

    put_word(text, "--", option->name);
    if (key && key->kind == STASIS_OPTION_SWITCH)
        put_word(text, " ", key->words[0]);
    else if (key && (place || option->repeats || option->choices))
        put_word(text, " ", key->name);
}

/* Puts the option that the path of `len` bytes is of. False: there is none, or the file gave it. */
static bool put_option(struct text *text, const char *path, size_t len,
                       const struct stasis_config_given *by_file)
{
    for (unsigned i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option *option = &stasis_config_options[i];

        for (unsigned k = 0; !k || (option->keys && option->keys[k].name); k++) {
            if (!is_path(path, len, option, option->keys ? &option->keys[k] : NULL))
                continue;
            if (by_file->keys[i] & STASIS_OPTION_BIT(k))
                return false;
            put_name(text, option, k);
            return true;
        }
    }
    return false;
}

/* Where messages name keys. A file may be called serial.out, and is not named there. */
static bool is_mention(const char *text, const char *path, size_t len)
{
    static const char *const words[] = {"by ",  "of ",   "with ", "out ",
                                        "set ", "give ", "have ", "change "};

    if (path == text)
        return path[len] == '=';
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t before = strlen(words[i]);
        const char *word = (size_t)(path - text) >= before ? path - before : NULL;

        if (word && !memcmp(word, words[i], before) && (word == text || word[-1] == ' '))
            return true;
    }
    return false;
}

/* "board.release: demo is not a release": what follows the key is its value. */
static bool is_value(const char *text, const char *path)
{
    return path - text >= 2 && !memcmp(path - 2, ": ", 2);
}

static bool has_dot(const char *path, size_t len)
{
    return memchr(path, '.', len);
}

void stasis_cli_name_options(const struct stasis_config_given *by_file, bool everywhere,
                             const char *message, char *ret_text, size_t size)
{
    struct text text = {.bytes = ret_text, .size = size};
    const char *at = message;

    ret_text[0] = '\0';
    while (*at) {
        size_t len = path_len(at);
        bool is_named = len && (everywhere ? !is_value(message, at)
                                           : has_dot(at, len) && is_mention(message, at, len));

        len = len ? len : 1;
        if (!is_named || !put_option(&text, at, len, by_file))
            put(&text, at, len);
        at += len;
    }
}

void stasis_cli_name_options_in(const struct stasis_config_given *by_file, bool everywhere,
                                struct stasis_error *err)
{
    const struct stasis_error why = *err;

    stasis_cli_name_options(by_file, everywhere, why.msg, err->msg, sizeof(err->msg));
}
