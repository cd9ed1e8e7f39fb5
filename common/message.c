/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "common/message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "stasis/field.h"

size_t stasis_message_shown(const char *bytes, size_t len)
{
    uint32_t code;
    size_t n = stasis_utf8_decode(bytes, len, &code);

    return n && stasis_char_shown(code) ? n : 0;
}

/* Appends one character, or one byte as \xNN, and returns how many bytes of `text` that was; 0 if
 * it does not fit. */
static size_t put_one(char *line, size_t *used, const char *text, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    size_t shown = stasis_message_shown(text, len);
    size_t need = shown ? shown : strlen("\\xNN");
    uint8_t byte = (uint8_t)text[0];

    if (*used + need + 1 > STASIS_MESSAGE_MAX) /* the newline */
        return 0;
    if (shown)
        memcpy(line + *used, text, shown);
    else
        memcpy(line + *used, (char[]){'\\', 'x', digits[byte >> 4], digits[byte & 15]}, need);
    *used += need;
    return shown ? shown : 1;
}

static void put_text(char *line, size_t *used, const char *text)
{
    size_t len = strlen(text);
    size_t n = 1;

    for (size_t at = 0; at < len && n; at += n)
        n = put_one(line, used, text + at, len - at);
}

size_t stasis_message_format(char ret_line[STASIS_MESSAGE_MAX], const char *program,
                             const char *text)
{
    size_t used = 0;

    put_text(ret_line, &used, program);
    put_text(ret_line, &used, ": ");
    put_text(ret_line, &used, text);
    ret_line[used++] = '\n';
    return used;
}

static const char *remedy_of_write(int os_errno)
{
    if (os_errno == EACCES || os_errno == EPERM || os_errno == EROFS)
        return "; write elsewhere, or allow it there";
    if (os_errno == ENOENT || os_errno == ENOTDIR)
        return "; name a folder that exists";
    return "; make room or write elsewhere";
}

static const char *remedy_of(const struct stasis_error *err)
{
    enum stasis_err code = err->code;

    if (code == STASIS_ERR_NOT_FOUND)
        return "; check the name";
    if (code == STASIS_ERR_CORRUPT && strstr(err->msg, "not a Stasis snapshot"))
        return "; name a file that vmm has saved, or use another copy";
    if (code == STASIS_ERR_CORRUPT)
        return "; do not trust this file, use another copy";
    if (code == STASIS_ERR_VERSION)
        return "; use the program that wrote it";
    if (code == STASIS_ERR_WRITE)
        return remedy_of_write(err->os_errno);
    if (code == STASIS_ERR_NOMEM)
        return "; free memory, or use a host that has more";
    if (code == STASIS_ERR_INTERNAL)
        return "; this is a fault of the program: report it";
    return "";
}

/* Whether the message says what to do already, in words that the libraries have. */
static bool has_remedy(const char *msg)
{
    static const char *const words[] = {"name its folder by layers", "in its folder; put it there",
                                        "give it to a guest by vmm --block",
                                        "or allow it to be dropped"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(msg, words[i]))
            return true;
    return false;
}

const char *stasis_message_remedy(const struct stasis_error *err)
{
    const char *remedy = remedy_of(err);
    bool said = remedy[0] && (strstr(err->msg, remedy + strlen("; ")) || has_remedy(err->msg));

    return said ? "" : remedy;
}
