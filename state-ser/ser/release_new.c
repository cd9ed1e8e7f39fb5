/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Releases of other programs: one of ours, and record types of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "stasis/field.h"
#include "stasis/migrate.h"

/* A release, and copies of all that it points to. */
struct own_release {
    struct stasis_release release;
    char name[STASIS_RELEASE_NAME_MAX + 1];
    char (*types)[STASIS_TYPE_MAX + 1];
    struct stasis_release_record records[];
};

static bool is_shown(const char *text)
{
    size_t left = strlen(text);

    while (left) {
        uint32_t code;
        size_t len = stasis_utf8_decode(text, left, &code);

        if (!len || !stasis_char_shown(code))
            return false;
        text += len;
        left -= len;
    }
    return true;
}

static int check_name(const char *name, struct stasis_error *err)
{
    size_t len = strlen(name);

    if (len && len <= STASIS_RELEASE_NAME_MAX && is_shown(name))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the name of a release must be 1 to %d bytes of printable UTF-8",
                       STASIS_RELEASE_NAME_MAX);
}

static int check_record(const struct stasis_release_record *record, const char *name,
                        struct stasis_error *err)
{
    if (!stasis_is_name(record->type, strlen(record->type)))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "release %s: \"%.40s\" is no record type: 1 to %d of a-z 0-9 . _ -",
                           name, record->type, STASIS_TYPE_MAX);
    if (!record->version)
        return stasis_fail(err, STASIS_ERR_ARG, "release %s: %s has version 0; versions start at 1",
                           name, record->type);
    return 0;
}

/* Inserts a copy of the record where it sorts. */
static int add_record(struct own_release *own, const struct stasis_release_record *record,
                      struct stasis_error *err)
{
    size_t count = own->release.record_count, at = count;
    char *type = own->types[count];

    if (stasis_release_record_find(&own->release, record->type))
        return stasis_fail(err, STASIS_ERR_ARG, "release %s has the record type %s twice",
                           own->name, record->type);
    while (at && strcmp(own->records[at - 1].type, record->type) > 0)
        at--;
    memmove(&own->records[at + 1], &own->records[at], (count - at) * sizeof(own->records[0]));
    snprintf(type, STASIS_TYPE_MAX + 1, "%s", record->type);
    own->records[at] = *record;
    own->records[at].type = type;
    own->release.record_count++;
    return 0;
}

static struct own_release *own_new(const char *name, const struct stasis_release *base,
                                   size_t count)
{
    struct own_release *own = calloc(1, sizeof(*own) + count * sizeof(own->records[0]));

    if (!own)
        return NULL;
    own->types = calloc(count + 1, sizeof(own->types[0]));
    if (!own->types) {
        free(own);
        return NULL;
    }
    snprintf(own->name, sizeof(own->name), "%s", name);
    own->release = (struct stasis_release){.name = own->name,
                                           .vcpus = base ? base->vcpus : UINT32_MAX,
                                           .records = own->records,
                                           .cpu_models = base ? base->cpu_models : NULL,
                                           .format_version = base ? base->format_version : 0};
    return own;
}

int stasis_release_new(const char *name, const struct stasis_release *base,
                       const struct stasis_release_record *own, size_t count,
                       struct stasis_release **ret_release, struct stasis_error *err)
{
    size_t base_count = base ? base->record_count : 0;
    struct own_release *release = NULL;
    int rc = check_name(name, err);

    if (rc)
        return rc;
    release = own_new(name, base, base_count + count);
    if (!release)
        return stasis_fail(err, STASIS_ERR_NOMEM, "release %s: out of memory", name);
    for (size_t i = 0; !rc && i < base_count; i++)
        rc = add_record(release, &base->records[i], err);
    for (size_t i = 0; !rc && i < count; i++) {
        rc = check_record(&own[i], name, err);
        if (!rc)
            rc = add_record(release, &own[i], err);
    }
    if (rc)
        stasis_release_free(&release->release);
    else
        *ret_release = &release->release;
    return rc;
}

void stasis_release_free(struct stasis_release *release)
{
    struct own_release *own = (struct own_release *)release; /* its first member */

    if (own)
        free(own->types);
    free(own);
}
