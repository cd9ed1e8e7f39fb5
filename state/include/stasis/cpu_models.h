/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The CPU models that a board can have, from stasis/state/cpu_models.def. All functions are pure.
 */
#ifndef STASIS_CPU_MODELS_H
#define STASIS_CPU_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#include "stasis/compiler.h"

STASIS_BEGIN_DECLS

/* Their places in the table. */
enum stasis_cpu_model_id {
#define STASIS_CPU_MODEL(id, name, since, doc) STASIS_CPU_##id,
#include "stasis/state/cpu_models.def"
#undef STASIS_CPU_MODEL
    STASIS_CPU_MODEL_COUNT
};

struct stasis_cpu_model {
    const char *name;  /* "x86-64-v2" */
    const char *since; /* the first release that had it, "0.2.0" */
    const char *doc;
};

STASIS_EXPORT const struct stasis_cpu_model *stasis_cpu_model_all(size_t *ret_count);

/* NULL: no release has a model of that name. */
STASIS_EXPORT const struct stasis_cpu_model *stasis_cpu_model_find(const char *name);

/* Whether a release of Stasis after `release` ("0.1.0") added the model. False for a name that is
 * not in the table. */
STASIS_EXPORT bool stasis_cpu_model_is_newer(const char *name, const char *release);

/* Whether a guest of that model has the CPUID of the host that it was made on. One of any other
 * model has a fixed CPUID, by which it is at home on hosts of every vendor. */
STASIS_EXPORT bool stasis_cpu_model_is_host(const char *name);

/* "host, baseline or x86-64-v2": those that `release` has; NULL: all. Cut off where it does not
 * fit. */
STASIS_EXPORT void stasis_cpu_model_names(const char *release, char *ret_text, size_t size);

#define STASIS_CPU_MODEL_NAMES_SIZE 160 /* room for all of them */

STASIS_END_DECLS

#endif
