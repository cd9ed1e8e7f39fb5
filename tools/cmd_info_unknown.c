/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/cmd_info.h"

#include <inttypes.h>

#include "tools/fields.h"
#include "tools/inspect.h"

#define FIELDS_SHOWN 64u

struct fields {
    FILE *out;
    uint64_t count;
};

static void print_field(void *ctx, const char *path, const struct stasis_scalar *a,
                        const struct stasis_scalar *b)
{
    struct fields *fields = ctx;

    (void)b;
    if (fields->count++ >= FIELDS_SHOWN)
        return;
    fprintf(fields->out, "  %-24s ", path);
    stasis_scalar_put_text(a, fields->out);
    fputc('\n', fields->out);
}

static int print_fields(FILE *out, const struct stasis_records *records, size_t index,
                        struct stasis_error *err)
{
    const struct stasis_side none = {.schema = NULL};
    struct fields fields = {.out = out};
    struct stasis_side side;
    int rc = stasis_side_init(&side, records, index, err);

    if (rc)
        return rc;
    rc = stasis_fields_walk(&side, &none, print_field, &fields, err);
    if (fields.count > FIELDS_SHOWN)
        fprintf(out, "  and %" PRIu64 " more; json has them all\n", fields.count - FIELDS_SHOWN);
    stasis_side_fini(&side);
    return rc;
}

/* Why the fields of a record have no names. */
static const char *reason(const struct stasis_snap *snap, const struct stasis_record *record)
{
    const struct stasis_schema_set *set = stasis_snap_schemas(snap);

    return set && stasis_schema_set_find(set, record->type, record->version)
               ? ", which is not what its schema in the file says; json has its fields by id\n"
               : ", without a schema; json has its fields by id\n";
}

int stasis_inspect_info_unknown(FILE *out, struct stasis_snap *snap, struct stasis_error *err)
{
    const struct stasis_records *records = stasis_snap_records(snap);
    int rc = 0;

    for (size_t i = 0; i < stasis_records_count(records) && !rc; i++) {
        struct stasis_record record = stasis_records_at(records, i);

        if (!stasis_inspect_is_unknown(&record))
            continue;
        fputs("unknown to this release: ", out);
        stasis_inspect_put_record(out, &record);
        fputs(record.schema ? ", by its schema in the file\n" : reason(snap, &record), out);
        if (record.schema)
            rc = print_fields(out, records, i, err);
    }
    return rc;
}
