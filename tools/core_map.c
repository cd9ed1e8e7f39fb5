/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which page tables there are to follow.
 */
#include "stasis/state.h"
#include "tools/core.h"
#include "tools/vcpus.h"

#define CR0_PG    (UINT64_C(1) << 31)
#define CR4_LA57  (UINT64_C(1) << 12)
#define EFER_LMA  (UINT64_C(1) << 10)
#define UPPER_BIT (UINT64_C(1) << 63)

/* Linux is above; what has no other place to be in, such as a boot loader, is below. */
static bool kernel_is_below(const struct stasis_x86_regs_state *regs,
                            const struct stasis_x86_sregs_state *sregs)
{
    return sregs->cs.dpl == 0 && !(regs->rip & UPPER_BIT);
}

int stasis_core_map(const struct stasis_records *records, bool user, struct stasis_paging *paging,
                    struct stasis_core_cpus *ret_cpus, struct stasis_error *err)
{
    struct stasis_core_cpus cpus = {0};
    const char *instance = NULL;
    int rc = 0;

    while (!rc && (instance = stasis_vcpus_next(records, instance))) {
        struct stasis_x86_regs_state regs;
        struct stasis_x86_sregs_state sregs;
        unsigned halves = STASIS_PAGING_UPPER;
        bool first = !cpus.count++;

        if (stasis_records_get(records, &stasis_x86_regs_schema, instance, &regs, NULL) ||
            stasis_records_get(records, &stasis_x86_sregs_schema, instance, &sregs, NULL) ||
            !(sregs.cr0 & CR0_PG))
            continue;
        if (!(sregs.efer & EFER_LMA)) {
            cpus.others++;
            continue;
        }
        cpus.paged++;
        if (first && (user || kernel_is_below(&regs, &sregs)))
            halves |= STASIS_PAGING_LOWER;
        rc = stasis_paging_walk(paging, sregs.cr3, sregs.cr4 & CR4_LA57 ? 5 : 4, halves, err);
    }
    if (!rc)
        *ret_cpus = cpus;
    return rc;
}
