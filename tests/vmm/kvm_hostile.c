/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm_hostile.h"

#include <string.h>

#include "core/random.h"
#include "vmm/boot/x86/layout.h"
#include "vmm/boot/x86/linux.h"

#define END 0x100000000 /* of what is mapped */

struct range {
    uint64_t start, end;
};

/* A hole of one page, and a border between two regions. */
static const struct range ram[] = {{0, 0x200000}, {0x201000, 0x400000}, {0x400000, 0x500000}};

static const struct range windows[] = {
    {0x101000, 0x103000}, {0x1ff000, 0x200000}, {0x201000, 0x202000},
    {0x3ff000, 0x401000}, {0x4ff000, 0x500000},
};

/* The LAPIC, the I/O APIC and KVM's own pages below the firmware's are left alone: an INIT to
 * another vCPU ends the program, not the VMM. */
static const struct range memory_of_kvm[] = {{0xfec00000, 0xffff0000}};

static const uint32_t edges[] = {0xd0000000, 0xd0001000, 0xd0000fe0, 0xd0002000, 0xd0001030,
                                 0xd0001050, 0xd0001070, 0xd0001080, 0x200000,   0x201000,
                                 0xd0002050, 0xd0002070, 0xd0002100, 0x400000,   0x500000,
                                 0xffff0000, 0x102000,   0x80000000};

/* Ports that KVM handles, by where an access may start and end. */
static const struct range ports_of_kvm[] = {
    {0x20, 0x22}, {0x40, 0x44}, {0xa0, 0xa2}, {0x61, 0x65}, {0x4d0, 0x4d2}};
#define KVM_SPEAKER 3 /* of these, which takes accesses to its first byte only */

static const uint16_t port_edges[] = {0x3f8, 0x400, 0x60,  0x65,  0x20, 0x40,  0xa0,  0x4d0,
                                      0x70,  0x505, 0x600, 0x60a, 0,    0xcf8, 0xfffc};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool holds(const struct range *ranges, size_t count, uint64_t at)
{
    for (size_t i = 0; i < count; i++) {
        if (at >= ranges[i].start && at < ranges[i].end)
            return true;
    }
    return false;
}

/* ---- the guest ---- */

#define CODE(id)  (UINT64_C(0x10000) + 0x4000 * (id))
#define CELLS(id) (UINT64_C(0x20000) + 8 * (id)) /* the number of the program: wanted, done */
#define CELLS_END CELLS(KVM_HOSTILE_VCPUS)

/* For all vCPUs, where no program is written: one that has told that it is done may still be here.
 *   1: pause; mov eax, [r14]; cmp eax, [r14 + 4]; je 1b; cpuid; jmp r15
 *   2: mov eax, [r14]; mov [r14 + 4], eax; jmp 1b */
static const uint8_t waiting[] = {0xf3, 0x90, 0x41, 0x8b, 0x06, 0x41, 0x3b, 0x46, 0x04,
                                  0x74, 0xf5, 0x0f, 0xa2, 0x41, 0xff, 0xe7, 0x41, 0x8b,
                                  0x06, 0x41, 0x89, 0x46, 0x04, 0xeb, 0xe7};
/* The end of a program. mov ecx, 2b; jmp rcx */
static const uint8_t finishing[] = {0xb9, 0x10, 0x10, 0x00, 0x00, 0xff, 0xe1};
_Static_assert(KVM_ENTRY == 0x1000, "finishing[] has the address");

void kvm_hostile_board(struct stasis_board_state *board, uint32_t vcpus)
{
    static const struct stasis_board_device_state net = {"stasis.virtio_net",
                                                         "net0",
                                                         1,
                                                         STASIS_BUS_MMIO,
                                                         STASIS_MMIO_GAP_START + 0x2000,
                                                         0x1000,
                                                         17};

    kvm_board(board, KVM_RAM);
    board->devices[board->devices_count++] = net;
    board->vcpus = vcpus;
    board->ram_count = COUNT(ram);
    for (size_t i = 0; i < COUNT(ram); i++)
        board->ram[i] = (struct stasis_ram_region_state){.gpa = ram[i].start,
                                                         .size = ram[i].end - ram[i].start};
}

void kvm_hostile_load(struct kvm_guest *guest)
{
    for (uint32_t id = 0; id < guest->machine.vcpu_count; id++) {
        const struct stasis_x86_regs_state regs = {.r14 = CELLS(id), .r15 = CODE(id)};

        kvm_guest_smp_long(guest, id, waiting, sizeof(waiting), &regs);
    }
}

static uint32_t *cell(struct kvm_guest *guest, uint32_t id, unsigned number)
{
    return kvm_guest_ram(guest, CELLS(id) + 4 * number, 4);
}

void kvm_hostile_go(struct kvm_guest *guest, uint32_t id)
{
    (void)__atomic_add_fetch(cell(guest, id, 0), 1, __ATOMIC_RELEASE);
}

bool kvm_hostile_is_done(struct kvm_guest *guest, uint32_t id)
{
    return __atomic_load_n(cell(guest, id, 0), __ATOMIC_RELAXED) ==
           __atomic_load_n(cell(guest, id, 1), __ATOMIC_ACQUIRE);
}

/* ---- code ---- */

struct program {
    uint8_t *at;
    uint64_t *seed;
    struct kvm_hostile_trace *trace;
};

static uint32_t below(struct program *p, uint32_t bound)
{
    return next_random(p->seed) % bound;
}

static void emit(struct program *p, const void *bytes, size_t len)
{
    memcpy(p->at, bytes, len);
    p->at += len;
}

static void emit_byte(struct program *p, uint8_t byte)
{
    *p->at++ = byte;
}

/* mov r32, imm32 */
enum { EAX = 0xb8, ECX = 0xb9, EBX = 0xbb, ESI = 0xbe, EDI = 0xbf };
static void emit_mov(struct program *p, uint8_t opcode, uint64_t value)
{
    const uint32_t imm = (uint32_t)value;

    emit_byte(p, opcode);
    emit(p, &imm, 4);
}

/* An instruction of that width: the opcode of one byte, or the next for more. */
static void emit_sized(struct program *p, bool rep, uint8_t opcode, unsigned width)
{
    if (width == 2)
        emit_byte(p, 0x66);
    if (rep)
        emit_byte(p, 0xf3);
    if (width == 8)
        emit_byte(p, 0x48);
    emit_byte(p, (uint8_t)(opcode + (width > 1)));
}

/* ---- what it accesses ---- */

static bool is_ram(uint64_t gpa)
{
    return holds(ram, COUNT(ram), gpa);
}

static bool may_access(uint64_t start, uint64_t len, bool write)
{
    for (uint64_t at = start; at < start + len; at++) {
        bool ok = is_ram(at) ? !write || holds(windows, COUNT(windows), at)
                             : !holds(memory_of_kvm, COUNT(memory_of_kvm), at);

        if (!ok || at >= END)
            return false;
    }
    return true;
}

/* Where `len` bytes begin: near an edge or anywhere; counted if nobody's RAM. */
static uint64_t pick(struct program *p, uint64_t len, bool write)
{
    uint64_t start, bytes = 0;

    do {
        start = below(p, 8) ? edges[below(p, COUNT(edges))] + 8 - below(p, (uint32_t)len + 16)
                            : next_random(p->seed);
    } while (!may_access(start, len, write));
    for (uint64_t at = start; at < start + len; at++)
        bytes += !is_ram(at);
    *(write ? &p->trace->mmio_written : &p->trace->mmio_read) += bytes;
    return start;
}

static bool is_port_of_kvm(uint32_t port, unsigned len)
{
    for (size_t i = 0; i < COUNT(ports_of_kvm); i++) {
        const struct range *own = &ports_of_kvm[i];

        if (port >= own->start && port + len <= own->end)
            return i != KVM_SPEAKER || port == own->start;
    }
    return false;
}

/* mov dx, port. The row of the trace; NULL: the host sees nothing of it. */
static struct kvm_hostile_io *emit_port(struct program *p, unsigned width, bool write,
                                        uint32_t count)
{
    uint16_t port =
        (uint16_t)(below(p, 8) ? port_edges[below(p, COUNT(port_edges))] + below(p, 12) - 4
                               : next_random(p->seed));

    struct kvm_hostile_io *last = p->trace->io_count ? &p->trace->io[p->trace->io_count - 1] : NULL;

    emit(p, "\x66\xba", 2);
    emit(p, &port, 2);
    if (!count || is_port_of_kvm(port, width))
        return NULL;
    if (last && last->may_repeat && last->port == port && last->len == width && !write) {
        last->count += count; /* cannot be told from the repeats */
        return last;
    }
    p->trace->io[p->trace->io_count] = (struct kvm_hostile_io){
        .port = port, .len = (uint8_t)width, .write = write, .count = count};
    return &p->trace->io[p->trace->io_count++];
}

/* ---- its instructions ---- */

/* Of the i8042, the reset among them; and the power-off. */
static const uint8_t commands[] = {0xfe, 0xd1, 0x60, 0xaa, 0x34};

static void emit_in_out(struct program *p)
{
    unsigned width = 1u << below(p, 3);
    bool write = below(p, 2);

    emit_mov(p, EAX, below(p, 4) ? next_random(p->seed) : commands[below(p, COUNT(commands))]);
    (void)emit_port(p, width, write, 1);
    emit_sized(p, false, write ? 0xee : 0xec, width);
}

static void emit_load_store(struct program *p)
{
    unsigned width = 1u << below(p, 4);
    bool write = below(p, 2);

    emit_mov(p, EAX, next_random(p->seed));
    emit_mov(p, EBX, pick(p, width, write));
    emit_sized(p, false, write ? 0x88 : 0x8a, width);
    emit_byte(p, 0x03); /* [rbx] */
}

/* Seldom none, seldom more than one exit carries. */
static uint32_t pick_count(struct program *p)
{
    uint32_t kind = below(p, 64);

    return kind == 0 ? 0 : kind == 1 ? 1 + below(p, 1200) : 1 + below(p, 24);
}

/* The register of a string, which has its last element where it goes down. */
static void emit_string(struct program *p, uint8_t reg, uint32_t count, unsigned width, bool down,
                        bool write)
{
    uint64_t start = pick(p, (uint64_t)count * width, write);

    emit_mov(p, reg, down && count ? start + (uint64_t)(count - 1) * width : start);
}

static void emit_rep(struct program *p, uint8_t opcode, uint32_t count, unsigned width, bool down)
{
    emit_mov(p, ECX, count);
    emit_byte(p, down ? 0xfd : 0xfc); /* std, cld */
    emit_sized(p, true, opcode, width);
}

static void emit_ins_outs(struct program *p)
{
    unsigned width = 1u << below(p, 3);
    bool out = below(p, 2), down = below(p, 2);
    uint32_t count = down && !out ? pick_count(p) % 256 : pick_count(p); /* for the repeats */
    struct kvm_hostile_io *io = emit_port(p, width, out, count);
    uint64_t before = p->trace->mmio_written;

    emit_string(p, out ? ESI : EDI, count, width, down, !out);
    if (io)
        io->may_repeat |= down && p->trace->mmio_written > before;
    emit_rep(p, out ? 0x6e : 0x6c, count, width, down);
}

static void emit_movs(struct program *p)
{
    unsigned width = 1u << below(p, 4);
    uint32_t count = pick_count(p) % 64;
    bool down = below(p, 2);

    emit_string(p, ESI, count, width, down, false);
    emit_string(p, EDI, count, width, down, true);
    emit_rep(p, 0xa4, count, width, down);
}

static void emit_stos(struct program *p)
{
    unsigned width = 1u << below(p, 4);
    uint32_t count = pick_count(p) % 64;
    bool down = below(p, 2);

    emit_mov(p, EAX, next_random(p->seed));
    emit_string(p, EDI, count, width, down, true);
    emit_rep(p, 0xaa, count, width, down);
}

void kvm_hostile_program(struct kvm_guest *guest, uint32_t id, uint64_t *seed,
                         struct kvm_hostile_trace *ret_trace)
{
    static void (*const emitters[])(struct program *) = {
        emit_in_out,   emit_in_out, emit_load_store, emit_load_store,
        emit_ins_outs, emit_movs,   emit_stos};
    struct program p = {kvm_guest_ram(guest, CODE(id), CODE(1) - CODE(0)), seed, ret_trace};

    memset(ret_trace, 0, sizeof(*ret_trace));
    for (unsigned i = 0; i < KVM_HOSTILE_OPS; i++)
        emitters[below(&p, COUNT(emitters))](&p);
    emit(&p, finishing, sizeof(finishing));
}

/* ---- what it may have changed ---- */

static bool is_expected(uint64_t gpa, uint8_t change)
{
    if (!change || holds(windows, COUNT(windows), gpa) || (gpa >= CELLS(0) && gpa < CELLS_END))
        return true;
    if (gpa >= STASIS_BOARD_VMGENID && gpa < STASIS_BOARD_VMGENID + 16)
        return true; /* each thaw gives another one */
    /* Accessed and dirty (SDM 3A, 4.8). */
    return gpa >= STASIS_BOOT_PAGE_TABLES && gpa < STASIS_BOOT_PAGE_TABLES + 0x6000 &&
           gpa % 8 == 0 && !(change & ~0x60);
}

bool kvm_hostile_differs(uint64_t gpa, const uint8_t *before, const uint8_t *now, uint64_t len,
                         uint64_t *ret_gpa)
{
    const uint64_t page = STASIS_MEMORY_PAGE;

    for (uint64_t at = 0; at < len; at++) {
        if (at % page == 0 && !memcmp(before + at, now + at, page)) {
            at += page - 1;
            continue;
        }
        *ret_gpa = gpa + at;
        if (!is_expected(gpa + at, before[at] ^ now[at]))
            return true;
    }
    return false;
}
