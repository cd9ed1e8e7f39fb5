/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a request to a disk costs a guest: a driver that is told of answers by interrupts, as Linux'
 * is, reads under the real KVM with EVENT_IDX, so many requests at a time, and counts.
 */
#include "vmm/kvm_guest.h"

#include <string.h>

#include "stasis/virtio_state.h"
#include "vmm/arch/x86/x86.h"

#define DESC     0x100000
#define AVAIL    0x101000
#define USED     0x102000
#define HEADER   0x103000
#define STATUS   0x104000
#define DONE     0x105000 /* 1: all is answered */
#define KICKS    0x105004 /* notifications */
#define IRQS     0x105008 /* interrupts */
#define SPURIOUS 0x10500c /* for nothing: PVM delivers some twice */
#define DATA     0x110000
#define TABLE    0x200000 /* of pairs: where, what; then 0 */
#define SIZE     128u

#define IDT    0x3000
#define VECTOR 0x40
#define STACK  0x8000
#define LAPIC  0xfee00000u
#define IOAPIC 0xfec00000u

#define DISK_BYTES 65536u

/* rsi: TABLE; r13: the device; r12: requests in all; r10: how many at a time; r14: interrupts seen.
 * r8: requests made available; r9: answers seen. */
/* clang-format off */
static const uint8_t driver[] = {
    /* Writes what the table says; r8 = r9 = 0; edx = r10. */
    0x8b, 0x06, 0x85, 0xc0, 0x74, 0x0b, 0x8b, 0x4e, 0x04, 0x89, 0x08, 0x48, 0x83, 0xc6, 0x08, 0xeb,
    0xef, 0x45, 0x31, 0xc0, 0x45, 0x31, 0xc9, 0x44, 0x89, 0xd2,
    /* publish: makes edx more available, of what is left of r12, if any: AVAIL.idx = r8; a fence;
     * notifies (inc [KICKS]) if USED.avail_event asks for it (virtio 1.2, 2.7.10). */
    0x44, 0x89, 0xe0, 0x44, 0x29, 0xc0, 0x39, 0xc2, 0x76, 0x02, 0x89, 0xc2, 0x85, 0xd2, 0x74, 0x3d,
    0x45, 0x89, 0xc3, 0x41, 0x01, 0xd0, 0x66, 0x44, 0x89, 0x04, 0x25, 0x02, 0x10, 0x10, 0x00, 0xf0,
    0x83, 0x0c, 0x24, 0x00, 0x0f, 0xb7, 0x04, 0x25, 0x04, 0x24, 0x10, 0x00, 0x44, 0x89, 0xc1, 0x29,
    0xc1, 0xff, 0xc9, 0x44, 0x89, 0xc0, 0x44, 0x29, 0xd8, 0x66, 0x39, 0xc1, 0x73, 0x0f, 0x41, 0xc7,
    0x45, 0x50, 0x00, 0x00, 0x00, 0x00, 0xff, 0x04, 0x25, 0x04, 0x50, 0x10, 0x00,
    /* wait: cli; until [IRQS] != r14: sti; nop; cli. Not hlt: QEMU 7.2's SVM now and then takes an
     * interrupt between sti and that, which then waits for ever. */
    0xfa, 0x8b, 0x04, 0x25, 0x08, 0x50, 0x10, 0x00, 0x44, 0x39, 0xf0, 0x75, 0x04, 0xfb, 0x90, 0xeb,
    0xef,
    0x41, 0x89, 0xc6, 0x31, 0xff,
    /* take: r9 = USED.idx, edi the answers between; AVAIL.used_event = r9; a fence; again if there
     * are more by now. With edx = edi to publish until r9 is r12; then [DONE] = 1, and hlt. */
    0x0f, 0xb7, 0x14, 0x25, 0x02, 0x20, 0x10, 0x00, 0x44, 0x29, 0xca, 0x0f, 0xb7, 0xd2, 0x41, 0x01,
    0xd1, 0x01, 0xd7, 0x66, 0x44, 0x89, 0x0c, 0x25, 0x04, 0x11, 0x10, 0x00, 0xf0, 0x83, 0x0c, 0x24,
    0x00, 0x66, 0x44, 0x39, 0x0c, 0x25, 0x02, 0x20, 0x10, 0x00, 0x75, 0xd4, 0x89, 0xfa, 0x45, 0x39,
    0xe1, 0x0f, 0x82, 0x66, 0xff, 0xff, 0xff, 0xc7, 0x04, 0x25, 0x00, 0x50, 0x10, 0x00, 0x01, 0x00,
    0x00, 0x00, 0xf4, 0xeb, 0xfd,
    /* The interrupt: reads InterruptStatus. Unless it is 0, writes it to InterruptACK and counts
     * in [IRQS], else in [SPURIOUS]; EOI; iretq. */
    0x50, 0x41, 0x8b, 0x45, 0x60, 0x85, 0xc0, 0x74, 0x12, 0x41, 0x89, 0x45, 0x64, 0xff, 0x04, 0x25,
    0x08, 0x50, 0x10, 0x00, 0xff, 0x0c, 0x25, 0x0c, 0x50, 0x10, 0x00, 0xff, 0x04, 0x25, 0x0c, 0x50,
    0x10, 0x00, 0xb8, 0xb0, 0x00, 0xe0, 0xfe, 0xc7, 0x00, 0x00, 0x00, 0x00, 0x00, 0x58, 0x48, 0xcf,
};
/* clang-format on */
#define ISR 0xc2 /* where that begins */

static struct kvm_guest guest;
static uint8_t content[DISK_BYTES];

static bool disk_read(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    memcpy(bytes, (uint8_t *)ctx + offset, len);
    return true;
}

static void disk_mark(void *ctx, struct stasis_device_disk_mark *ret_mark)
{
    (void)ctx;
    *ret_mark = (struct stasis_device_disk_mark){.inode = 1, .mtime_ns = 1};
}

static const struct stasis_device_disk disk = {
    .id = "root", .bytes = DISK_BYTES, .ctx = content, .read = disk_read, .mark = disk_mark};

static uint32_t word(uint64_t gpa)
{
    return __atomic_load_n((uint32_t *)kvm_guest_ram(&guest, gpa, 4), __ATOMIC_ACQUIRE);
}

/* ---- the driver's memory ---- */

static uint32_t pairs;

static void tell(uint32_t where, uint32_t what)
{
    const uint32_t pair[2] = {where, what};

    memcpy(kvm_guest_ram(&guest, TABLE + 8 * pairs++, 8), pair, 8);
}

static void put_desc(uint32_t at, uint32_t gpa, uint32_t len, uint32_t flags)
{
    const uint32_t desc[4] = {gpa, 0, len, flags | (at + 1) << 16};

    memcpy(kvm_guest_ram(&guest, DESC + 16 * at, 16), desc, 16);
}

/* A read of a sector for each of `depth` places, which the ring names again and again. */
static void make_requests(uint32_t depth)
{
    uint16_t *ring = kvm_guest_ram(&guest, AVAIL, 4 + 2 * SIZE);

    for (uint32_t i = 0; i < depth; i++) {
        const uint32_t header[4] = {0, 0, i, 0};

        memcpy(kvm_guest_ram(&guest, HEADER + 16 * i, 16), header, 16);
        put_desc(3 * i, HEADER + 16 * i, 16, 1);
        put_desc(3 * i + 1, DATA + 512 * i, 512, 3);
        put_desc(3 * i + 2, STATUS + i, 1, 2);
    }
    for (uint32_t i = 0; i < SIZE; i++)
        ring[2 + i] = (uint16_t)(3 * (i % depth));
}

static struct stasis_device *blk(void)
{
    return stasis_device_find(&guest.machine.devices, &stasis_virtio_blk_schema, "root");
}

static unsigned fill_table(void)
{
    const uint32_t regs[][2] = {{0x70, 0},        {0x70, 1},    {0x70, 3},    {0x24, 0},
                                {0x20, 1u << 29}, {0x24, 1},    {0x20, 1},    {0x70, 11},
                                {0x30, 0},        {0x38, SIZE}, {0x80, DESC}, {0x90, AVAIL},
                                {0xa0, USED},     {0x44, 1},    {0x70, 15}};
    const uint32_t pin = 0x10 + 2 * blk()->row->gsi, count = sizeof(regs) / sizeof(regs[0]);

    pairs = 0;
    tell(LAPIC + 0xf0, 0x1ff);
    tell(IOAPIC, pin + 1);
    tell(IOAPIC + 0x10, 0);
    tell(IOAPIC, pin);
    tell(IOAPIC + 0x10, 0x8000 | VECTOR); /* level */
    for (unsigned i = 0; i < count; i++)
        tell((uint32_t)blk()->row->base + regs[i][0], regs[i][1]);
    tell(0, 0);
    return count;
}

static void set_idt(void)
{
    const uint16_t gate[8] = {KVM_ENTRY + ISR, 0x10, 0x8e00};
    struct stasis_vcpu *vcpu = &guest.machine.vcpus[0];
    struct stasis_x86_sregs_state sregs;
    struct stasis_error err;

    memcpy(kvm_guest_ram(&guest, IDT + 16 * VECTOR, 16), gate, 16);
    stasis_state_init(&stasis_x86_sregs_schema, &sregs);
    kvm_ok(stasis_x86_sregs_part.get(vcpu, &sregs, &err), &err);
    sregs.idt = (struct stasis_x86_dtable_state){.base = IDT, .limit = 0xfff};
    kvm_ok(stasis_x86_sregs_part.set(vcpu, &sregs, &err), &err);
}

/* ---- cases ---- */

/* Returns how many accesses to registers were exits, beyond those that set the device up. */
static uint64_t run(uint32_t requests, uint32_t depth)
{
    const struct stasis_board_optional optional = {"stasis.virtio_blk", "root"};
    const struct stasis_board_options options = {.memory_bytes = KVM_RAM,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &optional,
                                                 .optional_count = 1};
    struct stasis_x86_regs_state regs = {.rsi = TABLE, .rsp = STACK, .r10 = depth, .r12 = requests};
    struct stasis_board_state board;
    struct stasis_error err;
    unsigned set_up;

    kvm_guest_host(&guest);
    guest.host.disks = &disk;
    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_ok(stasis_machine_build(&guest.machine, &board, &guest.host, &err), &err);
    regs.r13 = blk()->row->base;
    kvm_guest_smp_long(&guest, 0, driver, sizeof(driver), &regs);
    set_idt();
    make_requests(depth);
    set_up = fill_table();
    kvm_guest_start(&guest);
    kvm_wait(word(DONE));
    stasis_machine_pause(&guest.machine);
    assert_int_equal(blk()->counters->requests, requests);
    assert_int_equal(blk()->counters->in_bytes, 512 * requests);
    assert_int_equal(blk()->counters->interrupts, word(IRQS));
    return stasis_vcpu_exit_count(&guest.machine.vcpus[0], STASIS_VCPU_EXIT_mmio) - set_up;
}

static void a_single_request_costs_one_of_each(void)
{
    enum { REQUESTS = 300 };
    uint64_t exits = run(REQUESTS, 1);

    assert_int_equal(word(KICKS), REQUESTS);
    assert_int_equal(blk()->counters->wakes, REQUESTS);
    assert_int_equal(word(IRQS), REQUESTS);
    assert_int_equal(exits, 2 * REQUESTS + word(SPURIOUS));
    kvm_guest_fini(&guest);
}

static void many_at_a_time_share_interrupts(void)
{
    enum { REQUESTS = 2048 };
    uint64_t exits = run(REQUESTS, 32);

    assert_in_range(word(IRQS), 1, REQUESTS / 5);
    assert_in_range(word(KICKS), 1, REQUESTS / 5);
    assert_int_equal(exits, 2 * word(IRQS) + word(SPURIOUS));
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(a_single_request_costs_one_of_each),
        KVM_CASE(many_at_a_time_share_interrupts),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
