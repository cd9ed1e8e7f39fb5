/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/panic_text.h"

#include <string.h>

static const char text[] = STASIS_PANIC_TEXT;
#define TEXT_LEN (sizeof(text) - 1)

/* Where the stamps begin that end at `len`: brackets of digits, points, spaces and the letters of a
 * task or CPU (PRINTK_CALLER), with a space behind. */
static size_t begin_of_stamps(const uint8_t *line, size_t len)
{
    size_t begin = len;
    size_t at = len > 1 && line[len - 1] == ' ' ? len - 1 : 0;

    while (at && line[at - 1] == ']') {
        at--;
        while (at && line[at - 1] && strchr("0123456789. TC", line[at - 1]))
            at--;
        if (!at || line[at - 1] != '[')
            break;
        begin = --at;
        if (at && line[at - 1] == ' ')
            at--;
    }
    return begin;
}

static bool ends_with(const uint8_t *line, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len >= end_len && !memcmp(line + len - end_len, end, end_len);
}

/* Of a shell, or of who logs in. */
static bool is_prompt(const uint8_t *line, size_t len)
{
    return ends_with(line, len, "# ") || ends_with(line, len, "$ ") ||
           ends_with(line, len, "login: ") || ends_with(line, len, "Password: ");
}

static bool is_panic(const struct stasis_panic_text *panic)
{
    size_t at = panic->len - TEXT_LEN;

    if (panic->len < TEXT_LEN || memcmp(panic->line + at, text, TEXT_LEN) != 0)
        return false;
    at = begin_of_stamps(panic->line, at);
    return !at || is_prompt(panic->line, at);
}

bool stasis_panic_text_feed(struct stasis_panic_text *panic, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;
    bool found = false;

    for (size_t i = 0; i < len; i++) {
        if (byte[i] == '\n' || byte[i] == '\r') {
            panic->len = 0;
        } else if (panic->len < sizeof(panic->line)) {
            panic->line[panic->len++] = byte[i];
            found = found || (byte[i] == (uint8_t)text[TEXT_LEN - 1] && is_panic(panic));
        }
    }
    return found;
}
