/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Freeze and thaw for an emulator that knows nothing of them and needs no KVM: Unicorn.
 *   unicorn-guest              runs the guest to its end and prints a sum of all that it computed
 *   unicorn-guest FILE COUNT   runs COUNT instructions and freezes it to FILE
 *   unicorn-guest FILE         thaws it, runs on to the end and prints the sum
 * The guest uses general and SSE registers in flat 64-bit mode; only these are saved.
 */
#include <stasis/bind.h>
#include <stasis/snap.h>
#include <stasis/state.h>

#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

#define RAM_SIZE (8u << 20)
#define CODE     0x1000u

/* mov ecx, 200000; mov edi, 4 MiB; mov ebx, 0x5851f42d; then 200000 times:
 * imul rax, rbx; inc rax; mov rsi, rax; shr rsi, 45; xor [rdi + rsi * 8], rax; movq xmm0, rax;
 * pxor xmm1, xmm0; dec rcx; jnz; and hlt */
static const uint8_t guest[] = {
    0xb9, 0x40, 0x0d, 0x03, 0x00, 0xbf, 0x00, 0x00, 0x40, 0x00, 0xbb, 0x2d, 0xf4, 0x51, 0x58, 0x48,
    0x0f, 0xaf, 0xc3, 0x48, 0xff, 0xc0, 0x48, 0x89, 0xc6, 0x48, 0xc1, 0xee, 0x2d, 0x48, 0x31, 0x04,
    0xf7, 0x66, 0x48, 0x0f, 0x6e, 0xc0, 0x66, 0x0f, 0xef, 0xc8, 0x48, 0xff, 0xc9, 0x75, 0xe0, 0xf4};
static _Alignas(4096) uint64_t ram[RAM_SIZE / 8];

/* General registers are a state of ours; Unicorn's numbers, in the order of its list. */
static const int general[] = {UC_X86_REG_RAX, UC_X86_REG_RBX,   UC_X86_REG_RCX, UC_X86_REG_RDX,
                              UC_X86_REG_RSI, UC_X86_REG_RDI,   UC_X86_REG_RSP, UC_X86_REG_RBP,
                              UC_X86_REG_R8,  UC_X86_REG_R9,    UC_X86_REG_R10, UC_X86_REG_R11,
                              UC_X86_REG_R12, UC_X86_REG_R13,   UC_X86_REG_R14, UC_X86_REG_R15,
                              UC_X86_REG_RIP, UC_X86_REG_RFLAGS};

/* SSE registers are a state of our own. */
struct sse {
    uint32_t mxcsr;
    uint64_t xmm[32];
};
static const struct stasis_field sse_fields[] = {
    STASIS_BIND_INT(struct sse, mxcsr, 1, 1, 0x1f80, UINT32_MAX, "MXCSR"),
    STASIS_BIND_INTS(struct sse, xmm, 2, 1, UINT64_MAX, "XMM0-XMM15"),
};
static const struct stasis_schema sse_schema = {
    .type = "acme.sse", .version = 1, STASIS_BIND_FIELDS(struct sse, sse_fields), .doc = "SSE"};
static const struct stasis_schema *const own[] = {&sse_schema};
static const struct stasis_parse_opts opts = {
    .size = sizeof(opts), .schemas = own, .schema_count = 1};

static uc_err move(uc_engine *uc, bool in, int number, void *value)
{
    return in ? uc_reg_write(uc, number, value) : uc_reg_read(uc, number, value);
}

/* Every register, into the emulator or out of it. */
static int move_registers(uc_engine *uc, bool in, struct stasis_x86_regs_state *regs,
                          struct sse *sse, struct stasis_error *err)
{
    uc_err failed = move(uc, in, UC_X86_REG_MXCSR, &sse->mxcsr);

    for (int i = 0; i < 18 && !failed; i++)
        failed =
            move(uc, in, general[i], (uint8_t *)regs + stasis_x86_regs_schema.fields[i].offset);
    for (int i = 0; i < 16 && !failed; i++)
        failed = move(uc, in, UC_X86_REG_XMM0 + i, &sse->xmm[2 * i]);
    return failed ? stasis_fail(err, STASIS_ERR_INTERNAL, "registers: %s", uc_strerror(failed)) : 0;
}

static int freeze(uc_engine *uc, const char *path, struct stasis_error *err)
{
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_x86_regs_state regs = {0};
    struct sse sse = {0};
    int rc =
        !snap || move_registers(uc, false, &regs, &sse, err) ||
        stasis_records_add(stasis_snap_records(snap), &stasis_x86_regs_schema, "0", &regs, err) ||
        stasis_records_add(stasis_snap_records(snap), &sse_schema, "0", &sse, err) ||
        stasis_snap_add_ram(snap, 0, ram, RAM_SIZE, err) ||
        stasis_snap_save(snap, path, NULL, NULL, err);

    stasis_snap_free(snap);
    return rc;
}

static int thaw(uc_engine *uc, const char *path, struct stasis_error *err)
{
    struct stasis_x86_regs_state regs;
    struct stasis_snap *snap = NULL;
    struct sse sse;
    int rc =
        stasis_snap_open(path, &opts, &snap, err) ||
        stasis_records_get(stasis_snap_records(snap), &stasis_x86_regs_schema, "0", &regs, err) ||
        stasis_records_get(stasis_snap_records(snap), &sse_schema, "0", &sse, err) ||
        stasis_snap_get_ram(snap, 0, ram, RAM_SIZE, NULL, NULL, err) ||
        move_registers(uc, true, &regs, &sse, err);

    stasis_snap_free(snap);
    return rc;
}

static int start(uc_engine *uc, struct stasis_error *err)
{
    struct stasis_x86_regs_state regs = {.rip = CODE, .rflags = 2};
    struct sse sse = {.mxcsr = 0x1f80};

    memcpy((uint8_t *)ram + CODE, guest, sizeof(guest));
    return move_registers(uc, true, &regs, &sse, err);
}

/* Runs `count` instructions, or all if it is 0. */
static int run(uc_engine *uc, size_t count, struct stasis_error *err)
{
    uint64_t rip = 0;
    uc_err failed = uc_reg_read(uc, UC_X86_REG_RIP, &rip);

    failed = failed ? failed : uc_emu_start(uc, rip, CODE + sizeof(guest) - 1, 0, count);
    return failed ? stasis_fail(err, STASIS_ERR_GUEST, "guest: %s", uc_strerror(failed)) : 0;
}

static uint64_t sum(uc_engine *uc)
{
    uint64_t xmm1[2] = {0}, words = 0;

    uc_reg_read(uc, UC_X86_REG_XMM1, xmm1);
    for (size_t i = 0; i < RAM_SIZE / 8; i++)
        words = words * 31 + ram[i];
    return words ^ xmm1[0];
}

int main(int argc, char **argv)
{
    struct stasis_error err = {.msg = "no Unicorn"};
    uc_engine *uc = NULL;
    int rc = uc_open(UC_ARCH_X86, UC_MODE_64, &uc) ||
             uc_mem_map_ptr(uc, 0, RAM_SIZE, UC_PROT_ALL, ram) ||
             (argc == 2 ? thaw(uc, argv[1], &err) : start(uc, &err)) ||
             run(uc, argc == 3 ? strtoul(argv[2], NULL, 0) : 0, &err) ||
             (argc == 3 && freeze(uc, argv[1], &err));

    if (rc)
        fprintf(stderr, "unicorn-guest: %s\n", err.msg);
    else if (argc != 3)
        printf("%016llx\n", (unsigned long long)sum(uc));
    if (uc)
        uc_close(uc);
    return rc;
}
