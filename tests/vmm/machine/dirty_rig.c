/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/dirty_rig.h"

#include <string.h>

/* 1: mov rax, [rsi]; test rax, rax; jz 2f; mov rcx, [rsi + 8]; mov [rax], ecx; add rsi, 16
 *    and rsi, ~0x10000; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t writing[] = {0x48, 0x8b, 0x06, 0x48, 0x85, 0xc0, 0x74, 0x13, 0x48, 0x8b, 0x4e,
                                  0x08, 0x89, 0x08, 0x48, 0x83, 0xc6, 0x10, 0x48, 0x81, 0xe6, 0xff,
                                  0xff, 0xfe, 0xff, 0xeb, 0xe5, 0xf3, 0x90, 0xeb, 0xe1};

#define VCPUS 2
#define PAGES (DIRTY_LOW_PAGES + DIRTY_HIGH_PAGES)

#define DIRECTORY  0x20000                    /* of page tables, for what is above 4 GiB */
#define TABLE(id)  (0x40000 + 0x20000 * (id)) /* of pairs: where, what; a ring; 0: no more yet */
#define TABLE_SIZE 0x10000u
#define CELL(id)   (0x30000 + PAGE * (id))
#define DESC       0x38000 /* of queue 2 of the balloon */
#define AVAIL      0x39000
#define USED       0x3a000
#define BALLOON    0xd0002000

struct kvm_guest dirty_rig;
struct stasis_error dirty_err;
static uint32_t told[VCPUS];
static uint32_t seed = 2463534242u;
static uint16_t reports;

/* What the last committed snapshot holds, and what has been written since; by number of the page.
 */
static uint8_t base[PAGES][PAGE];
static bool written[PAGES];

static uint32_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

static uint32_t page_of(uint64_t gpa)
{
    return (uint32_t)(gpa < DIRTY_HIGH ? gpa / PAGE : DIRTY_LOW_PAGES + (gpa - DIRTY_HIGH) / PAGE);
}

static uint64_t gpa_of(uint32_t page)
{
    return page < DIRTY_LOW_PAGES ? page * PAGE : DIRTY_HIGH + (page - DIRTY_LOW_PAGES) * PAGE;
}

void dirty_expect(uint64_t gpa, uint64_t len)
{
    for (uint64_t at = gpa / PAGE * PAGE; at < gpa + len; at += PAGE)
        written[page_of(at)] = true;
}

/* ---- who writes ---- */

void dirty_write(uint64_t gpa, const void *bytes, uint64_t len)
{
    kvm_ok(stasis_memory_write(&dirty_rig.machine.memory, gpa, bytes, len, "test", &dirty_err),
           &dirty_err);
    dirty_expect(gpa, len);
}

void dirty_tell(uint32_t id, uint64_t where, uint32_t what)
{
    const uint64_t zero = 0, value = what;
    const uint64_t at = TABLE(id) + 16 * told[id] % TABLE_SIZE;

    told[id]++;
    dirty_write(TABLE(id) + 16 * told[id] % TABLE_SIZE, &zero, sizeof(zero));
    dirty_write(at + 8, &value, sizeof(value));
    __atomic_store_n((uint64_t *)kvm_guest_ram(&dirty_rig, at, 8), where, __ATOMIC_RELEASE);
    if (where < BALLOON || where >= DIRTY_HIGH)
        dirty_expect(where, 4);
}

/* Until the vCPU has written all. */
static void sync_vcpu(uint32_t id)
{
    const uint32_t *cell = stasis_memory_at(&dirty_rig.machine.memory, CELL(id), 4);
    const uint32_t number = told[id] + 1;

    dirty_tell(id, CELL(id), number);
    while (__atomic_load_n(cell, __ATOMIC_ACQUIRE) != number)
        kvm_sleep_us(20);
}

static uint64_t any_page(void)
{
    const uint32_t first = DIRTY_DATA / PAGE;

    return gpa_of(first + next() % (PAGES - first));
}

void dirty_vcpus_write(void)
{
    for (uint32_t id = 0; id < VCPUS; id++) {
        for (uint32_t i = next() % 6; i > 0; i--)
            dirty_tell(id, any_page() + next() % PAGE / 4 * 4, next());
    }
    for (uint32_t id = 0; id < VCPUS; id++)
        sync_vcpu(id);
}

void dirty_vmm_writes(void)
{
    static const uint8_t bytes[2 * PAGE] = {1, 2, 3};

    for (uint32_t i = next() % 4; i > 0; i--) {
        const uint64_t gpa = any_page() + next() % PAGE;
        const uint64_t len = next() % sizeof(bytes) + 1;

        if (stasis_memory_at(&dirty_rig.machine.memory, gpa, len))
            dirty_write(gpa, bytes, len);
    }
}

void dirty_vmm_takes_away(void)
{
    const uint64_t gpa = any_page();

    kvm_ok(stasis_memory_discard(&dirty_rig.machine.memory, gpa, PAGE, &dirty_err), &dirty_err);
    dirty_expect(gpa, PAGE);
}

/* The guest reports a page as free, and the device gives it to the host. */
void dirty_balloon_takes_away(void)
{
    const uint64_t gpa = DIRTY_DATA + next() % 0x80 * PAGE;
    const uint32_t head = reports % 16u;
    const uint16_t *used;

    dirty_tell(0, DESC + 16 * head, (uint32_t)gpa);
    dirty_tell(0, DESC + 16 * head + 8, PAGE);
    dirty_tell(0, DESC + 16 * head + 12, 2); /* to be written by the device */
    dirty_tell(0, AVAIL + 4 + 2 * (head & ~1u), (head & ~1u) | (head | 1u) << 16);
    dirty_tell(0, AVAIL, (uint32_t)(uint16_t)++reports << 16);
    dirty_tell(0, BALLOON + 0x50, 2);
    sync_vcpu(0);
    dirty_expect(gpa, PAGE);
    dirty_expect(USED, PAGE);
    used = stasis_memory_at(&dirty_rig.machine.memory, USED + 2, sizeof(*used));
    assert_int_equal(__atomic_load_n(used, __ATOMIC_ACQUIRE), reports);
}

/* ---- the guest ---- */

static void board_of_test(struct stasis_board_state *board)
{
    static const struct stasis_board_optional balloon = {"stasis.virtio_balloon", "balloon"};
    const struct stasis_board_options options = {.memory_bytes = DIRTY_LOW_PAGES * PAGE,
                                                 .vcpus = VCPUS,
                                                 .cpu_model = "host",
                                                 .optional = &balloon,
                                                 .optional_count = 1};

    kvm_ok(stasis_board_default(&options, board, &dirty_err), &dirty_err);
    board->ram_count = 2;
    board->ram[1] =
        (struct stasis_ram_region_state){.gpa = DIRTY_HIGH, .size = DIRTY_HIGH_PAGES * PAGE};
}

/* As stasis_boot_cpu_setup() maps what is below, in pages of 2 MiB. */
static void map_high_memory(void)
{
    const uint64_t pdpt = 0xa000;
    const uint64_t entry = DIRECTORY | 7, high = DIRTY_HIGH | 0x83;

    dirty_write(pdpt + 4 * sizeof(entry), &entry, sizeof(entry));
    dirty_write(DIRECTORY, &high, sizeof(high));
}

static void set_up_balloon(void)
{
    static const uint32_t steps[][2] = {
        {0x70, 1}, {0x70, 3},  {0x24, 0},    {0x20, 1 << 5}, {0x24, 1},    {0x20, 1}, {0x70, 11},
        {0x30, 2}, {0x38, 16}, {0x80, DESC}, {0x90, AVAIL},  {0xa0, USED}, {0x44, 1}, {0x70, 15}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        dirty_tell(0, BALLOON + steps[i][0], steps[i][1]);
    sync_vcpu(0);
}

void dirty_start(void)
{
    struct stasis_board_state board;

    board_of_test(&board);
    memset(told, 0, sizeof(told));
    reports = 0;
    kvm_guest_init(&dirty_rig, &board);
    for (uint32_t id = 0; id < VCPUS; id++) {
        const struct stasis_x86_regs_state regs = {.rsi = TABLE(id)};

        kvm_guest_smp_long(&dirty_rig, id, writing, sizeof(writing), &regs);
    }
    map_high_memory();
    kvm_guest_start(&dirty_rig);
    set_up_balloon();
}

/* ---- what is in the bitmap ---- */

struct stasis_dirty_pages *dirty_pages(void)
{
    return &dirty_rig.machine.dirty;
}

void dirty_track(void)
{
    kvm_ok(stasis_dirty_pages_start(dirty_pages(), &dirty_rig.machine.slots,
                                    &dirty_rig.machine.memory, &dirty_err),
           &dirty_err);
}

static const uint8_t *ram(uint32_t page)
{
    return stasis_memory_at(&dirty_rig.machine.memory, gpa_of(page), PAGE);
}

bool dirty_has(uint32_t page)
{
    const uint32_t region = page >= DIRTY_LOW_PAGES,
                   number = region ? page - DIRTY_LOW_PAGES : page;

    return stasis_dirty_pages_of(dirty_pages(), region)[number / 64] >> number % 64 & 1;
}

/* A CPU notes in page tables and descriptors that it has used them. */
static bool may_be_written_by_cpu(uint32_t page)
{
    return page < 0x10 || page == DIRECTORY / PAGE;
}

void dirty_compare(void)
{
    uint64_t count = 0;

    for (uint32_t page = 0; page < PAGES; page++) {
        const bool is = dirty_has(page);

        count += is;
        if (!is && memcmp(ram(page), base[page], PAGE) != 0)
            fail_msg("page %u has changed, and is not in the bitmap", page);
        if (!is && written[page])
            fail_msg("page %u was written, and is not in the bitmap", page);
        if (is && !written[page] && !may_be_written_by_cpu(page))
            fail_msg("page %u is in the bitmap, and nobody wrote it", page);
    }
    assert_int_equal(stasis_dirty_pages_count(dirty_pages()), count);
}

void dirty_commit(void)
{
    for (uint32_t page = 0; page < PAGES; page++) {
        if (dirty_has(page))
            memcpy(base[page], ram(page), PAGE);
    }
    stasis_dirty_pages_commit(dirty_pages());
    memset(written, 0, sizeof(written));
}

/* As a whole snapshot would. */
void dirty_copy_all(void)
{
    for (uint32_t page = 0; page < PAGES; page++)
        memcpy(base[page], ram(page), PAGE);
    memset(written, 0, sizeof(written));
}
