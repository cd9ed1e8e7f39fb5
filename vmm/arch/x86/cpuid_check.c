/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether this host can show a guest the CPUID that it was promised.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

/* ---- features ---- */

struct missing {
    struct stasis_reasons *reasons;
    struct stasis_reason like;
};

/* Vendors have bits of their own for a feature: one name may come twice, and is one reason. */
static void add_feature(void *opaque, const struct stasis_x86_feature *feature)
{
    struct missing *missing = opaque;
    struct stasis_reason reason = missing->like;
    char place[STASIS_X86_PLACE_MAX];

    stasis_x86_feature_place(feature, place);
    snprintf(reason.object, sizeof(reason.object), "%s", feature->name ? feature->name : place);
    snprintf(reason.asks, sizeof(reason.asks), "%s", place);
    snprintf(reason.has, sizeof(reason.has), "clear");
    stasis_reasons_add(missing->reasons, &reason);
}

void stasis_x86_features_check(const struct stasis_x86_cpuid_state *host,
                               const struct stasis_x86_cpuid_state *wanted, const char *model,
                               struct stasis_reasons *reasons)
{
    struct missing missing = {
        .reasons = reasons,
        .like = {.code = STASIS_ERR_HOST, .kind = "cpu-feature", .is_listed = true}};
    struct stasis_reason *like = &missing.like;

    if (model)
        snprintf(like->what, sizeof(like->what),
                 "cpu.model=%s needs CPU features that this host lacks:", model);
    else
        snprintf(like->what, sizeof(like->what),
                 "the guest was promised CPU features that this host lacks:");
    like->remedy = model ? "give cpu.model=baseline, which runs on any host"
                         : "guests started with cpu.model=baseline thaw on any host";
    stasis_x86_features_missing(host, wanted, add_feature, &missing);
}

/* ---- the rest of the table ---- */

/* The guest has laid out its XSAVE areas by what it was told; the CPU goes by its own. Vendors put
 * the same component at different places. */
static void check_component(struct stasis_x86_cpuid_state *host,
                            const struct stasis_x86_cpuid_leaf_state *leaf,
                            struct stasis_reasons *reasons)
{
    const struct stasis_x86_cpuid_leaf_state *has;
    struct stasis_reason reason = {
        .code = STASIS_ERR_HOST,
        .kind = "xsave-layout",
        .remedy =
            "thaw on a host like the one that froze it, or start guests with cpu.model=baseline"};

    if (leaf->function != 0xd || leaf->index < 2 || !leaf->eax)
        return;
    has = stasis_x86_cpuid_find(host, leaf->function, leaf->index);
    if (has && has->eax == leaf->eax && has->ebx == leaf->ebx)
        return;
    snprintf(reason.object, sizeof(reason.object), "CPUID 0xd.%" PRIu32, leaf->index);
    snprintf(reason.asks, sizeof(reason.asks), "%" PRIu32 " bytes at offset %" PRIu32, leaf->eax,
             leaf->ebx);
    if (has && has->eax)
        snprintf(reason.has, sizeof(reason.has), "%" PRIu32 " bytes at offset %" PRIu32, has->eax,
                 has->ebx);
    else
        snprintf(reason.has, sizeof(reason.has), "no such component");
    snprintf(reason.what, sizeof(reason.what),
             "this host's CPU saves the vector registers of CPUID 0xd.%" PRIu32
             " elsewhere than the guest expects",
             leaf->index);
    stasis_reasons_add(reasons, &reason);
}

/* AMD's guests use registers, and forms of instructions, that Intel lacks, and the other way round,
 * whatever the feature bits say; but the fixed models do without them. */
static void check_vendor(const struct stasis_x86_cpuid_state *host,
                         const struct stasis_board_state *board,
                         const struct stasis_x86_cpuid_state *wanted,
                         struct stasis_reasons *reasons)
{
    char has[13], want[13];
    struct stasis_reason reason = {
        .code = STASIS_ERR_HOST,
        .kind = "cpu-vendor",
        .object = "CPUID 0",
        .what = "the guest runs on a CPU of another vendor than this host's",
        .remedy = "guests started with cpu.model=baseline thaw on any host"};

    if (!stasis_x86_cpuid_vendor(host, has) || !stasis_x86_cpuid_vendor(wanted, want) ||
        !memcmp(has, want, sizeof(has)) || !stasis_cpu_model_is_host(board->cpu_model))
        return;
    snprintf(reason.asks, sizeof(reason.asks), "%s", want);
    snprintf(reason.has, sizeof(reason.has), "%s", has);
    stasis_reasons_add(reasons, &reason);
}

void stasis_x86_cpuid_compare(struct stasis_x86_cpuid_state *host,
                              const struct stasis_board_state *board,
                              const struct stasis_x86_cpuid_state *wanted,
                              struct stasis_reasons *reasons)
{
    check_vendor(host, board, wanted, reasons);
    stasis_x86_features_check(host, wanted, NULL, reasons);
    for (uint32_t i = 0; i < wanted->leaves_count; i++)
        check_component(host, &wanted->leaves[i], reasons);
}

int stasis_x86_cpuid_check(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                           const void *cpuid, struct stasis_reasons *reasons,
                           struct stasis_error *err)
{
    struct stasis_x86_cpuid_state *host = calloc(1, sizeof(*host));
    int rc = host ? stasis_x86_cpuid_from_kvm(host, kvm->cpuid, err)
                  : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for CPUID tables");

    if (!rc)
        stasis_x86_cpuid_compare(host, board, cpuid, reasons);
    free(host);
    return rc;
}

/* ---- new guests ---- */

/* The baseline is what every host has; it has no message that could name another model. */
static bool is_everywhere(const char *model)
{
    return stasis_cpu_model_is_host(model) || !strcmp(model, "baseline");
}

int stasis_arch_model_check(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                            struct stasis_error *err)
{
    struct stasis_x86_cpuid_state *host = NULL, *model = NULL;
    struct stasis_reasons reasons = {0};
    int rc = 0;

    if (is_everywhere(board->cpu_model))
        return 0;
    host = calloc(1, sizeof(*host));
    model = calloc(1, sizeof(*model));
    if (!host || !model)
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for CPUID tables");
    if (!rc)
        rc = stasis_x86_cpuid_default(kvm, board, model, err);
    if (!rc)
        rc = stasis_x86_cpuid_from_kvm(host, kvm->cpuid, err);
    if (!rc) {
        stasis_x86_features_check(host, model, board->cpu_model, &reasons);
        rc = stasis_reasons_fail(&reasons, err);
    }
    stasis_reasons_fini(&reasons);
    free(host);
    free(model);
    return rc;
}
