/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Notes as Linux writes them into the core of an x86-64 process; gdb takes each vCPU for a thread.
 */
#include <elf.h>
#include <endian.h>
#include <string.h>

#include "stasis/state.h"
#include "tools/core.h"
#include "tools/vcpus.h"

/* struct elf_prstatus of x86-64, which other hosts do not have. */
struct prstatus {
    uint32_t signal[3];
    uint32_t current_signal;
    uint64_t pending_signals[2];
    uint32_t pid; /* gdb's number of the thread; 0 would be taken for none */
    uint32_t other_pids[3];
    uint64_t times[8];
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t orig_rax; /* of a system call; -1: in none */
    uint64_t rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
    uint32_t has_float;
    uint32_t padding;
};

/* struct user_fpregs_struct: what FXSAVE stores (Intel SDM 1, table 10-2). */
struct fxsave {
    uint16_t fcw, fsw, ftw, fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[128];
    uint8_t xmm[256];
    uint8_t padding[96];
};

static void put_padded(FILE *out, const void *bytes, size_t len)
{
    fwrite(bytes, 1, len, out);
    fwrite("\0\0\0", 1, (4 - len % 4) % 4, out);
}

static void put_note(FILE *out, const char *name, uint32_t type, const void *bytes, size_t len)
{
    Elf64_Nhdr header = {htole32((uint32_t)strlen(name) + 1), htole32((uint32_t)len),
                         htole32(type)};

    fwrite(&header, sizeof(header), 1, out);
    put_padded(out, name, strlen(name) + 1);
    put_padded(out, bytes, len);
}

static void fill_regs(const struct stasis_x86_regs_state *regs, struct prstatus *status)
{
    status->r15 = htole64(regs->r15);
    status->r14 = htole64(regs->r14);
    status->r13 = htole64(regs->r13);
    status->r12 = htole64(regs->r12);
    status->rbp = htole64(regs->rbp);
    status->rbx = htole64(regs->rbx);
    status->r11 = htole64(regs->r11);
    status->r10 = htole64(regs->r10);
    status->r9 = htole64(regs->r9);
    status->r8 = htole64(regs->r8);
    status->rax = htole64(regs->rax);
    status->rcx = htole64(regs->rcx);
    status->rdx = htole64(regs->rdx);
    status->rsi = htole64(regs->rsi);
    status->rdi = htole64(regs->rdi);
    status->orig_rax = UINT64_MAX;
    status->rip = htole64(regs->rip);
    status->rflags = htole64(regs->rflags);
    status->rsp = htole64(regs->rsp);
}

static void fill_segments(const struct stasis_x86_sregs_state *sregs, struct prstatus *status)
{
    status->cs = htole64(sregs->cs.selector);
    status->ss = htole64(sregs->ss.selector);
    status->ds = htole64(sregs->ds.selector);
    status->es = htole64(sregs->es.selector);
    status->fs = htole64(sregs->fs.selector);
    status->gs = htole64(sregs->gs.selector);
    status->fs_base = htole64(sregs->fs.base);
    status->gs_base = htole64(sregs->gs.base);
}

static void put_float(const struct stasis_x86_xsave_state *xsave, FILE *out)
{
    struct fxsave fxsave = {
        .fcw = htole16(xsave->fcw),
        .fsw = htole16(xsave->fsw),
        .ftw = htole16(xsave->ftw),
        .fop = htole16(xsave->fop),
        .fip = htole64(xsave->fip),
        .fdp = htole64(xsave->fdp),
        .mxcsr = htole32(xsave->mxcsr),
        .mxcsr_mask = htole32(xsave->mxcsr_mask),
    };

    memcpy(fxsave.st, xsave->st, xsave->st_len);
    memcpy(fxsave.xmm, xsave->xmm, xsave->xmm_len);
    put_note(out, "CORE", NT_FPREGSET, &fxsave, sizeof(fxsave));
}

static void put_vcpu(const struct stasis_records *records, const char *instance, uint32_t pid,
                     FILE *out)
{
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_xsave_state xsave;
    struct prstatus status = {.pid = htole32(pid)};
    bool has_float = !stasis_records_get(records, &stasis_x86_xsave_schema, instance, &xsave, NULL);

    _Static_assert(sizeof(status) == 336 && sizeof(struct fxsave) == 512, "as Linux has it");
    if (!stasis_records_get(records, &stasis_x86_regs_schema, instance, &regs, NULL))
        fill_regs(&regs, &status);
    if (!stasis_records_get(records, &stasis_x86_sregs_schema, instance, &sregs, NULL))
        fill_segments(&sregs, &status);
    status.has_float = htole32(has_float);
    put_note(out, "CORE", NT_PRSTATUS, &status, sizeof(status));
    if (has_float)
        put_float(&xsave, out);
}

void stasis_core_notes(const struct stasis_records *records, const struct stasis_vmcoreinfo *info,
                       FILE *out)
{
    const char *instance = NULL;
    uint32_t pid = 0;

    while ((instance = stasis_vcpus_next(records, instance)))
        put_vcpu(records, instance, ++pid, out);
    if (info)
        put_note(out, "VMCOREINFO", 0, info->text, info->len);
}
