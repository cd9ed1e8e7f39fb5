/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/cpu_models.h"

#include <stdio.h>
#include <string.h>

static const struct stasis_cpu_model models[STASIS_CPU_MODEL_COUNT] = {
#define STASIS_CPU_MODEL(id_, name_, since_, doc_)                                                 \
    [STASIS_CPU_##id_] = {.name = (name_), .since = (since_), .doc = (doc_)},
#include "stasis/state/cpu_models.def"
#undef STASIS_CPU_MODEL
};

const struct stasis_cpu_model *stasis_cpu_model_all(size_t *ret_count)
{
    *ret_count = STASIS_CPU_MODEL_COUNT;
    return models;
}

const struct stasis_cpu_model *stasis_cpu_model_find(const char *name)
{
    for (size_t i = 0; i < STASIS_CPU_MODEL_COUNT; i++) {
        if (!strcmp(models[i].name, name))
            return &models[i];
    }
    return NULL;
}

static bool is_after(const struct stasis_cpu_model *model, const char *release)
{
    return release && strverscmp(model->since, release) > 0;
}

bool stasis_cpu_model_is_newer(const char *name, const char *release)
{
    const struct stasis_cpu_model *model = stasis_cpu_model_find(name);

    return model && is_after(model, release);
}

bool stasis_cpu_model_is_host(const char *name)
{
    return !strcmp(name, models[STASIS_CPU_HOST].name);
}

void stasis_cpu_model_names(const char *release, char *ret_text, size_t size)
{
    size_t known = 0, used = 0, told = 0;

    if (size)
        ret_text[0] = '\0';
    for (size_t i = 0; i < STASIS_CPU_MODEL_COUNT; i++)
        known += !is_after(&models[i], release);
    for (size_t i = 0; i < STASIS_CPU_MODEL_COUNT && used < size; i++) {
        const char *before = !told ? "" : told + 1 < known ? ", " : " or ";

        if (is_after(&models[i], release))
            continue;
        used += (size_t)snprintf(ret_text + used, size - used, "%s%s", before, models[i].name);
        told++;
    }
}
