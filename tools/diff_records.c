/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The machine's records first, then vCPU by vCPU.
 */
#include <stdlib.h>
#include <string.h>

#include "stasis/state.h"
#include "tools/diff.h"

/* A record of either snapshot or of both; SIZE_MAX: not there. */
struct pair {
    const char *type;
    const char *instance;
    size_t index[2];
    bool of_vcpu;
};

enum { A, B };

struct telling {
    const struct stasis_diff_out *out;
    const struct stasis_diff_record *record;
    bool begun;
};

/* ---- which records there are ---- */

static bool is_vcpu(struct stasis_records *const sets[2], const char *instance)
{
    const char *type = stasis_x86_regs_schema.type;

    return stasis_records_find(sets[A], type, instance) != SIZE_MAX ||
           stasis_records_find(sets[B], type, instance) != SIZE_MAX;
}

static int by_place(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    size_t len_x = strlen(x->instance), len_y = strlen(y->instance);
    int order = x->of_vcpu - y->of_vcpu;

    if (!order && x->of_vcpu) /* cpu2 before cpu10 */
        order =
            len_x != len_y ? (len_x > len_y) - (len_x < len_y) : strcmp(x->instance, y->instance);
    if (!order)
        order = strcmp(x->type, y->type);
    return order ? order : strcmp(x->instance, y->instance);
}

/* Both sets are ascending. Returns how many there are. */
static size_t merge(struct stasis_records *const sets[2], struct pair *pairs)
{
    size_t counts[2] = {stasis_records_count(sets[A]), stasis_records_count(sets[B])};
    size_t at[2] = {0, 0}, count = 0;

    while (at[A] < counts[A] || at[B] < counts[B]) {
        struct stasis_record a = {0}, b = {0};
        int order = at[A] == counts[A];

        if (at[A] < counts[A])
            a = stasis_records_at(sets[A], at[A]);
        if (at[B] < counts[B])
            b = stasis_records_at(sets[B], at[B]);
        else
            order = -1;
        if (a.type && b.type)
            order = strcmp(a.type, b.type);
        if (a.type && b.type && !order)
            order = strcmp(a.instance, b.instance);
        pairs[count].type = order <= 0 ? a.type : b.type;
        pairs[count].instance = order <= 0 ? a.instance : b.instance;
        pairs[count].index[A] = order <= 0 ? at[A]++ : SIZE_MAX;
        pairs[count].index[B] = order >= 0 ? at[B]++ : SIZE_MAX;
        pairs[count].of_vcpu = is_vcpu(sets, pairs[count].instance);
        count++;
    }
    qsort(pairs, count, sizeof(*pairs), by_place);
    return count;
}

/* ---- one record ---- */

static void begin(struct telling *telling)
{
    if (!telling->begun)
        telling->out->record_begin(telling->out->ctx, telling->record);
    telling->begun = true;
}

static void tell_field(void *ctx, const char *path, const struct stasis_scalar *a,
                       const struct stasis_scalar *b)
{
    struct telling *telling = ctx;

    begin(telling);
    telling->out->field(telling->out->ctx, path, a, b);
}

static bool is_same(const struct stasis_diff_record *record)
{
    const struct stasis_record *a = &record->a, *b = &record->b;

    return record->where == STASIS_DIFF_BOTH && a->version == b->version &&
           a->optional == b->optional && a->fields_len == b->fields_len &&
           !memcmp(a->fields, b->fields, a->fields_len);
}

/* Whether two records may have one meaning though they are not the same: if this program knows both
 * versions, it has read them as the newer one. */
static bool may_agree(const struct stasis_diff_record *record)
{
    return record->where == STASIS_DIFF_BOTH && record->a.version != record->b.version &&
           !record->a.embedded && !record->b.embedded;
}

bool stasis_diff_is_described(const struct stasis_diff_record *record)
{
    return (record->where == STASIS_DIFF_ONLY_B || record->a.schema) &&
           (record->where == STASIS_DIFF_ONLY_A || record->b.schema);
}

static int tell_fields(struct telling *telling, struct stasis_records *const sets[2],
                       const struct pair *pair, struct stasis_error *err)
{
    struct stasis_side sides[2] = {{0}};
    int rc = 0;

    for (unsigned i = A; i <= B && !rc; i++) {
        if (pair->index[i] != SIZE_MAX)
            rc = stasis_side_init(&sides[i], sets[i], pair->index[i], err);
    }
    if (!rc)
        rc = stasis_fields_walk(&sides[A], &sides[B], tell_field, telling, err);
    stasis_side_fini(&sides[A]);
    stasis_side_fini(&sides[B]);
    return rc;
}

static int tell_pair(struct stasis_records *const sets[2], const struct pair *pair,
                     const struct stasis_diff_out *out, bool *ret_differs, struct stasis_error *err)
{
    struct stasis_diff_record record = {.where = STASIS_DIFF_BOTH};
    struct telling telling = {.out = out, .record = &record};
    int rc = 0;

    if (pair->index[A] != SIZE_MAX)
        record.a = stasis_records_at(sets[A], pair->index[A]);
    else
        record.where = STASIS_DIFF_ONLY_B;
    if (pair->index[B] != SIZE_MAX)
        record.b = stasis_records_at(sets[B], pair->index[B]);
    else
        record.where = STASIS_DIFF_ONLY_A;
    *ret_differs = false;
    if (is_same(&record))
        return 0;
    if (!stasis_diff_is_described(&record) || !may_agree(&record))
        begin(&telling);
    if (stasis_diff_is_described(&record))
        rc = tell_fields(&telling, sets, pair, err);
    if (telling.begun)
        out->record_end(out->ctx);
    *ret_differs = telling.begun;
    return rc;
}

int stasis_diff_records(struct stasis_snap *a, struct stasis_snap *b,
                        const struct stasis_diff_out *out, struct stasis_diff_counts *counts,
                        struct stasis_error *err)
{
    struct stasis_records *const sets[2] = {stasis_snap_records(a), stasis_snap_records(b)};
    struct pair *pairs =
        calloc(stasis_records_count(sets[A]) + stasis_records_count(sets[B]) + 1, sizeof(*pairs));
    size_t count;
    int rc = 0;

    if (!pairs)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compare records");
    count = merge(sets, pairs);
    for (size_t i = 0; i < count && !rc; i++) {
        bool differs;

        rc = tell_pair(sets, &pairs[i], out, &differs, err);
        counts->records++;
        counts->records_differ += differs;
    }
    free(pairs);
    return rc;
}
