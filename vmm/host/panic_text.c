/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/panic_text.h"

#include <string.h>

static const char text[] = STASIS_PANIC_TEXT;
#define TEXT_LEN (sizeof(text) - 1)

/* Where the stamps at the beginning of the line end: brackets of digits, points, spaces and the
 * letters of a task or CPU (PRINTK_CALLER), with a space behind. */
static size_t end_of_stamps(const struct stasis_panic_text *panic)
{
    size_t end = 0;
    size_t at = 0;

    while (at < panic->len && panic->line[at] == '[') {
        at++;
        while (at < panic->len && panic->line[at] && strchr("0123456789. TC", panic->line[at]))
            at++;
        if (at == panic->len || panic->line[at++] != ']')
            break;
        if (at < panic->len && panic->line[at] == ' ')
            end = ++at;
    }
    return end;
}

static bool is_panic(const struct stasis_panic_text *panic)
{
    size_t at = end_of_stamps(panic);

    return panic->len - at == TEXT_LEN && !memcmp(panic->line + at, text, TEXT_LEN);
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
