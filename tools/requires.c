/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/requires.h"

#include <stdlib.h>

#include "stasis/cpu_models.h"
#include "tools/inspect.h"
#include "tools/vcpus.h"

/* ---- CPUID ---- */

static struct stasis_x86_cpuid_leaf_state *leaf_of(struct stasis_x86_cpuid_state *cpuid,
                                                   const struct stasis_x86_cpuid_leaf_state *like)
{
    struct stasis_x86_cpuid_leaf_state *leaf = cpuid->leaves;

    for (uint32_t i = 0; i < cpuid->leaves_count; i++, leaf++) {
        if (leaf->function == like->function && leaf->index == like->index)
            return leaf;
    }
    if (cpuid->leaves_count == sizeof(cpuid->leaves) / sizeof(cpuid->leaves[0]))
        return NULL;
    cpuid->leaves_count++;
    *leaf = (struct stasis_x86_cpuid_leaf_state){.function = like->function, .index = like->index};
    return leaf;
}

/* vCPUs of a VM have the same table, but for their numbers. */
static void add_cpuid(struct stasis_requires *needs, const struct stasis_x86_cpuid_state *cpuid)
{
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *from = &cpuid->leaves[i];
        struct stasis_x86_cpuid_leaf_state *to = leaf_of(&needs->cpuid, from);

        if (!to)
            continue;
        to->eax |= from->eax;
        to->ebx |= from->ebx;
        to->ecx |= from->ecx;
        to->edx |= from->edx;
    }
    needs->vcpus++;
}

/* ---- MSRs ---- */

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Both are ascending. */
static int add_msrs(struct stasis_requires *needs, const struct stasis_x86_msrs_state *msrs,
                    struct stasis_error *err)
{
    size_t old = needs->msr_count;
    uint32_t *list = realloc(needs->msrs, (old + msrs->msrs_count + 1) * sizeof(*list));

    if (!list)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    needs->msrs = list;
    for (uint32_t i = 0; i < msrs->msrs_count; i++) {
        if (!bsearch(&msrs->msrs[i].index, list, old, sizeof(*list), compare))
            list[needs->msr_count++] = msrs->msrs[i].index;
    }
    if (needs->msr_count > old)
        qsort(list, needs->msr_count, sizeof(*list), compare);
    return 0;
}

/* ---- all ---- */

/* Room for any record of a vCPU that is looked at. */
union vcpu_state {
    struct stasis_x86_cpuid_state cpuid;
    struct stasis_x86_msrs_state msrs;
    struct stasis_x86_xsave_state xsave;
    struct stasis_x86_xcrs_state xcrs;
    struct stasis_x86_tsc_state tsc;
};

static int add_vcpu(struct stasis_requires *needs, const struct stasis_records *records,
                    const char *instance, union vcpu_state *state, struct stasis_error *err)
{
    int rc = 0;

    if (!stasis_records_get(records, &stasis_x86_cpuid_schema, instance, state, NULL))
        add_cpuid(needs, &state->cpuid);
    if (!stasis_records_get(records, &stasis_x86_xsave_schema, instance, state, NULL))
        needs->xstate_bv |= state->xsave.xstate_bv;
    if (!stasis_records_get(records, &stasis_x86_xcrs_schema, instance, state, NULL))
        needs->xcr0 |= state->xcrs.xcr0;
    if (!needs->tsc_khz &&
        !stasis_records_get(records, &stasis_x86_tsc_schema, instance, state, NULL))
        needs->tsc_khz = state->tsc.khz;
    if (!stasis_records_get(records, &stasis_x86_msrs_schema, instance, state, NULL))
        rc = add_msrs(needs, &state->msrs, err);
    return rc;
}

int stasis_requires_gather(const struct stasis_records *records,
                           struct stasis_requires **ret_requires, struct stasis_error *err)
{
    struct stasis_requires *needs = calloc(1, sizeof(*needs));
    union vcpu_state *state = malloc(sizeof(*state));
    const char *instance = NULL;
    int rc = needs && state ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");

    while (!rc && (instance = stasis_vcpus_next(records, instance)))
        rc = add_vcpu(needs, records, instance, state, err);
    free(state);
    if (rc) {
        stasis_requires_free(needs);
        return rc;
    }
    needs->has_board =
        !stasis_records_get(records, &stasis_board_schema, NULL, &needs->board, NULL);
    needs->unknown = stasis_inspect_unknown_count(records);
    *ret_requires = needs;
    return 0;
}

void stasis_requires_free(struct stasis_requires *needs)
{
    if (needs)
        free(needs->msrs);
    free(needs);
}

bool stasis_requires_tsc_rate(const struct stasis_requires *needs)
{
    return stasis_x86_cpuid_needs_tsc_rate(&needs->cpuid);
}

const char *stasis_requires_vendor(const struct stasis_requires *needs, char ret_vendor[13])
{
    bool is_any = needs->has_board && !stasis_cpu_model_is_host(needs->board.cpu_model);

    return !is_any && stasis_x86_cpuid_vendor(&needs->cpuid, ret_vendor) ? ret_vendor : NULL;
}

void stasis_requires_features(const struct stasis_requires *needs,
                              void (*fn)(void *opaque, const struct stasis_x86_feature *feature),
                              void *opaque)
{
    stasis_x86_features_missing(NULL, &needs->cpuid, fn, opaque);
}

uint32_t stasis_requires_xsave_size(const struct stasis_requires *needs)
{
    for (uint32_t i = 0; i < needs->cpuid.leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *leaf = &needs->cpuid.leaves[i];

        if (leaf->function == 0xd && leaf->index == 0)
            return leaf->ecx;
    }
    return 0;
}
