/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sections of a file besides RAM: state, which opening reads, and schemas and notes, which are
 * read for those who ask.
 */
#include <stdlib.h>

#include "object.h"

int stasis_snap_read_state(struct stasis_snap *snap, const struct stasis_parse_opts *opts,
                           struct stasis_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = stasis_source_read_section(snap->files[0], STASIS_SECTION_STATE, "state",
                                        STASIS_STATE_MAX, &bytes, &len, err);

    if (!rc && opts && opts->root)
        rc = stasis_source_compare_root(snap->files[0], &snap->index, bytes, len, opts->root, err);
    if (rc) {
        free(bytes);
        return rc;
    }
    rc = stasis_records_parse(bytes, len, opts, &snap->records, err);
    free(bytes);
    return rc == STASIS_ERR_VERSION
               ? stasis_wrap(err, rc, "written by %s", snap->header.info.producer)
               : rc;
}

static int read_schemas(struct stasis_snap *snap, struct stasis_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = stasis_source_read_section(snap->files[0], STASIS_SECTION_SCHEMA, "schema",
                                        STASIS_SCHEMA_SET_MAX, &bytes, &len, err);

    if (rc)
        return rc;
    rc = stasis_schema_set_parse(bytes, len, &snap->schemas, err);
    free(bytes);
    return rc ? rc : stasis_records_use_embedded_schemas(snap->records, snap->schemas, err);
}

int stasis_snap_read_schemas(struct stasis_snap *snap, struct stasis_error *err)
{
    int rc;

    if (!stasis_input_is_open(&snap->input))
        return stasis_fail(err, STASIS_ERR_ARG, "only an opened snapshot came with schemas");
    if (snap->schemas || !stasis_header_section(&snap->header, STASIS_SECTION_SCHEMA))
        return 0;
    rc = read_schemas(snap, err);
    return rc ? stasis_wrap(err, rc, "%s", snap->name) : 0;
}

int stasis_snap_parse_notes(const struct stasis_snap *snap, struct stasis_notes **ret_notes,
                            struct stasis_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = stasis_source_read_section(snap->files[0], STASIS_SECTION_NOTES, "notes",
                                        STASIS_NOTES_SECTION_MAX, &bytes, &len, err);

    if (!rc)
        rc = stasis_notes_parse(bytes, len, ret_notes, err);
    free(bytes);
    return rc ? stasis_wrap(err, rc, "%s", snap->name) : 0;
}

int stasis_snap_read_notes(struct stasis_snap *snap, struct stasis_error *err)
{
    struct stasis_notes *notes = NULL;
    int rc;

    if (!stasis_input_is_open(&snap->input))
        return stasis_fail(err, STASIS_ERR_ARG, "only an opened snapshot came with notes");
    if (snap->notes_read || !stasis_header_section(&snap->header, STASIS_SECTION_NOTES))
        return 0;
    rc = stasis_snap_parse_notes(snap, &notes, err);
    if (rc)
        return rc;
    stasis_notes_free(snap->notes);
    snap->notes = notes;
    snap->notes_read = true;
    return 0;
}

const struct stasis_schema_set *stasis_snap_schemas(const struct stasis_snap *snap)
{
    return snap->schemas;
}

int stasis_snap_check_roots(const struct stasis_snap *snap, struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t n = 0; n < snap->walked_count && !rc; n++)
        rc = stasis_source_check_root(snap->files[n], n ? NULL : stasis_snap_own_index(snap),
                                      snap->files[n]->header.info.root, err);
    return rc;
}
