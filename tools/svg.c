/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/svg.h"

#include <stdlib.h>

#include "tools/html.h"
#include "tools/text.h"

void stasis_svg_put(FILE *out, const char *text)
{
    FILE *escaped = stasis_html_text(out);

    if (!escaped)
        return;
    stasis_text_put(escaped, text);
    fclose(escaped);
}

int stasis_svg_write(struct stasis_outputs *outputs, const char *path,
                     void (*draw)(const void *what, FILE *out), const void *what,
                     struct stasis_error *err)
{
    struct stasis_output *file = NULL;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int rc;

    if (!out)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the picture");
    draw(what, out);
    if (fclose(out) || !len) {
        free(text);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the picture");
    }
    rc = stasis_inspect_create(outputs, path, &file, err);
    if (!rc)
        rc = stasis_output_put(file, text, len, 0, err);
    if (!rc)
        rc = stasis_inspect_finish(file, len, err);
    stasis_output_close(file);
    free(text);
    return rc;
}
