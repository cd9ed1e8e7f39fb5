/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "vmm/api/options_internal.h"

static int add(struct stasis_notes *notes, const char *key, const char *value,
               struct stasis_error *err)
{
    int rc;

    if (stasis_notes_get(notes, key))
        return stasis_fail(err, STASIS_ERR_ARG, "the note %s is given twice; give it once", key);
    rc = stasis_notes_set(notes, key, value, err);
    if (rc != STASIS_ERR_RANGE && rc != STASIS_ERR_FULL)
        return rc;
    if (err)
        err->code = STASIS_ERR_ARG;
    return STASIS_ERR_ARG;
}

int stasis_option_add_note(struct stasis_notes **notes, const char *value, struct stasis_error *err)
{
    size_t key_len = strcspn(value, "=");
    char *key;
    int rc;

    if (!value[key_len])
        return stasis_fail(err, STASIS_ERR_ARG, "give KEY=VALUE, for example image=debian-12");
    if (!*notes)
        *notes = stasis_notes_new();
    key = strndup(value, key_len);
    rc = key && *notes ? add(*notes, key, value + key_len + 1, err)
                       : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the note");
    free(key);
    return rc;
}
