/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/json_text.h"

#include <stdio.h>
#include <string.h>

/* Length of the string that begins at `at`, with its quotes. */
static size_t string_len(const char *at, size_t len)
{
    size_t end = 1;

    while (end < len && at[end] != '"')
        end += at[end] == '\\' ? 2 : 1;
    return end + 1;
}

bool stasis_json_text_is_deep(const char *text, size_t len)
{
    size_t depth = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            i += string_len(text + i, len - i) - 1;
        else if (text[i] == '[' || text[i] == '{')
            depth++;
        else if ((text[i] == ']' || text[i] == '}') && depth)
            depth--;
        if (depth > STASIS_JSON_TEXT_DEPTH_MAX)
            return true;
    }
    return false;
}

/* An object or a list that is open. */
struct level {
    const char *key; /* of the member that the text is in; NULL: a list */
    size_t key_len;
    size_t index; /* of a list */
    bool wants_key;
};

struct path {
    struct level levels[STASIS_JSON_TEXT_DEPTH_MAX + 1]; /* the first is outside of all */
    size_t depth;
};

static void take_string(struct path *path, const char *string, size_t len)
{
    struct level *level = &path->levels[path->depth];

    if (!level->wants_key)
        return;
    level->key = string + 1;
    level->key_len = len - 2;
    level->wants_key = false;
}

static void take_char(struct path *path, char c)
{
    struct level *level = &path->levels[path->depth];

    if (c == '{' || c == '[') {
        if (path->depth < STASIS_JSON_TEXT_DEPTH_MAX)
            path->depth++;
        path->levels[path->depth] =
            (struct level){.key = c == '{' ? "" : NULL, .wants_key = c == '{'};
    } else if ((c == '}' || c == ']') && path->depth) {
        path->depth--;
    } else if (c == ',') {
        level->wants_key = level->key;
        level->index++;
    }
}

void stasis_json_text_path(const char *text, size_t len, char *ret_path, size_t size)
{
    struct path path = {.depth = 0};
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        size_t skip = text[i] == '"' ? string_len(text + i, len - i) : 1;

        if (text[i] == '"' && i + skip <= len)
            take_string(&path, text + i, skip);
        else
            take_char(&path, text[i]);
        i += skip - 1;
    }
    ret_path[0] = '\0';
    for (size_t i = 1; i <= path.depth && used < size; i++) {
        const struct level *level = &path.levels[i];
        int part = level->key
                       ? snprintf(ret_path + used, size - used, "%s%.*s", used ? "." : "",
                                  (int)(level->key_len < 60 ? level->key_len : 60), level->key)
                       : snprintf(ret_path + used, size - used, "[%zu]", level->index);

        used += (size_t)part;
    }
}
