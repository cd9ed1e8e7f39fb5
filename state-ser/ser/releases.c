/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The release table. frozen/<release>.def is written once, when the release is made
 * (docs/architecture.md, "Versions"), and never changed.
 */
#include <string.h>

#include "stasis/migrate.h"

#define STASIS_FROZEN(type_, version_, behaviour_)                                                 \
    {.type = (type_), .version = (version_), .behaviour = (behaviour_)},

static const struct stasis_release_record release_0_1_0[] = {
#include "frozen/0.1.0.def"
};

#define STASIS_RELEASE(name_, vcpus_, records_)                                                    \
    {                                                                                              \
        .name = (name_), .vcpus = (vcpus_), .records = (records_),                                 \
        .record_count = sizeof(records_) / sizeof((records_)[0])                                   \
    }

static const struct stasis_release releases[] = {
    STASIS_RELEASE("0.1.0", 1, release_0_1_0),
};

const struct stasis_release *stasis_release_all(size_t *ret_count)
{
    *ret_count = sizeof(releases) / sizeof(releases[0]);
    return releases;
}

const struct stasis_release *stasis_release_find(const char *name)
{
    for (size_t i = 0; i < sizeof(releases) / sizeof(releases[0]); i++) {
        if (!strcmp(releases[i].name, name))
            return &releases[i];
    }
    return NULL;
}
