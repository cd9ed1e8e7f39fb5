/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/html.h"

#include <errno.h>

static const char *escape_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static ssize_t write_escaped(void *cookie, const char *bytes, size_t len)
{
    FILE *out = cookie;

    for (size_t i = 0; i < len; i++) {
        const char *escape = escape_of(bytes[i]);

        if (escape)
            fputs(escape, out);
        else
            fputc(bytes[i], out);
    }
    return ferror(out) ? 0 : (ssize_t)len; /* 0 tells stdio of an error */
}

FILE *stasis_html_text(FILE *out)
{
    return fopencookie(out, "w", (cookie_io_functions_t){.write = write_escaped});
}

static ssize_t write_output(void *cookie, const char *bytes, size_t len)
{
    struct stasis_html_file *file = cookie;

    if (file->err.code || stasis_output_put(file->output, bytes, len, file->len, &file->err)) {
        errno = EIO;
        return 0;
    }
    file->len += len;
    return (ssize_t)len;
}

FILE *stasis_html_open(struct stasis_html_file *file)
{
    return fopencookie(file, "w", (cookie_io_functions_t){.write = write_output});
}
