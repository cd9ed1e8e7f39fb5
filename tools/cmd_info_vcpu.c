/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/cmd_info.h"

#include <inttypes.h>

#include "stasis/state.h"
#include "tools/vcpus.h"

#define CR0_PE    (UINT64_C(1) << 0)
#define RFLAGS_VM (UINT64_C(1) << 17)
#define EFER_LMA  (UINT64_C(1) << 10)

/* Intel SDM 3A, 2.2: which mode of operation, and of which size code is in it. */
static const char *mode_name(const struct stasis_x86_regs_state *regs,
                             const struct stasis_x86_sregs_state *sregs)
{
    if (!(sregs->cr0 & CR0_PE))
        return "16-bit (real mode)";
    if (sregs->efer & EFER_LMA) {
        if (sregs->cs.l)
            return "64-bit";
        return sregs->cs.db ? "32-bit (compatibility mode)" : "16-bit (compatibility mode)";
    }
    if (regs->rflags & RFLAGS_VM)
        return "16-bit (virtual-8086 mode)";
    return sregs->cs.db ? "32-bit (protected mode)" : "16-bit (protected mode)";
}

static const char *run_state_name(uint32_t mp_state)
{
    const char *name = stasis_enum_doc("MP_STATE", mp_state);

    return name ? name : "unknown run state";
}

static void print_vcpu(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_mp_state_state mp;
    struct stasis_x86_tsc_state tsc;
    bool has_sregs;

    if (stasis_records_get(records, &stasis_x86_regs_schema, instance, &regs, NULL))
        return;
    has_sregs = !stasis_records_get(records, &stasis_x86_sregs_schema, instance, &sregs, NULL);
    fprintf(out, "vCPU %s", instance);
    if (has_sregs)
        fprintf(out, ", %s", mode_name(&regs, &sregs));
    if (!stasis_records_get(records, &stasis_x86_mp_state_schema, instance, &mp, NULL))
        fprintf(out, ", %s", run_state_name(mp.mp_state));
    if (!stasis_records_get(records, &stasis_x86_tsc_schema, instance, &tsc, NULL))
        fprintf(out, ", TSC %" PRIu32 ".%03" PRIu32 " MHz", tsc.khz / 1000, tsc.khz % 1000);
    fprintf(out, "\n  RIP 0x%016" PRIx64 "  RSP 0x%016" PRIx64 "  RFLAGS 0x%08" PRIx64, regs.rip,
            regs.rsp, regs.rflags);
    if (has_sregs)
        fprintf(out, "  CR3 0x%016" PRIx64, sregs.cr3);
    fputc('\n', out);
}

void stasis_inspect_info_vcpus(FILE *out, const struct stasis_records *records)
{
    const char *instance = NULL;

    while ((instance = stasis_vcpus_next(records, instance)))
        print_vcpu(out, records, instance);
}
