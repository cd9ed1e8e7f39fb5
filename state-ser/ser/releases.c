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

static const struct stasis_release_record release_0_2_0[] = {
#include "frozen/0.2.0.def"
};

#define STASIS_RELEASE(name_, format_, vcpus_, records_)                                           \
    {                                                                                              \
        .name = (name_), .vcpus = (vcpus_), .records = (records_),                                 \
        .record_count = sizeof(records_) / sizeof((records_)[0]), .cpu_models = (name_),           \
        .format_version = (format_)                                                                \
    }

static const struct stasis_release releases[] = {
    STASIS_RELEASE("0.1.0", 1, 1, release_0_1_0),
    STASIS_RELEASE("0.2.0", 2, 254, release_0_2_0),
};

const struct stasis_release *stasis_release_all(size_t *ret_count)
{
    *ret_count = sizeof(releases) / sizeof(releases[0]);
    return releases;
}

int stasis_release_get(const char *name, const struct stasis_release **ret_release,
                       struct stasis_error *err)
{
    char known[200] = "";
    size_t count, used = 0;
    const struct stasis_release *all = stasis_release_all(&count);

    for (size_t i = 0; i < count; i++) {
        if (!strcmp(all[i].name, name)) {
            *ret_release = &all[i];
            return 0;
        }
        if (used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                                     all[i].name);
    }
    return stasis_fail(err, STASIS_ERR_ARG, "%.40s is not an earlier release: give %s", name,
                       known);
}
