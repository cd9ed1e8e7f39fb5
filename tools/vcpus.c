/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/vcpus.h"

#include <stdbool.h>
#include <string.h>

#include "stasis/state.h"

/* Shorter names first; records of one length are in the order of the names already. */
static bool is_before(const char *a, const char *b)
{
    size_t len_a = strlen(a);
    size_t len_b = strlen(b);

    return len_a != len_b ? len_a < len_b : strcmp(a, b) < 0;
}

const char *stasis_vcpus_next(const struct stasis_records *records, const char *instance)
{
    size_t count = stasis_records_count(records);
    const char *next = NULL;

    for (size_t i = stasis_records_find(records, stasis_x86_regs_schema.type, NULL); i < count;
         i++) {
        struct stasis_record record = stasis_records_at(records, i);

        if (strcmp(record.type, stasis_x86_regs_schema.type) != 0)
            break;
        if (record.schema == &stasis_x86_regs_schema && /* or it is of a newer release */
            (!instance || is_before(instance, record.instance)) &&
            (!next || is_before(record.instance, next)))
            next = record.instance;
    }
    return next;
}
