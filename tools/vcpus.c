/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/vcpus.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "stasis/state.h"

/* A vCPU's registers; not of a newer release. */
static bool is_vcpu(const struct stasis_record *record)
{
    return record->schema == &stasis_x86_regs_schema;
}

static bool is_regs(const struct stasis_record *record)
{
    return strcmp(record->type, stasis_x86_regs_schema.type) == 0;
}

/* The name of the first vCPU from record `at` on whose name has this length, or NULL. */
static const char *with_length(const struct stasis_records *records, size_t at, size_t len)
{
    for (; at < stasis_records_count(records); at++) {
        struct stasis_record record = stasis_records_at(records, at);

        if (!is_regs(&record))
            break;
        if (is_vcpu(&record) && strlen(record.instance) == len)
            return record.instance;
    }
    return NULL;
}

/* The shortest length of a name that is at least `least`, or SIZE_MAX. */
static size_t next_length(const struct stasis_records *records, size_t at, size_t least)
{
    size_t shortest = SIZE_MAX;

    for (; at < stasis_records_count(records); at++) {
        struct stasis_record record = stasis_records_at(records, at);
        size_t len = strlen(record.instance);

        if (!is_regs(&record))
            break;
        if (is_vcpu(&record) && len >= least && len < shortest)
            shortest = len;
    }
    return shortest;
}

/* Shorter names first; records of one length are in the order of the names already. So all of them
 * together take one walk for each length that there is. */
const char *stasis_vcpus_next(const struct stasis_records *records, const char *instance)
{
    const char *type = stasis_x86_regs_schema.type;
    size_t first = stasis_records_find(records, type, NULL);
    size_t least = 0;

    if (instance) {
        size_t at = stasis_records_find(records, type, instance);
        const char *next = with_length(records, at + 1, strlen(instance));

        if (next)
            return next;
        least = strlen(instance) + 1;
    }
    return with_length(records, first, next_length(records, first, least));
}
